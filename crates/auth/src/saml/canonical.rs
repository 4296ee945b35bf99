//! Exclusive XML canonicalization (W3C, 2002), without comments: the one form of an element that signatures are over.

use super::xml::{Element, Node};

/// An element in canonical form. `without` is left out wherever it is, as the enveloped-signature transform wants it;
/// namespaces of the `inclusive` prefixes (`#default` for none) are written where they are in scope, used or not.
pub(super) fn canonicalize(
    element: Element<'_>,
    without: Option<Element<'_>>,
    inclusive: &[&str],
) -> Vec<u8> {
    let inclusive = inclusive.iter().map(|prefix| if *prefix == "#default" { "" } else { prefix }).collect();
    let mut writer = Writer { out: String::new(), without, inclusive, rendered: Vec::new() };
    writer.element(element);
    writer.out.into_bytes()
}

struct Writer<'a> {
    out: String,
    without: Option<Element<'a>>,
    inclusive: Vec<&'a str>,
    /// The namespaces that hold at this place of what was written, the nearest last.
    rendered: Vec<(&'a str, &'a str)>,
}

impl<'a> Writer<'a> {
    fn element(&mut self, element: Element<'a>) {
        let level = self.rendered.len();
        let name = element.name();
        self.out.push('<');
        self.name(&name.prefix, &name.local);
        let mut used = vec![(name.prefix.as_str(), &*name.namespace)];
        for attribute in element.attributes().iter().filter(|attribute| !attribute.name.prefix.is_empty()) {
            used.push((attribute.name.prefix.as_str(), &*attribute.name.namespace));
        }
        for prefix in &self.inclusive {
            used.extend(element.in_scope(prefix).map(|namespace| (*prefix, namespace)));
        }
        used.sort_unstable();
        used.dedup();
        for (prefix, namespace) in used {
            let holds = self.rendered.iter().rev().find(|(rendered, _)| *rendered == prefix);
            let holds = holds.map(|(_, namespace)| *namespace);
            // `xml` holds everywhere, and no namespace is the default's beginning.
            if prefix == "xml" || holds.unwrap_or(if prefix.is_empty() { "" } else { "\0" }) == namespace {
                continue;
            }
            self.out.push_str(" xmlns");
            if !prefix.is_empty() {
                self.out.push(':');
                self.out.push_str(prefix);
            }
            self.value(namespace);
            self.rendered.push((prefix, namespace));
        }
        let mut attributes: Vec<_> = element.attributes().iter().collect();
        attributes
            .sort_unstable_by_key(|attribute| (&*attribute.name.namespace, attribute.name.local.as_str()));
        for attribute in attributes {
            self.out.push(' ');
            self.name(&attribute.name.prefix, &attribute.name.local);
            self.value(&attribute.value);
        }
        self.out.push('>');
        for node in element.nodes() {
            match node {
                Node::Element(child) if Some(child) == self.without => {}
                Node::Element(child) => self.element(child),
                Node::Text(text) => self.text(text),
            }
        }
        self.out.push_str("</");
        self.name(&name.prefix, &name.local);
        self.out.push('>');
        self.rendered.truncate(level);
    }

    fn name(&mut self, prefix: &str, local: &str) {
        if !prefix.is_empty() {
            self.out.push_str(prefix);
            self.out.push(':');
        }
        self.out.push_str(local);
    }

    fn value(&mut self, value: &str) {
        self.out.push_str("=\"");
        for char in value.chars() {
            match char {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '"' => self.out.push_str("&quot;"),
                '\t' => self.out.push_str("&#x9;"),
                '\n' => self.out.push_str("&#xA;"),
                '\r' => self.out.push_str("&#xD;"),
                char => self.out.push(char),
            }
        }
        self.out.push('"');
    }

