//! Reading: the documents that clients send are small and flat, so a tree under limits is all that is needed.

use quick_xml::Reader;
use quick_xml::events::Event;

/// How deep elements may nest.
const MAX_DEPTH: usize = 8;
/// How many elements a document may have: 10,000 parts with a number, a tag and checksums each.
const MAX_ELEMENTS: usize = 60_000;

/// A document that is not well-formed, or beyond the limits: 400 `MalformedXML`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The XML you provided was not well-formed or did not validate against our published schema")]
pub(crate) struct Malformed;

/// An element without its namespace and attributes, which no document of S3 needs here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// The local name.
    pub(crate) name: String,
    /// Its own text, entities resolved.
    pub(crate) text: String,
    /// The elements in it.
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The children of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Reads a document's root element. Document types, and with them entities of their own, are refused.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut count = 0;
    loop {
        match reader.read_event().map_err(|_| Malformed)? {
            Event::Start(start) => {
                count += 1;
                if count > MAX_ELEMENTS || open.len() == MAX_DEPTH || root.is_some() {
                    return Err(Malformed);
                }
                open.push(named(start.local_name().as_ref()));
            }
            Event::Empty(start) => {
                count += 1;
                if count > MAX_ELEMENTS || root.is_some() {
                    return Err(Malformed);
                }
                close(named(start.local_name().as_ref()), &mut open, &mut root);
            }
            Event::End(_) => {
                let element = open.pop().ok_or(Malformed)?;
                close(element, &mut open, &mut root);
            }
            Event::Text(text) => push_text(&text, &mut open)?,
            Event::CData(text) => push_text(&text, &mut open)?,
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().map_err(|_| Malformed)? {
                    Some(character) => character.to_string(),
                    None => {
                        quick_xml::escape::resolve_predefined_entity(&reference).ok_or(Malformed)?.to_owned()
                    }
                };
                open.last_mut().ok_or(Malformed)?.text.push_str(&text);
            }
            Event::DocType(_) => return Err(Malformed),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if open.is_empty() { root.ok_or(Malformed) } else { Err(Malformed) }
}

fn named(name: &str) -> Element {
    Element { name: name.to_owned(), ..Element::default() }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

/// Text outside of the root may only be white space.
fn push_text(text: &str, open: &mut [Element]) -> Result<(), Malformed> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(Malformed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::Document;
    use super::*;

    #[test]
    fn names_lose_their_namespace_and_text_its_entities() {
        let document = br#"<?xml version="1.0"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <s:Object xmlns:s="x"><s:Key>a&amp;b&#13;<![CDATA[<c>]]></s:Key></s:Object><Quiet/></Delete>"#;
        let root = parse(document).unwrap();
        assert_eq!(root.name, "Delete");
        assert_eq!(root.child("Object").unwrap().text_of("Key"), Some("a&b\r<c>"));
        assert_eq!(root.text_of("Quiet"), Some(""));
        assert_eq!(root.all("Object").count(), 1);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(9) + &"</a>".repeat(9);
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "x<a/>",
            &deep,
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{7f}-\u{9f}\u{fffe}\u{ffff}]{0,60}") {
            let mut document = Document::new("Root");
            document.text("Key", &text);
            let root = parse(&document.finish()).unwrap();
            prop_assert_eq!(root.text_of("Key"), Some(text.as_str()));
        }

        #[test]
        fn strangers_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
