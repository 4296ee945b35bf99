//! Bodies of the server's messages. Every function takes any bytes and never panics.

use std::sync::Arc;

use crate::error::{DbError, Severity, SqlState};
use crate::listen::Notification;
use crate::result::Column;
use crate::wire::Head;

/// The head of the message that `bytes` begins with, when all of it is there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    let [tag, a, b, c, d, ..] = *bytes else { return Ok(None) };
    // The length counts itself.
    match usize::try_from(i32::from_be_bytes([a, b, c, d])).ok().and_then(|len| len.checked_sub(4)) {
        Some(len) => Ok(Some(Head { tag, len })),
        None => Err("a message of negative length"),
    }
}

/// Takes bytes from the front of a message body.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn string(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    /// Text that may be in any encoding: reports made before the encoding is settled.
    fn lossy_string(&mut self) -> Option<std::borrow::Cow<'a, str>> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        Some(text)
    }
}

/// Two strings, as in ParameterStatus.
pub(crate) fn two_strings(body: &[u8]) -> Option<(&str, &str)> {
    let mut reader = Reader(body);
    Some((reader.string()?, reader.string()?))
}

/// One string, as in CommandComplete; the body without its terminator.
pub(crate) fn notification(body: &[u8]) -> Option<Notification> {
    let mut reader = Reader(body);
    Some(Notification {
        process_id: i32::from_be_bytes(reader.take()?),
        channel: reader.string()?.to_owned(),
        payload: reader.string()?.to_owned(),
    })
}

/// RowDescription.
pub(crate) fn columns(body: &[u8]) -> Option<Arc<[Column]>> {
    let mut reader = Reader(body);
    let count = u16::from_be_bytes(reader.take()?);
    (0..count)
        .map(|_| {
            let column = Column {
                name: reader.lossy_string()?.into(),
                table_oid: u32::from_be_bytes(reader.take()?),
                attribute: i16::from_be_bytes(reader.take()?),
                type_oid: u32::from_be_bytes(reader.take()?),
                type_size: i16::from_be_bytes(reader.take()?),
                type_modifier: i32::from_be_bytes(reader.take()?),
            };
            let _format: [u8; 2] = reader.take()?;
            Some(column)
        })
        .collect()
}

/// ParameterDescription.
pub(crate) fn parameter_types(body: &[u8]) -> Option<Vec<u32>> {
    let mut reader = Reader(body);
    let count = u16::from_be_bytes(reader.take()?);
    (0..count).map(|_| reader.take().map(u32::from_be_bytes)).collect()
}

/// ErrorResponse and NoticeResponse.
pub(crate) fn report(body: &[u8]) -> Option<DbError> {
    let mut reader = Reader(body);
    let mut report = DbError {
        severity: Severity::Error,
        code: SqlState::new("XX000"),
        message: String::new(),
        detail: None,
        hint: None,
        position: None,
        internal_position: None,
        internal_query: None,
        where_: None,
        schema: None,
        table: None,
        column: None,
        data_type: None,
        constraint: None,
        file: None,
        line: None,
        routine: None,
        statement: None,
    };
    loop {
        let [field] = reader.take()?;
        if field == 0 {
            return Some(report);
        }
        let text = reader.lossy_string()?;
        match field {
            // The untranslated severity is what programs read; poolers may send only the other one.
            b'S' | b'V' => {
                if let Some(severity) = Severity::parse(&text) {
                    report.severity = severity;
                }
            }
            b'C' => report.code = SqlState::new(&text),
            b'M' => report.message = text.into_owned(),
            b'D' => report.detail = Some(text.into_owned()),
            b'H' => report.hint = Some(text.into_owned()),
            b'P' => report.position = text.parse().ok(),
            b'p' => report.internal_position = text.parse().ok(),
            b'q' => report.internal_query = Some(text.into_owned()),
            b'W' => report.where_ = Some(text.into_owned()),
            b's' => report.schema = Some(text.into_owned()),
            b't' => report.table = Some(text.into_owned()),
            b'c' => report.column = Some(text.into_owned()),
            b'd' => report.data_type = Some(text.into_owned()),
            b'n' => report.constraint = Some(text.into_owned()),
            b'F' => report.file = Some(text.into_owned()),
            b'L' => report.line = text.parse().ok(),
            b'R' => report.routine = Some(text.into_owned()),
            // Fields of future servers are to be ignored.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::result::Row;

    #[test]
    fn a_report_is_read_field_by_field() {
        let body = b"SFEHLER\0VERROR\0C42P01\0Mrelation \"x\" does not exist\0P15\0Fparse_relation.c\0L1449\0Rf\0?new\0\0";
        let read = report(body);
        let read = read.as_ref().map(|read| (read.severity, read.code.as_str(), read.position, read.line));
        assert_eq!(read, Some((Severity::Error, "42P01", Some(15), Some(1449))));
        assert_eq!(report(b"SERROR\0"), None);
        assert_eq!(report(b"M\xff\xfe\0\0").map(|read| read.message), Some("\u{fffd}\u{fffd}".into()));
    }

    #[test]
    fn a_row_must_be_as_long_as_it_says() {
        let read = |body: &'static [u8]| Row::decode(Bytes::from_static(body)).map(|row| format!("{row:?}"));
        assert_eq!(read(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff").as_deref(), Some(r#"[Some("a"), None]"#));
        assert_eq!(read(b"\0\0").as_deref(), Some("[]"));
        for malformed in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01\0\0\0\x02a",
            b"\0\x01\0\0\0\x01ab",
            b"\0\x01\x7f\xff\xff\xffa",
        ] {
            assert_eq!(read(malformed), None, "{malformed:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = head(&body);
            let _ = two_strings(&body);
            let _ = notification(&body);
            let _ = columns(&body);
            let _ = parameter_types(&body);
            let _ = report(&body);
            if let Some(row) = Row::decode(Bytes::from(body.clone())) {
                for index in 0..=row.len() {
                    let _ = row.get(index);
                    let _ = row.bytes(index);
                }
            }
            let _ = crate::der::signature_digest(&body);
            let _ = crate::der::validity(&body);
        }

        #[test]
        fn cut_certificates_make_no_decoder_panic(cut in 0usize..400, flip in 0usize..400, to in any::<u8>()) {
            let mut certificate = crate::der::tests::certificate();
            if let Some(byte) = certificate.get_mut(flip) {
                *byte = to;
            }
            certificate.truncate(cut);
            let _ = crate::der::signature_digest(&certificate);
            let _ = crate::der::validity(&certificate);
        }
    }
}
