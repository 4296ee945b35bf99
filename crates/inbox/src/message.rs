//! A caught mail, taken apart, in the shapes of Mailpit's API.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use mail_parser::{Addr, Address, MessageParser, MimeHeaders as _};
use serde::Serialize;

/// Characters of a text's beginning that lists show.
const SNIPPET: usize = 250;

/// A name and an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// A part that is no text to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Attachment {
    #[serde(rename = "PartID")]
    pub(crate) part_id: String,
    pub(crate) file_name: String,
    pub(crate) content_type: String,
    #[serde(rename = "ContentID")]
    pub(crate) content_id: String,
    pub(crate) size: usize,
    #[serde(skip)]
    pub(crate) bytes: Vec<u8>,
    #[serde(skip)]
    pub(crate) inline: bool,
}

/// A mail as it came and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) message_id: String,
    pub(crate) from: Option<Person>,
    pub(crate) to: Vec<Person>,
    pub(crate) cc: Vec<Person>,
    pub(crate) bcc: Vec<Person>,
    pub(crate) reply_to: Vec<Person>,
    pub(crate) return_path: String,
    /// Who it was delivered to, whatever its headers say.
    pub(crate) receivers: Vec<String>,
    pub(crate) subject: String,
    pub(crate) received: DateTime<Utc>,
    /// The time in its own header, or that of its arrival.
    pub(crate) date: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) parts: Vec<Attachment>,
    pub(crate) raw: Vec<u8>,
}

/// An entry of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    read: bool,
    from: &'a Option<Person>,
    to: &'a [Person],
    cc: &'a [Person],
    bcc: &'a [Person],
    reply_to: &'a [Person],
    subject: &'a str,
    created: String,
    username: &'static str,
    tags: [&'static str; 0],
    size: usize,
    attachments: usize,
    snippet: String,
}

/// A whole mail.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Whole<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    from: &'a Option<Person>,
    to: &'a [Person],
    cc: &'a [Person],
    bcc: &'a [Person],
    reply_to: &'a [Person],
    return_path: &'a str,
    subject: &'a str,
    list_unsubscribe: Unsubscribe,
    date: &'a str,
    tags: [&'static str; 0],
    username: &'static str,
    text: &'a str,
    #[serde(rename = "HTML")]
    html: &'a str,
    size: usize,
    inline: Vec<&'a Attachment>,
    attachments: Vec<&'a Attachment>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unsubscribe {
    header: String,
    links: [String; 0],
    errors: String,
    header_post: String,
}

impl Message {
    /// Takes a mail apart. Whatever cannot be understood is left out; the bytes stay.
    pub(crate) fn read(sender: &str, receivers: &[String], raw: Vec<u8>) -> Self {
        let id = BASE64_URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
        let received = Utc::now();
        let mut message = Self {
            id,
            message_id: String::new(),
            from: None,
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            return_path: sender.to_owned(),
            receivers: receivers.to_vec(),
            subject: String::new(),
            received,
            date: time(received),
            text: String::new(),
            html: String::new(),
            headers: BTreeMap::new(),
            parts: Vec::new(),
            raw,
        };
        message.take_apart();
        // Receivers that no header names got a blind copy.
        let named = |address: &str| {
            message
                .to
                .iter()
                .chain(&message.cc)
                .chain(&message.bcc)
                .any(|person| person.address.eq_ignore_ascii_case(address))
        };
        let blind: Vec<Person> = receivers
            .iter()
            .filter(|address| !named(address))
            .map(|address| Person { name: String::new(), address: address.clone() })
            .collect();
        message.bcc.extend(blind);
        message
    }

    fn take_apart(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        if let Some(parsed) = MessageParser::default().parse(&raw) {
            self.message_id = parsed.message_id().unwrap_or_default().to_owned();
            self.from = people(parsed.from()).into_iter().next();
            self.to = people(parsed.to());
            self.cc = people(parsed.cc());
            self.bcc = people(parsed.bcc());
            self.reply_to = people(parsed.reply_to());
            self.subject = parsed.subject().unwrap_or_default().to_owned();
            let date = parsed.date().and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0));
            if let Some(date) = date {
                self.date = time(date);
            }
            self.text = parsed.body_text(0).unwrap_or_default().into_owned();
            let has_html = parsed.html_part(0).is_some_and(|part| part.is_text_html());
            if has_html {
                self.html = parsed.body_html(0).unwrap_or_default().into_owned();
            }
            for (name, value) in parsed.headers_raw() {
                let unfolded = value.replace(['\r', '\n'], "");
                self.headers.entry(name.to_owned()).or_default().push(unfolded.trim().to_owned());
            }
            for (at, part) in parsed.attachments().enumerate() {
                let kind = part.content_type().map_or_else(
                    || "application/octet-stream".to_owned(),
                    |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")),
                );
                self.parts.push(Attachment {
                    part_id: (at + 1).to_string(),
                    file_name: part.attachment_name().unwrap_or_default().to_owned(),
                    content_type: kind,
                    content_id: part.content_id().unwrap_or_default().to_owned(),
                    size: part.contents().len(),
                    bytes: part.contents().to_vec(),
                    inline: part.content_id().is_some(),
                });
            }
        }
        self.raw = raw;
    }

    /// What a mail weighs in memory.
    pub(crate) fn weight(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.bytes.len() + size_of::<Attachment>()).sum();
        let lists = [&self.to, &self.cc, &self.bcc, &self.reply_to];
        let people = lists.iter().flat_map(|list| list.iter());
        let people: usize =
            people.map(|person| person.name.len() + person.address.len() + size_of::<Person>()).sum();
        let values = |values: &Vec<String>| {
            values.iter().map(|value| value.len() + size_of::<String>()).sum::<usize>()
        };
        let headers: usize = self.headers.iter().map(|(name, all)| name.len() + 64 + values(all)).sum();
        self.raw.len() + self.text.len() + self.html.len() + parts + people + headers + 1024
    }

    pub(crate) fn summary(&self, read: bool) -> Summary<'_> {
        let words = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        Summary {
            id: &self.id,
            message_id: &self.message_id,
            read,
            from: &self.from,
            to: &self.to,
            cc: &self.cc,
            bcc: &self.bcc,
            reply_to: &self.reply_to,
            subject: &self.subject,
            created: time(self.received),
            username: "",
            tags: [],
            size: self.raw.len(),
            attachments: self.parts.iter().filter(|part| !part.inline).count(),
            snippet: words.chars().take(SNIPPET).collect(),
        }
    }

    pub(crate) fn whole(&self) -> Whole<'_> {
        let unsubscribe = |name: &str| {
            let header = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            header.and_then(|(_, values)| values.first().cloned()).unwrap_or_default()
        };
        Whole {
            id: &self.id,
            message_id: &self.message_id,
            from: &self.from,
            to: &self.to,
            cc: &self.cc,
            bcc: &self.bcc,
            reply_to: &self.reply_to,
            return_path: &self.return_path,
            subject: &self.subject,
            list_unsubscribe: Unsubscribe {
                header: unsubscribe("List-Unsubscribe"),
                header_post: unsubscribe("List-Unsubscribe-Post"),
                ..Unsubscribe::default()
            },
            date: &self.date,
            tags: [],
            username: "",
            text: &self.text,
            html: &self.html,
            size: self.raw.len(),
            inline: self.parts.iter().filter(|part| part.inline).collect(),
            attachments: self.parts.iter().filter(|part| !part.inline).collect(),
        }
    }
}

