//! `GET /admin/audit`

use axum::extract;
use axum::response::Response;

use crate::State;
use crate::error::{Error, Result, Step};
use crate::http::{Admin, Context, Page};
use crate::json;
use crate::store::audit::{self, Scope};

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Admin,
) -> Result<Response> {
    let page = Page::from_query(&request.query)?;
    let query = request.query.get("query");
    let search = match query.split_once(':') {
        _ if query.is_empty() => None,
        Some(("author", text)) => Some((Scope::Author, text)),
        Some(("action", text)) => Some((Scope::Action, text)),
        Some(("type", text)) => Some((Scope::Type, text)),
        _ => return Err(Error::invalid(format!("Invalid query scope: {query}"))),
    };
    let mut db = state.database().await?;
    let (entries, total) = audit::page(&mut db, search, page.limit()?, page.offset())
        .await
        .step("Error searching for audit logs")?;
    let mut response = json::ok(&entries);
    page.mark(response.headers_mut(), &request, total);
    Ok(response)
}
