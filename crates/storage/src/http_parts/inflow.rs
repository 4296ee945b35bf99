//! Bodies as streams of bytes.

use axum::body::Body;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio::sync::mpsc;

use crate::blob::{BodyError, Inflow, Outflow};

/// The body as the store reads it. A body that breaks off is an error, never an end.
pub(crate) fn of_body(body: Body) -> Inflow {
    Box::pin(
        body.into_data_stream().map(|chunk| chunk.map_err(|error| BodyError::Incomplete(error.to_string()))),
    )
}

/// What a store delivers as the body of an answer.
pub(crate) fn to_body(outflow: Outflow) -> Body {
    match outflow {
        Outflow::Ready(bytes) => Body::from(bytes),
        coming => Body::from_stream(coming.inspect_err(|error| {
            tracing::warn!(%error, "a download broke off");
        })),
    }
}

/// `Content-Length`, when there is a sensible one.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An inflow whose chunks somebody else sends, for bodies that are taken out of a form.
pub(crate) fn of_channel(receiver: mpsc::Receiver<Result<bytes::Bytes, BodyError>>) -> Inflow {
    Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    }))
}
