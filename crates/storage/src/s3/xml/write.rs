//! Writing.

use bytes::Bytes;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document in the making.
pub(crate) struct Document {
    out: String,
    root: &'static str,
}

impl Document {
    /// A result: its root element bears S3's namespace, which some SDKs insist on.
    pub(crate) fn new(root: &'static str) -> Self {
        let out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">");
        Self { out, root }
    }

    /// A document whose root bears no namespace, as `Error` does.
    pub(crate) fn bare(root: &'static str) -> Self {
        let out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>");
        Self { out, root }
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        escape(text, &mut self.out);
        self.close(name);
    }

    /// An element with text, if there is any.
    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// An element with a number or truth value.
    pub(crate) fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    /// An element with elements.
    pub(crate) fn nest(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.open(name);
        fill(self);
        self.close(name);
    }

    /// Text of the root element itself.
    pub(crate) fn root_text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    /// A `Grantee`, whose type is an attribute.
    pub(crate) fn grantee(&mut self, kind: &'static str, fill: impl FnOnce(&mut Self)) {
        self.out.push_str("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
        self.out.push_str(kind);
        self.out.push_str("\">");
        fill(self);
        self.close("Grantee");
    }

    fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// The document.
    pub(crate) fn finish(mut self) -> Bytes {
        let root = self.root;
        self.close(root);
        self.out.into()
    }
}

/// Control characters become references, as AWS writes them, whether or not XML allows them: clients that cannot read
/// them ask for percent-encoded keys.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character if character.is_control() => {
                out.push_str("&#x");
                out.push_str(&format!("{:X}", u32::from(character)));
                out.push(';');
            }
            character => out.push(character),
        }
    }
}
