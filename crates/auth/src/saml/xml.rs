//! Reads documents into a tree: namespaces resolved, entities of our own making only, comments dropped.
//!
//! Much of what XML allows is refused, since no identity provider needs it and attacks do: document types, processing
//! instructions within the document, deep nesting, prefixes that nobody declared. A comment leaves no trace, neither in the
//! tree nor in what is made of it, and the texts beside it are one text: no comment can cut a name short.

use std::collections::HashSet;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;

use super::Refused;

/// Longest document.
const MAX_BYTES: usize = 1 << 20;
/// Deepest element.
const MAX_DEPTH: usize = 40;
/// Most elements.
const MAX_ELEMENTS: usize = 20_000;
/// Most attributes of one element, declarations of namespaces among them.
const MAX_ATTRIBUTES: usize = 64;
/// Most declarations of namespaces that hold at one place: each name may have to be looked for among all of them.
const MAX_DECLARED: usize = 64;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// A document. It has one element at least.
#[derive(Debug)]
pub(super) struct Document(Vec<Record>);

#[derive(Debug)]
struct Record {
    parent: Option<usize>,
    name: Name,
    declared: Vec<(String, Arc<str>)>,
    attributes: Vec<Attribute>,
    children: Vec<Child>,
}

#[derive(Debug)]
enum Child {
    Element(usize),
    Text(String),
}

/// A name as it was written, and the namespace it stands for.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Empty where there is none.
    pub(super) prefix: String,
    pub(super) local: String,
    /// Empty where there is none.
    pub(super) namespace: Arc<str>,
}

/// An attribute that declares no namespace.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: Name,
    pub(super) value: String,
}

/// An element of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    document: &'a Document,
    at: usize,
}

/// What is inside an element.
pub(super) enum Node<'a> {
    Element(Element<'a>),
    Text(&'a str),
}

impl Document {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > MAX_BYTES {
            return Err(Refused::Xml("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::Xml("it is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !text.chars().all(is_char) {
            return Err(Refused::Xml("it contains a character that XML does not have"));
        }
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        let mut builder = Builder::default();
        let mut is_first = true;
        loop {
            let event = reader.read_event().map_err(|_| Refused::Xml("it is not well-formed"))?;
            match event {
                Event::Decl(declaration) => {
                    if !is_first {
                        return Err(Refused::Xml("its declaration is not at its beginning"));
                    }
                    let utf8 = match declaration.encoding() {
                        None => true,
                        Some(Ok(name)) => name.eq_ignore_ascii_case("utf-8"),
                        Some(Err(_)) => false,
                    };
                    if !utf8 || !declaration.version().is_ok_and(|version| version == "1.0") {
                        return Err(Refused::Xml("it is not XML 1.0 in UTF-8"));
                    }
                }
                Event::DocType(_) => return Err(Refused::Xml("it has a document type")),
                Event::PI(_) if builder.open.is_empty() => {}
                Event::PI(_) => return Err(Refused::Xml("it has a processing instruction")),
                Event::Comment(_) => {}
                Event::Start(start) => builder.open(&start)?,
                Event::Empty(_) => return Err(Refused::Xml("it is not well-formed")),
                Event::End(_) => builder.close()?,
                Event::Text(text) => builder.text(&newlines(&text))?,
                Event::CData(text) if !builder.open.is_empty() => builder.text(&newlines(&text))?,
                Event::CData(_) => return Err(Refused::Xml("there is text outside its element")),
                Event::GeneralRef(name) => {
                    if builder.open.is_empty() {
                        return Err(Refused::Xml("there is text outside its element"));
                    }
                    builder.text(reference(&name)?.encode_utf8(&mut [0; 4]))?;
                }
                Event::Eof => break,
            }
            is_first = false;
        }
        if !builder.open.is_empty() || builder.records.is_empty() {
            return Err(Refused::Xml("it ends too early"));
        }
        Ok(Self(builder.records))
    }

    pub(super) fn root(&self) -> Element<'_> {
        Element { document: self, at: 0 }
    }

    /// All elements, in the document's order.
    pub(super) fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        (0..self.0.len()).map(|at| Element { document: self, at })
    }

    /// Refuses a document in which an id stands for two elements.
    pub(super) fn check_ids(&self) -> Result<(), Refused> {
        let mut seen = HashSet::new();
        let ids = self
            .0
            .iter()
            .flat_map(|record| &record.attributes)
            .filter(|attribute| attribute.name.local.eq_ignore_ascii_case("id"));
        for id in ids {
            if !seen.insert(id.value.as_str()) {
                return Err(Refused::Xml("two elements have the same id"));
            }
        }
        Ok(())
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.document, other.document) && self.at == other.at
    }
}