    fn text(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '\r' => self.out.push_str("&#xD;"),
                char => self.out.push(char),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::xml::Document;
    use super::*;

    fn canonical(text: &str, inclusive: &[&str]) -> String {
        let document = Document::parse(text.as_bytes()).unwrap();
        String::from_utf8(canonicalize(document.root(), None, inclusive)).unwrap()
    }

    /// The element `x` of a document.
    fn part(text: &str, inclusive: &[&str]) -> String {
        let document = Document::parse(text.as_bytes()).unwrap();
        let part = document.elements().find(|element| element.name().local == "x").unwrap();
        String::from_utf8(canonicalize(part, None, inclusive)).unwrap()
    }

    #[test]
    fn namespaces_are_written_where_they_are_used_first() {
        assert_eq!(
            part(
                "<r xmlns='u:d' xmlns:a='u:a' xmlns:b='u:b'><a:x c='1' b:c='2' a:c='3'><y/><a:z/></a:x></r>",
                &[]
            ),
            "<a:x xmlns:a=\"u:a\" xmlns:b=\"u:b\" c=\"1\" a:c=\"3\" b:c=\"2\"><y xmlns=\"u:d\"></y><a:z></a:z></a:x>"
        );
        assert_eq!(
            part(
                "<r xmlns='u:d' xmlns:a='u:a' xmlns:b='u:b'><a:x><y/></a:x></r>",
                &["b", "#default", "none"]
            ),
            "<a:x xmlns=\"u:d\" xmlns:a=\"u:a\" xmlns:b=\"u:b\"><y></y></a:x>"
        );
    }

    #[test]
    fn a_default_namespace_ends_where_it_has_to() {
        assert_eq!(
            canonical("<a xmlns='u'><b xmlns=''><c xmlns=''/></b></a>", &[]),
            "<a xmlns=\"u\"><b xmlns=\"\"><c></c></b></a>"
        );
        assert_eq!(canonical("<a xmlns=''><b xmlns='u'/></a>", &[]), "<a><b xmlns=\"u\"></b></a>");
    }

    #[test]
    fn a_prefix_may_change_its_meaning() {
        assert_eq!(
            canonical("<p:a xmlns:p='1'><p:b xmlns:p='2'><p:c xmlns:p='1'/></p:b><p:d/></p:a>", &[]),
            "<p:a xmlns:p=\"1\"><p:b xmlns:p=\"2\"><p:c xmlns:p=\"1\"></p:c></p:b><p:d></p:d></p:a>"
        );
    }

    #[test]
    fn texts_and_values_have_one_spelling() {
        assert_eq!(
            canonical(
                "<a b=\"&#9;&#10;&#13;'&quot;&gt;\" xml:lang='de'>&#13;\r\n&quot;<![CDATA[<&>]]><!-- c --></a>",
                &[]
            ),
            "<a b=\"&#x9;&#xA;&#xD;'&quot;>\" xml:lang=\"de\">&#xD;\n\"&lt;&amp;&gt;</a>"
        );
    }

    #[test]
    fn what_is_left_out_leaves_no_trace() {
        let document = Document::parse(b"<a> <b/>\n</a>").unwrap();
        let without = document.root().children().next();
        assert_eq!(canonicalize(document.root(), without, &[]), b"<a> \n</a>");
    }

    /// Documents of a few names and namespaces, nested a little.
    fn documents() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        let start = (
            "[a-c]",
            "(p:|q:|)",
            prop::collection::vec("(x|p:x|q:y)", 0..2),
            "( xmlns='[uv]'| xmlns:p='[uv]'|)",
        );
        let leaf = "([ a-z\n]|&amp;|&#13;|<!-- c -->){0,6}".boxed();
        leaf.prop_recursive(4, 24, 3, move |inner| {
            (start.clone(), prop::collection::vec(inner, 0..3)).prop_map(
                |((name, prefix, attributes, declared), inner)| {
                    let mut names = attributes;
                    names.dedup();
                    let attributes: String = names.iter().map(|name| format!(" {name}='1&#10;'")).collect();
                    format!("<{prefix}{name}{declared}{attributes}>{}</{prefix}{name}>", inner.concat())
                },
            )
        })
        .prop_map(|inner| format!("<r xmlns:p='u' xmlns:q='w'>{inner}</r>"))
    }

    proptest::proptest! {
        #[test]
        fn the_canonical_form_is_its_own(text in documents()) {
            // Two prefixes may make two attributes one.
            if let Ok(document) = Document::parse(text.as_bytes()) {
                for element in document.elements() {
                    let once = canonicalize(element, None, &[]);
                    let again = Document::parse(&once).unwrap();
                    proptest::prop_assert_eq!(canonicalize(again.root(), None, &[]), once);
                }
            }
        }
    }
}
