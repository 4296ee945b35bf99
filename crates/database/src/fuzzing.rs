//! What the fuzz targets reach of the inside.

use bytes::Bytes;

use crate::decode;
use crate::result::Row;

/// Reads a stream of messages the way a connection does, until the first that is malformed.
pub fn messages(mut stream: &[u8]) {
    while let Ok(Some(head)) = decode::head(stream) {
        let rest = &stream[5..];
        let Some(body) = rest.get(..head.len) else { return };
        stream = &rest[head.len..];
        let understood = match head.tag {
            b'A' => decode::notification(body).is_some(),
            b'D' => match Row::decode(Bytes::copy_from_slice(body)) {
                Some(row) => {
                    // Every column lies inside of the message.
                    (0..row.len()).for_each(|column| drop(row.get(column).map(<[u8]>::to_vec)));
                    true
                }
                None => false,
            },
            b'E' | b'N' => decode::report(body).is_some_and(|report| !report.to_string().is_empty()),
            b'S' => decode::two_strings(body).is_some(),
            b'T' => decode::columns(body).is_some(),
            b't' => decode::parameter_types(body).is_some(),
            _ => true,
        };
        if !understood {
            return;
        }
    }
}