impl<'a> Element<'a> {
    fn record(self) -> &'a Record {
        &self.document.0[self.at]
    }

    pub(super) fn document(self) -> &'a Document {
        self.document
    }

    pub(super) fn name(self) -> &'a Name {
        &self.record().name
    }

    pub(super) fn is(self, namespace: &str, local: &str) -> bool {
        let name = self.name();
        name.local == local && &*name.namespace == namespace
    }

    pub(super) fn attributes(self) -> &'a [Attribute] {
        &self.record().attributes
    }

    /// An attribute without a namespace.
    pub(super) fn attribute(self, local: &str) -> Option<&'a str> {
        let named =
            |attribute: &&Attribute| attribute.name.local == local && attribute.name.namespace.is_empty();
        self.attributes().iter().find(named).map(|attribute| attribute.value.as_str())
    }

    pub(super) fn nodes(self) -> impl Iterator<Item = Node<'a>> {
        self.record().children.iter().map(move |child| match child {
            Child::Element(at) => Node::Element(Element { document: self.document, at: *at }),
            Child::Text(text) => Node::Text(text),
        })
    }

    pub(super) fn children(self) -> impl Iterator<Item = Element<'a>> {
        self.nodes().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    pub(super) fn all(self, namespace: &str, local: &str) -> impl Iterator<Item = Element<'a>> {
        self.children().filter(move |child| child.is(namespace, local))
    }

    /// The one child of a name, if there is one; two are refused.
    pub(super) fn only(self, namespace: &str, local: &str) -> Result<Option<Element<'a>>, Refused> {
        let mut found = self.all(namespace, local);
        let first = found.next();
        match found.next() {
            Some(_) => Err(Refused::Content("an element is there twice")),
            None => Ok(first),
        }
    }

    /// The text that is directly inside.
    pub(super) fn text(self) -> String {
        self.nodes()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// The text of an element that has nothing else.
    pub(super) fn plain_text(self) -> Result<String, Refused> {
        match self.children().next() {
            Some(_) => Err(Refused::Content("an element has others where it should have text")),
            None => Ok(self.text()),
        }
    }

    /// What a prefix stands for here.
    pub(super) fn in_scope(self, prefix: &str) -> Option<&'a str> {
        let mut at = Some(self.at);
        while let Some(record) = at.map(|at| &self.document.0[at]) {
            if let Some((_, namespace)) = record.declared.iter().find(|(declared, _)| declared == prefix) {
                return Some(namespace);
            }
            at = record.parent;
        }
        None
    }
}

#[derive(Default)]
struct Builder {
    records: Vec<Record>,
    open: Vec<usize>,
    /// How many declarations hold here.
    declared: usize,
}

