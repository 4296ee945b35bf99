//! Mails that tell people of a change to their account. They are written once it is done; one that cannot be sent undoes nothing.

use std::sync::PoisonError;

use crate::State;
use crate::error::Result;
use crate::http::RequestContext;
use crate::mail::{self, MessageKind, Outgoing};
use crate::user::User;

/// One piece of news.
#[derive(Debug)]
pub(crate) struct News {
    kind: MessageKind,
    to: String,
    user: User,
    about: Vec<(&'static str, String)>,
}

/// Remembers what somebody is to be told when the request has succeeded, if the configuration wants that.
pub(crate) fn tell(
    state: &State,
    request: &RequestContext,
    user: &User,
    kind: MessageKind,
    to: &str,
    about: &[(&'static str, &str)],
) {
    if to.is_empty() || !state.config().mailer.notifications.contains(&kind) {
        return;
    }
    let about = about.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let news = News { kind, to: to.to_owned(), user: user.clone(), about };
    request.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
}

/// What was to be told did not happen.
pub(crate) fn forget(request: &RequestContext) {
    request.news.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Sends what was remembered.
pub(crate) async fn send(state: &State, request: &RequestContext) {
    let all = std::mem::take(&mut *request.news.lock().unwrap_or_else(PoisonError::into_inner));
    for news in all {
        if let Err(error) = send_one(state, request, &news).await {
            let kind = news.kind.as_str();
            tracing::warn!(request_id = %request.id, kind, %error, "somebody could not be told of a change");
        }
    }
}

async fn send_one(state: &State, request: &RequestContext, news: &News) -> Result<()> {
    mail::permit(state, &news.to).await?;
    let mail = Outgoing { kind: news.kind, to: &news.to, code: "", token_hash: "", about: &news.about };
    let mut db = state.database().await?;
    mail::send(&mut db, state, request, &news.user, mail, "Error sending a notification").await?;
    drop(db);
    let written = std::mem::take(&mut *request.written.lock().unwrap_or_else(PoisonError::into_inner));
    state.outbox().deliver(written).await
}
