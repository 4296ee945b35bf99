//! Copying blobs and joining them, by the server where it can.

use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use http::Method;

use super::super::{Attributes, BlobName, BodyError, Inflow, Piece, StoreError};
use super::client::{self, Client, Payload};
use super::write::{MAX_PARTS, Parts, part_size};
use super::{MAX_SINGLE, attribute_headers};

/// The smallest part but for the last: S3's limit.
const MIN_PART: u64 = 5 << 20;

pub(super) async fn copy(
    client: &Arc<Client>,
    from: &BlobName,
    to: &BlobName,
    attributes: &Attributes,
) -> Result<(), StoreError> {
    let size = client.size(from).await?;
    if size > MAX_SINGLE {
        let parts = Parts::begin(client, to, attributes).await?;
        let part = part_size(size).max(1 << 30);
        let mut at = 0;
        while at < size {
            let end = size.min(at + part);
            parts.copy(from, Some(at..end)).await?;
            at = end;
        }
        return parts.complete().await;
    }
    let mut headers = attribute_headers(attributes);
    for (name, value) in [
        client::header("x-amz-copy-source", &client.copy_source(from))?,
        client::header("x-amz-metadata-directive", "REPLACE")?,
    ] {
        headers.insert(name, value);
    }
    client.document(Method::PUT, to, &[], headers, Payload::Empty).await?;
    Ok(())
}

/// Joins pieces to a new blob.
///
/// The server joins them itself where each is large enough to be a part (and, for R2, as large as the first). Otherwise
/// the bytes go through here once, in parts of equal size, none held.
pub(super) async fn compose(
    client: &Arc<Client>,
    pieces: &[Piece],
    to: &BlobName,
    attributes: &Attributes,
) -> Result<u64, StoreError> {
    let size = pieces.iter().map(|piece| piece.size).sum();
    match pieces {
        [] => {
            let attributes = Attributes { size: Some(0), ..attributes.clone() };
            super::write::put(client, to, &attributes, Box::pin(stream::empty())).await?;
        }
        [piece] => copy(client, &piece.name, to, attributes).await?,
        _ if can_join(pieces, client.even_parts) => {
            let parts = Parts::begin(client, to, attributes).await?;
            for piece in pieces {
                parts.copy(&piece.name, None).await?;
            }
            parts.complete().await?;
        }
        _ => {
            let body = through(client.clone(), pieces.to_vec());
            let attributes = Attributes { size: Some(size), ..attributes.clone() };
            super::write::put(client, to, &attributes, body).await?;
        }
    }
    Ok(size)
}

fn can_join(pieces: &[Piece], evenly: bool) -> bool {
    let Some(((last, others), first)) = pieces.split_last().zip(pieces.first()) else { return false };
    let fits = |piece: &Piece| {
        (MIN_PART..=MAX_SINGLE).contains(&piece.size) && (!evenly || piece.size == first.size)
    };
    pieces.len() as u64 <= MAX_PARTS
        && others.iter().all(fits)
        && (1..=MAX_SINGLE).contains(&last.size)
        && (!evenly || last.size <= first.size)
}

/// The bytes of pieces in a row.
fn through(client: Arc<Client>, pieces: Vec<Piece>) -> Inflow {
    let pieces = pieces.into_iter().filter(|piece| piece.size > 0);
    let bodies = stream::iter(pieces).then(move |piece| {
        let client = client.clone();
        async move {
            let whole: Option<Range<u64>> = None;
            match super::get(&client, &piece.name, whole).await {
                Ok(blob) if blob.size == piece.size => blob.body.map(|chunk| chunk.map_err(broken)).boxed(),
                Ok(_) => {
                    stream::once(async { Err(BodyError::Incomplete("a part has changed its size".into())) })
                        .boxed()
                }
                Err(error) => stream::once(async { Err(broken(error)) }).boxed(),
            }
        }
    });
    Box::pin(bodies.flatten())
}

fn broken(error: StoreError) -> BodyError {
    BodyError::Incomplete(format!("a part cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[u64]) -> Vec<Piece> {
        sizes.iter().map(|&size| Piece { name: BlobName::fresh(), size }).collect()
    }

    #[test]
    fn the_server_joins_what_it_can() {
        let mib = 1 << 20;
        assert!(can_join(&pieces(&[5 * mib, 6 * mib, 1]), false));
        assert!(!can_join(&pieces(&[5 * mib, 6 * mib, 1]), true));
        assert!(can_join(&pieces(&[6 * mib, 6 * mib, 1]), true));
        assert!(!can_join(&pieces(&[6 * mib, 6 * mib, 7 * mib]), true));
        assert!(!can_join(&pieces(&[mib, 6 * mib]), false));
        assert!(!can_join(&pieces(&[6 * mib, 0]), false));
    }
}