impl Builder {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), Refused> {
        let parent = self.open.last().copied();
        if parent.is_none() && !self.records.is_empty() {
            return Err(Refused::Xml("it has two elements at its top"));
        }
        if self.open.len() >= MAX_DEPTH || self.records.len() >= MAX_ELEMENTS {
            return Err(Refused::Xml("it is too deep or has too many elements"));
        }
        let mut written = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| Refused::Xml("an attribute is not well-formed"))?;
            if written.len() >= MAX_ATTRIBUTES {
                return Err(Refused::Xml("an element has too many attributes"));
            }
            let raw: &str = &attribute.value;
            let QName(key) = attribute.key;
            written.push((split(key)?, value(raw)?));
        }
        let mut declared = Vec::new();
        let mut plain = Vec::new();
        for ((prefix, local), value) in written {
            match (prefix, local) {
                ("", "xmlns") => declared.push((String::new(), declare("", &value)?)),
                ("xmlns", prefix) => declared.push((prefix.to_owned(), declare(prefix, &value)?)),
                other => plain.push((other, value)),
            }
        }
        self.declared += declared.len();
        if self.declared > MAX_DECLARED {
            return Err(Refused::Xml("it declares too many namespaces"));
        }
        let at = self.records.len();
        let QName(name) = start.name();
        let (prefix, local) = split(name)?;
        // The element's own declarations hold for its own name already.
        self.records.push(Record {
            parent,
            name: Name { prefix: prefix.to_owned(), local: local.to_owned(), namespace: "".into() },
            declared,
            attributes: Vec::new(),
            children: Vec::new(),
        });
        let namespace = self.resolve(at, prefix)?.unwrap_or_else(|| "".into());
        let mut attributes: Vec<Attribute> = Vec::with_capacity(plain.len());
        for ((prefix, local), value) in plain {
            // An attribute without a prefix is in no namespace, whatever the default is.
            let namespace = match prefix {
                "" => Arc::from(""),
                prefix => self.resolve(at, prefix)?.unwrap_or_else(|| "".into()),
            };
            let is_same = |other: &Attribute| other.name.local == local && other.name.namespace == namespace;
            if attributes.iter().any(is_same) {
                return Err(Refused::Xml("an element has an attribute twice"));
            }
            let name = Name { prefix: prefix.to_owned(), local: local.to_owned(), namespace };
            attributes.push(Attribute { name, value });
        }
        let record = &mut self.records[at];
        record.name.namespace = namespace;
        record.attributes = attributes;
        if let Some(parent) = parent {
            self.records[parent].children.push(Child::Element(at));
        }
        self.open.push(at);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refused> {
        let at = self.open.pop().ok_or(Refused::Xml("it is not well-formed"))?;
        self.declared -= self.records[at].declared.len();
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Refused> {
        let Some(at) = self.open.last() else {
            let blank = text.bytes().all(|byte| byte.is_ascii_whitespace());
            return if blank { Ok(()) } else { Err(Refused::Xml("there is text outside its element")) };
        };
        match self.records[*at].children.last_mut() {
            Some(Child::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.records[*at].children.push(Child::Text(text.to_owned())),
        }
        Ok(())
    }

    /// What a prefix stands for at an element; nothing for the default where there is none.
    fn resolve(&self, at: usize, prefix: &str) -> Result<Option<Arc<str>>, Refused> {
        if prefix == "xml" {
            return Ok(Some(XML_NAMESPACE.into()));
        }
        let mut next = Some(at);
        while let Some(record) = next.map(|at| &self.records[at]) {
            if let Some((_, namespace)) = record.declared.iter().find(|(declared, _)| declared == prefix) {
                return Ok(Some(namespace.clone()));
            }
            next = record.parent;
        }
        match prefix {
            "" => Ok(None),
            _ => Err(Refused::Xml("a prefix stands for nothing")),
        }
    }
}

/// Checks what a prefix is made to stand for.
fn declare(prefix: &str, namespace: &str) -> Result<Arc<str>, Refused> {
    let is_reserved = namespace == XMLNS_NAMESPACE || (namespace == XML_NAMESPACE) != (prefix == "xml");
    if is_reserved || prefix == "xmlns" || (namespace.is_empty() && !prefix.is_empty()) {
        return Err(Refused::Xml("a prefix cannot stand for that"));
    }
    Ok(namespace.into())
}

/// A prefix and the name behind it.
fn split(name: &str) -> Result<(&str, &str), Refused> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    if (name.contains(':') && !is_name(prefix)) || !is_name(local) {
        return Err(Refused::Xml("something has a name that is none"));
    }
    Ok((prefix, local))
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.'))
}

fn is_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Every end of a line is one line feed.
fn newlines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What `&name;` or `&#number;` stands for. Only XML's own five names are known: nobody can declare others.
fn reference(name: &str) -> Result<char, Refused> {
    let number = match name.strip_prefix('#') {
        None => {
            return match name {
                "amp" => Ok('&'),
                "lt" => Ok('<'),
                "gt" => Ok('>'),
                "quot" => Ok('"'),
                "apos" => Ok('\''),
                _ => Err(Refused::Xml("it refers to an entity")),
            };
        }
        Some(number) => number,
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    let is_number =
        !digits.is_empty() && digits.len() <= 8 && digits.chars().all(|digit| digit.is_digit(radix));
    is_number
        .then(|| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32))
        .flatten()
        .filter(|char| is_char(*char))
        .ok_or(Refused::Xml("it refers to a character that XML does not have"))
}

