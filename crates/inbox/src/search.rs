//! Searches as Mailpit writes them: words that all must occur, `to:`, `subject:`, `is:unread`, `-not`.

use crate::message::{Message, Person};

/// A parsed search; the empty one finds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    wanted: bool,
    field: Field,
    /// In lower case.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Any,
    From,
    To,
    Cc,
    Bcc,
    ReplyTo,
    Addressed,
    Subject,
    MessageId,
    Is,
    Has,
    /// A field that no mail here has.
    Nothing,
}

impl Field {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "from" => Self::From,
            "to" => Self::To,
            "cc" => Self::Cc,
            "bcc" => Self::Bcc,
            "reply-to" => Self::ReplyTo,
            "addressed" => Self::Addressed,
            "subject" => Self::Subject,
            "message-id" => Self::MessageId,
            "is" => Self::Is,
            "has" => Self::Has,
            "tag" => Self::Nothing,
            _ => return None,
        })
    }
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(words(text).into_iter().filter_map(|word| Term::parse(&word)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, message: &Message, read: bool) -> bool {
        self.0.iter().all(|term| term.occurs(message, read) == term.wanted)
    }
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let (wanted, word) = match word.strip_prefix(['-', '!']) {
            Some(rest) if !rest.is_empty() => (false, rest),
            _ => (true, word),
        };
        let lower = word.to_lowercase();
        let (field, text) = match lower.split_once(':') {
            Some((name, text)) => match Field::parse(name) {
                Some(field) => (field, text.trim().to_owned()),
                None => (Field::Any, lower.clone()),
            },
            None => (Field::Any, lower.clone()),
        };
        (!text.is_empty()).then_some(Self { wanted, field, text })
    }

    fn occurs(&self, message: &Message, read: bool) -> bool {
        let text = self.text.as_str();
        let within = |value: &str| value.to_lowercase().contains(text);
        let person = |person: &Person| within(&person.name) || within(&person.address);
        let any = |people: &[Person]| people.iter().any(person);
        let from = || message.from.as_ref().is_some_and(person);
        let to = || any(&message.to) || any(&message.cc) || any(&message.bcc);
        match self.field {
            Field::Any => {
                from()
                    || to()
                    || any(&message.reply_to)
                    || within(&message.subject)
                    || within(&message.text)
                    || within(&message.html)
            }
            Field::From => from(),
            Field::To => any(&message.to),
            Field::Cc => any(&message.cc),
            Field::Bcc => any(&message.bcc),
            Field::ReplyTo => any(&message.reply_to),
            Field::Addressed => from() || to() || any(&message.reply_to),
            Field::Subject => within(&message.subject),
            Field::MessageId => within(&message.message_id),
            Field::Is => match text {
                "read" => read,
                "unread" => !read,
                _ => false,
            },
            Field::Has => match text {
                "attachment" | "attachments" => message.parts.iter().any(|part| !part.inline),
                "inline" => message.parts.iter().any(|part| part.inline),
                _ => false,
            },
            Field::Nothing => false,
        }
    }
}

/// Words, with what stands between quotes as one.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for char in text.chars() {
        match char {
            '"' => quoted = !quoted,
            char if char.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_terms_must_hold() {
        let raw = "From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: Your Magic Link\r\n\r\nclick here";
        let message = Message::read("ann@a.test", &["bob@b.test".into()], raw.as_bytes().to_vec());
        let found = |query: &str| Query::parse(query).matches(&message, false);
        for query in [
            "",
            "magic",
            "to:bob@b.test",
            "to:\"BOB@b.test\" subject:\"magic link\"",
            "from:ann -spam",
            "is:unread click",
        ] {
            assert!(found(query), "{query}");
        }
        for query in
            ["to:ann", "subject:\"link magic\"", "magic spam", "is:read", "-click", "has:attachment", "tag:x"]
        {
            assert!(!found(query), "{query}");
        }
    }
}