fn people(addresses: Option<&Address<'_>>) -> Vec<Person> {
    let person = |addr: &Addr<'_>| Person {
        name: addr.name.as_deref().unwrap_or_default().to_owned(),
        address: addr.address.as_deref().unwrap_or_default().to_owned(),
    };
    addresses.map(|addresses| addresses.iter().map(person).collect()).unwrap_or_default()
}

/// A time as the API has it.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: \"Ann B\" <ann@a.test>\r\nTo: bob@b.test, Carl <carl@c.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
        Date: Tue, 01 Sep 2026 10:00:00 +0200\r\nMessage-ID: <id@a.test>\r\nX-Long: one\r\n two\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n\
        --i\r\nContent-Type: text/plain\r\n\r\nHello  you\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>H=C3=A4llo</p>\r\n--i--\r\n--b\r\n\
        Content-Type: text/csv\r\nContent-Disposition: attachment; filename=\"x.csv\"\r\n\r\n1,2\r\n--b--\r\n";

    #[test]
    fn a_mail_in_a_mail_that_never_ends_is_kept() {
        let raw = "Content-Type:multipart;boundary=-\n\n---Content-Type:message/rfc822\n\nContent-Type:message/rfc822\n\n\n-----";
        let message = Message::read("a@b.c", &["d@e.f".into()], raw.into());
        assert_eq!(message.raw, raw.as_bytes());
    }

    #[test]
    fn a_mail_weighs_what_is_kept_of_it() {
        let weight = |raw: String| Message::read("a@b.c", &[], raw.into_bytes()).weight();
        let people = weight(format!("To: a@b.c{}\r\n\r\n", ",a@b.c".repeat(1000)));
        assert!(people > 1000 * size_of::<Person>(), "{people}");
        let headers = weight(format!("{}\r\n", "a: b\r\n".repeat(1000)));
        assert!(headers > 1000 * size_of::<String>(), "{headers}");
    }

    #[test]
    fn a_mail_is_taken_apart() {
        let receivers = ["bob@b.test".to_owned(), "secret@d.test".to_owned()];
        let message = Message::read("bounce@a.test", &receivers, MAIL.as_bytes().to_vec());
        let person = |name: &str, address: &str| Person { name: name.into(), address: address.into() };
        assert_eq!(message.from, Some(person("Ann B", "ann@a.test")));
        assert_eq!(message.to, [person("", "bob@b.test"), person("Carl", "carl@c.test")]);
        assert_eq!(message.bcc, [person("", "secret@d.test")]);
        assert_eq!(message.subject, "Grüße");
        assert_eq!(message.message_id, "id@a.test");
        assert_eq!(message.date, "2026-09-01T08:00:00.000Z");
        assert_eq!(message.text.trim(), "Hello  you");
        assert_eq!(message.html.trim(), "<p>Hällo</p>");
        assert_eq!(message.headers["X-Long"], ["one two"]);
        assert_eq!(message.parts.len(), 1);
        assert_eq!(
            (message.parts[0].file_name.as_str(), message.parts[0].content_type.as_str()),
            ("x.csv", "text/csv")
        );
        assert_eq!(message.summary(false).snippet, "Hello you");
    }

    #[test]
    fn html_alone_has_a_text_made_of_it() {
        let raw = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<p>Enter <b>123456</b></p>".to_vec();
        let message = Message::read("", &[], raw);
        assert!(message.text.contains("Enter 123456"), "{:?}", message.text);
        assert!(message.html.contains("<b>123456</b>"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            crate::fuzz(&bytes);
        }

        #[test]
        fn no_header_makes_it_panic(head in "(From|To|Subject|Date|Content-Type): [ -~\\r\\n]{0,80}\r\n\r\n[ -~]{0,40}") {
            crate::fuzz(head.as_bytes());
        }
    }
}