/// An attribute's value: white space is spaces, but where it was written as a reference.
fn value(raw: &str) -> Result<String, Refused> {
    let mut value = String::with_capacity(raw.len());
    let raw = raw.replace("\r\n", " ");
    let mut rest = raw.as_str();
    while let Some(at) = rest.find(['&', '<', '\t', '\n', '\r']) {
        value.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match rest.as_bytes()[at] {
            b'<' => return Err(Refused::Xml("an attribute is not well-formed")),
            b'&' => {
                let (name, behind) = after.split_once(';').ok_or(Refused::Xml("a reference has no end"))?;
                value.push(reference(name)?);
                rest = behind;
            }
            _ => {
                value.push(' ');
                rest = after;
            }
        }
    }
    value.push_str(rest);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(text: &str) -> &'static str {
        match Document::parse(text.as_bytes()) {
            Err(Refused::Xml(reason)) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn names_are_resolved_and_comments_leave_no_trace() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a -->\n\
             <a xmlns='u:a' xmlns:b='u:b' b:x='1' y='&lt;&#65;&#x42;\t\r\nz'>one<!-- b --> two<![CDATA[<3]]>\r\n<b:c/></a>\n";
        let document = Document::parse(text.as_bytes()).unwrap();
        let root = document.root();
        assert!(root.is("u:a", "a"));
        assert_eq!(root.attribute("y"), Some("<AB  z"));
        assert_eq!(root.attribute("x"), None, "it is in a namespace");
        assert_eq!(root.text(), "one two<3\n");
        let child = root.only("u:b", "c").unwrap().unwrap();
        assert_eq!(
            (child.in_scope(""), child.in_scope("b"), child.in_scope("c")),
            (Some("u:a"), Some("u:b"), None)
        );
    }

    #[test]
    fn what_attacks_need_is_refused() {
        assert_eq!(refused("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"), "it has a document type");
        assert_eq!(refused("<a>&x;</a>"), "it refers to an entity");
        assert_eq!(refused("<a><?php 1 ?></a>"), "it has a processing instruction");
        assert_eq!(refused("<a:b/>"), "a prefix stands for nothing");
        assert_eq!(refused("<a/><b/>"), "it has two elements at its top");
        assert_eq!(refused("<a/>text"), "there is text outside its element");
        assert_eq!(refused("<a>"), "it ends too early");
        assert_eq!(refused(""), "it ends too early");
        assert_eq!(refused("<a b='1' b='2'/>"), "an attribute is not well-formed");
        assert_eq!(
            refused("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>"),
            "an element has an attribute twice"
        );
        assert_eq!(refused("<a xmlns:p=''/>"), "a prefix cannot stand for that");
        assert_eq!(refused("<a xmlns:xml='u'/>"), "a prefix cannot stand for that");
        assert_eq!(refused("<a>&#0;</a>"), "it refers to a character that XML does not have");
        assert_eq!(refused("<a>&#xd800;</a>"), "it refers to a character that XML does not have");
        assert_eq!(refused("<a b='<'/>"), "an attribute is not well-formed");
        assert_eq!(refused("<?xml version='1.0' encoding='UTF-7'?><a/>"), "it is not XML 1.0 in UTF-8");
        assert_eq!(refused(&"<a>".repeat(100)), "it is too deep or has too many elements");
        let many: String = (0..40).map(|number| format!(" xmlns:p{number}='u'")).collect();
        assert_eq!(refused(&format!("<a{many}><b{many}/></a>")), "it declares too many namespaces");
        assert!(Document::parse(format!("<a><b{many}/><b{many}/></a>").as_bytes()).is_ok());
        assert_eq!(refused(&format!("<a>{}</a>", " ".repeat(MAX_BYTES))), "it is too long");
    }

    #[test]
    fn an_id_stands_for_one_element() {
        let check = |text: &str| Document::parse(text.as_bytes()).unwrap().check_ids().is_ok();
        assert!(check("<a ID='1'><b Id='2'/></a>"));
        assert!(!check("<a ID='1'><b Id='1'/></a>"));
        assert!(!check("<a xml:id='1'><b id='1'/></a>"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Document::parse(&bytes);
        }

        #[test]
        fn no_markup_makes_it_panic(text in "([<>/&;!?:'\"=a-c \\[\\]#x1-]|xmlns|<!--|-->|<!\\[CDATA\\[|\\]\\]>){0,60}") {
            let _ = Document::parse(text.as_bytes());
        }
    }
}
