//! `GET /admin/users`

use axum::extract;
use axum::response::Response;
use serde::Serialize;

use crate::State;
use crate::error::{Error, Result, Step};
use crate::http::{Admin, Context, Form, Page, request_audience};
use crate::json;
use crate::store::users;
use crate::user::User;

#[derive(Serialize)]
struct Answer<'a> {
    users: Vec<User>,
    aud: &'a str,
}

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Admin,
) -> Result<Response> {
    let aud = request_audience(&request, &state);
    let page = Page::from_query(&request.query)?;
    let ascending = ascending(&request.query)?;
    let filter = request.query.get("filter");
    let mut db = state.database().await?;
    let (users, total) = users::page(&mut db, &aud, filter, ascending, page.limit()?, page.offset())
        .await
        .step("Database error finding users")?;
    let mut response = json::ok(&Answer { users, aud: &aud });
    page.mark(response.headers_mut(), &request, total);
    Ok(response)
}

/// `sort=created_at asc|desc`, newest first without it.
fn ascending(query: &Form) -> Result<bool> {
    let bad = |reason: String| Error::invalid(format!("Bad Sort Parameters: {reason}"));
    let Some(sort) = query.values("sort").next() else { return Ok(false) };
    let (field, direction) = sort.split_once(' ').unwrap_or((sort, "desc"));
    if field != "created_at" {
        return Err(bad(format!("bad field for sort '{field}'")));
    }
    match direction.to_uppercase().as_str() {
        "ASC" => Ok(true),
        "DESC" => Ok(false),
        _ => Err(bad(format!("bad direction for sort '{direction}', only 'asc' and 'desc' allowed"))),
    }
}
