//! A mail that is ready to be sent.

use std::fmt;

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, SinglePart};

use crate::SmtpError;

/// Who sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The address.
    pub address: String,
    /// The name before it; may be empty.
    pub name: String,
}

/// A mail. What it says is secret: it holds links and codes that sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// The same for every try, so that a receiver can tell a second copy.
    pub id: String,
    /// Who receives it.
    pub to: String,
    /// The subject, not yet encoded.
    pub subject: String,
    /// The body, HTML.
    pub html: String,
    /// Further headers, in order.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Letter {
    /// The envelope and the bytes that a mail server is given.
    pub fn message(&self, sender: &Sender) -> Result<(Envelope, Vec<u8>), SmtpError> {
        let refused = |what: &str, error: &dyn fmt::Display| SmtpError::Letter(format!("{what}: {error}"));
        let from: Address =
            sender.address.parse().map_err(|error| refused("the sender's address", &error))?;
        let to: Address = self.to.parse().map_err(|error| refused("the receiver's address", &error))?;
        let envelope = Envelope::new(Some(from.clone()), vec![to.clone()])
            .map_err(|error| refused("the envelope", &error))?;
        let domain = from.domain().to_owned();
        let name = Some(sender.name.clone()).filter(|name| !name.is_empty());
        // A line break in a subject would begin another header; there is none in any subject.
        let subject = self.subject.split(['\r', '\n']).collect::<Vec<_>>().join(" ");
        let mut builder = Message::builder()
            .from(Mailbox::new(name, from))
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(format!("<{}@{domain}>", self.id)))
            .date_now();
        for (name, value) in &self.headers {
            let name = HeaderName::new_from_ascii(name.clone())
                .map_err(|_| SmtpError::Letter(format!("{name:?} is no name of a header")))?;
            let value = value.split(['\r', '\n']).collect::<Vec<_>>().join(" ");
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
        let body = SinglePart::builder()
            .header(ContentType::TEXT_HTML)
            .header(ContentTransferEncoding::QuotedPrintable)
            .body(self.html.clone());
        let message = builder.singlepart(body).map_err(|error| refused("the mail", &error))?;
        Ok((envelope, message.formatted()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn letter() -> Letter {
        Letter {
            id: "5e1a".into(),
            to: "ann@example.test".into(),
            subject: "Grüße\r\nBcc: x@y.z".into(),
            html: "<p>ä</p>\r\n.\r\n".into(),
            headers: vec![("X-Kind".into(), "invite".into())],
        }
    }

    #[test]
    fn a_letter_becomes_one_html_part_with_its_own_headers() {
        let sender = Sender { address: "admin@example.test".into(), name: "The \"Team\"".into() };
        let (envelope, bytes) = letter().message(&sender).unwrap();
        assert_eq!(envelope.to()[0].to_string(), "ann@example.test");
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let lines: Vec<_> = head.lines().filter(|line| !line.starts_with("Date:")).collect();
        assert!(lines.contains(&"From: \"The \\\"Team\\\"\" <admin@example.test>"), "{head}");
        assert!(lines.contains(&"To: ann@example.test"), "{head}");
        assert!(lines.contains(&"Message-ID: <5e1a@example.test>"), "{head}");
        assert!(lines.contains(&"X-Kind: invite"), "{head}");
        assert!(lines.contains(&"Content-Type: text/html; charset=utf-8"), "{head}");
        assert!(!head.contains("\nBcc:"), "{head}");
        assert_eq!(body.trim_end(), "<p>=C3=A4</p>\r\n.");
    }

    #[test]
    fn an_address_that_is_none_is_told() {
        let sender = Sender { address: "admin@example.test".into(), name: String::new() };
        let nowhere = Letter { to: "nobody".into(), ..letter() };
        assert!(matches!(nowhere.message(&sender), Err(SmtpError::Letter(_))));
    }
}
