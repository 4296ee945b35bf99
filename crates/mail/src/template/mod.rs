//! Templates in the syntax of Go's `text/template` and `html/template`, as projects have them in
//! their mail templates.
//!
//! `lex` and `parse` turn text into a tree, `exec` walks it over data, `functions` are the built-in
//! ones. HTML is escaped as `html/template` does it: `context` follows the HTML that is written and
//! says where in it a value lands, `escape` makes the value harmless there.

mod context;
mod escape;
mod exec;
mod functions;
mod lex;
mod parse;
mod print;

use std::collections::HashMap;
use std::sync::Arc;

use parse::Node;

/// Most bytes that a template may produce.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;
/// Most nodes that are executed: nested loops over user data must end.
const MAX_STEPS: usize = 1_000_000;
/// Deepest nesting of blocks, parentheses and calls of other templates.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of blocks while a template calls others: a stack has room for it.
const MAX_NESTING: usize = 256;
/// Most bytes that functions may give, over a whole run.
const MAX_MADE: usize = 4 * MAX_OUTPUT;

/// A parsed template. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Template(Arc<Tree>);

#[derive(Debug)]
struct Tree {
    root: Vec<Node>,
    defined: HashMap<String, Vec<Node>>,
}

/// Why a template cannot be parsed or executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not a template.
    #[error("template: line {line}: {reason}")]
    Syntax {
        /// Counted from one.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The template does not fit the data.
    #[error("template: {0}")]
    Execution(String),
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (root, defined) = parse::parse(text)?;
        Ok(Self(Arc::new(Tree { root, defined })))
    }

    /// Executes it as `html/template` does: values are escaped for the place they land in, and HTML
    /// comments are left out.
    pub fn html(&self, data: &serde_json::Value) -> Result<String, TemplateError> {
        exec::execute(&self.0, data, true)
    }

    /// Executes it as `text/template` does: values are written as they are.
    pub fn text(&self, data: &serde_json::Value) -> Result<String, TemplateError> {
        exec::execute(&self.0, data, false)
    }
}

#[cfg(test)]
mod tests;
