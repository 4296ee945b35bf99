//! `POST /object/list/…` and `/object/list-v2/…`.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, ok};
use crate::domain::{Cursor, Entry, ListedV1, ObjectRow, Order, SearchRequest, SortColumn, V2Request};
use crate::error::{Error, Result};
use crate::http_parts::auth;
use crate::http_parts::fields::Fields;

pub(super) async fn v1(call: &Call, bucket: &str, body: Body) -> Result<Response> {
    let context = call.context("storage.object.list")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let columns = ["name", "updated_at", "created_at", "last_accessed_at"];
    let (column, order) = sorting(&fields, &columns)?;
    let request = SearchRequest {
        prefix: fields.required_text("prefix")?,
        limit: fields.integer("limit", 1)?.unwrap_or(100),
        offset: fields.integer("offset", 0)?.unwrap_or(0),
        search: fields.text("search")?.unwrap_or_default(),
        column,
        order,
    };
    let listed = call.domain.search(&context, bucket, &request).await?;
    let rows = listed.into_iter().map(|entry| match entry {
        ListedV1::Folder(name) => json!({
            "name": name,
            "id": null,
            "updated_at": null,
            "created_at": null,
            "last_accessed_at": null,
            "metadata": null,
        }),
        ListedV1::Object(row) => listed_object(&row),
    });
    Ok(ok(rows.collect()))
}

pub(super) async fn v2(call: &Call, bucket: &str, body: Body) -> Result<Response> {
    let caller = auth::verified(&call.domain, &call.parts)?;
    let context = call.context_of(caller, "storage.object.list_v2");
    let fields = Fields::read_or_empty(&call.parts.headers, body).await?;
    let (column, order) = sorting(&fields, &["name", "updated_at", "created_at"])?;
    let cursor = fields.text("cursor")?.filter(|cursor| !cursor.is_empty());
    let with_delimiter = fields.boolean("with_delimiter")?.unwrap_or(false);
    let request = V2Request {
        prefix: fields.text("prefix")?.unwrap_or_default(),
        with_delimiter,
        limit: fields.integer("limit", 1)?.unwrap_or(1000).min(1000),
        cursor: cursor.as_deref().map(Cursor::decode).transpose()?,
        column,
        order,
    };
    let page = call.domain.list_v2(&context, bucket, &request).await?;
    let (mut folders, mut objects) = (Vec::new(), Vec::new());
    for entry in &page.entries {
        match entry {
            Entry::Prefix { name, created_at, updated_at } => folders.push(json!({
                "key": segment(name),
                "name": name,
                "id": null,
                "created_at": created_at,
                "updated_at": updated_at,
                "last_accessed_at": null,
                "metadata": null,
            })),
            Entry::Object(row) => {
                let mut object = listed_object(row);
                if with_delimiter {
                    object["key"] = segment(&row.name).into();
                }
                objects.push(object);
            }
        }
    }
    let mut answer = json!({ "hasNext": page.next.is_some(), "folders": folders, "objects": objects });
    if let Some(next) = &page.next {
        answer["nextCursor"] = next.encode().into();
        answer["nextCursorKey"] = next.last.as_str().into();
    }
    Ok(ok(answer))
}

fn listed_object(row: &ObjectRow) -> Value {
    json!({
        "name": row.name,
        "id": row.id,
        "updated_at": row.updated_at,
        "created_at": row.created_at,
        "last_accessed_at": row.last_accessed_at,
        "metadata": row.metadata,
    })
}

/// The last segment of a name or folder.
fn segment(name: &str) -> &str {
    let name = name.strip_suffix('/').unwrap_or(name);
    name.rsplit('/').next().unwrap_or(name)
}

fn sorting(fields: &Fields, columns: &[&str]) -> Result<(SortColumn, Order)> {
    let Some(sorting) = fields.object("sortBy")? else { return Ok((SortColumn::Name, Order::Ascending)) };
    let refused =
        |at: &str| Error::validation(format!("body/sortBy/{at} must be equal to one of the allowed values"));
    let column = match sorting.text("column")? {
        None => return Err(Error::validation("body/sortBy must have required property 'column'")),
        Some(name) if name.is_empty() => SortColumn::Name,
        Some(name) => {
            let known = columns.contains(&name.as_str()).then(|| SortColumn::parse(&name)).flatten();
            known.ok_or_else(|| refused("column"))?
        }
    };
    let order = match sorting.text("order")?.as_deref() {
        None | Some("asc" | "") => Order::Ascending,
        Some("desc") => Order::Descending,
        Some(_) => return Err(refused("order")),
    };
    Ok((column, order))
}
