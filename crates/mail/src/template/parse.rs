//! Pieces into a tree.

use std::collections::HashMap;

use super::lex::{Piece, Word, pieces};
use super::{MAX_DEPTH, TemplateError};

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// A pipeline whose value is written, unless it declares a variable.
    Value(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Call {
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// `if`, `with` or `range` with its `else`.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each getting the value of the one before it as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    /// Names of the variables that receive the value; two of them only in `range`.
    pub(super) variables: Vec<String>,
    /// The variables exist already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Function(String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable(String, Vec<String>),
    /// `(pipeline).A.B`
    Nested(Box<Pipe>, Vec<String>),
}

type Defined = HashMap<String, Vec<Node>>;

/// Parses a template: its own nodes, and the templates defined in it.
pub(super) fn parse(text: &str) -> Result<(Vec<Node>, Defined), TemplateError> {
    let pieces = pieces(text)?;
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        defined: HashMap::new(),
        variables: vec![String::new()],
        depth: 0,
        loops: 0,
        line: 1,
    };
    let (nodes, end) = parser.block()?;
    match end {
        Closer::Input => Ok((nodes, parser.defined)),
        Closer::End => parser.error("unexpected {{end}}"),
        Closer::Else(_) => parser.error("unexpected {{else}}"),
    }
}

/// What closed a block.
enum Closer {
    Input,
    End,
    /// The words behind `else`.
    Else(Vec<Word>),
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    defined: Defined,
    /// The variables in scope.
    variables: Vec<String>,
    depth: usize,
    loops: usize,
    line: usize,
}

impl Parser<'_> {
    fn error<T>(&self, reason: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { line: self.line, reason: reason.into() })
    }

    fn deeper(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.error("nested too deeply") } else { Ok(()) }
    }

    fn block(&mut self) -> Result<(Vec<Node>, Closer), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (words, line) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action { words, line } => (words, line),
            };
            self.line = line;
            let keyword = match words.first() {
                Some(Word::Name(name)) => name.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" if words.len() == 1 => return Ok((nodes, Closer::End)),
                "end" => return self.error("unexpected words in end"),
                "else" => return Ok((nodes, Closer::Else(words[1..].to_vec()))),
                "if" => nodes.push(Node::If(self.branch(&words[1..], "if")?)),
                "with" => nodes.push(Node::With(self.branch(&words[1..], "with")?)),
                "range" => {
                    self.loops += 1;
                    nodes.push(Node::Range(self.branch(&words[1..], "range")?));
                    self.loops -= 1;
                }
                "break" | "continue" if words.len() == 1 && self.loops > 0 => {
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "break" | "continue" => {
                    return self.error(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                "template" => nodes.push(self.call(&words[1..])?),
                "define" => {
                    let name = self.template_name(&words[1..], true)?;
                    let body = self.definition()?;
                    self.defined.insert(name, body);
                }
                "block" => {
                    let call = self.call(&words[1..])?;
                    let body = self.definition()?;
                    if let Node::Call { name, .. } = &call {
                        self.defined.entry(name.clone()).or_insert(body);
                    }
                    nodes.push(call);
                }
                _ => nodes.push(Node::Value(self.pipe(&words, false)?)),
            }
        }
        Ok((nodes, Closer::Input))
    }

    /// What stands between a keyword with a pipeline and its `end`.
    fn branch(&mut self, words: &[Word], keyword: &str) -> Result<Branch, TemplateError> {
        self.deeper()?;
        let scope = self.variables.len();
        let pipe = self.pipe(words, keyword == "range")?;
        let (body, end) = self.block()?;
        let otherwise = match end {
            Closer::End => Vec::new(),
            Closer::Input => return self.error("unexpected end of the template"),
            Closer::Else(words) if words.is_empty() => match self.block()? {
                (nodes, Closer::End) => nodes,
                _ => return self.error("expected {{end}}"),
            },
            Closer::Else(words) => match words.first() {
                // `else if` shares the outer `end`.
                Some(Word::Name(name)) if name == "if" && keyword == "if" => {
                    vec![Node::If(self.branch(&words[1..], "if")?)]
                }
                Some(Word::Name(name)) if name == "with" && keyword == "with" => {
                    vec![Node::With(self.branch(&words[1..], "with")?)]
                }
                _ => return self.error("unexpected words in else"),
            },
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok(Branch { pipe, body, otherwise })
    }

    /// The body of `define` or `block`.
    fn definition(&mut self) -> Result<Vec<Node>, TemplateError> {
        self.deeper()?;
        let outside = std::mem::replace(&mut self.variables, vec![String::new()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.block()?;
        self.variables = outside;
        self.loops = loops;
        self.depth -= 1;
        match end {
            Closer::End => Ok(nodes),
            _ => self.error("expected {{end}}"),
        }
    }

    fn template_name(&self, words: &[Word], alone: bool) -> Result<String, TemplateError> {
        match words.first() {
            Some(Word::Text(name)) if !alone || words.len() == 1 => Ok(name.clone()),
            _ => self.error("expected the name of a template"),
        }
    }

    fn call(&mut self, words: &[Word]) -> Result<Node, TemplateError> {
        let name = self.template_name(words, false)?;
        let pipe = if words.len() > 1 { Some(self.pipe(&words[1..], false)?) } else { None };
        Ok(Node::Call { name, pipe })
    }

    /// A whole pipeline, with the variables that it declares.
    fn pipe(&mut self, words: &[Word], is_range: bool) -> Result<Pipe, TemplateError> {
        let at = words.iter().position(|word| matches!(word, Word::Declare | Word::Assign));
        let (variables, assigns, rest) = match at {
            None => (Vec::new(), false, words),
            Some(at) => {
                let names = match &words[..at] {
                    [Word::Variable(one)] => vec![one.clone()],
                    [Word::Variable(one), Word::Comma, Word::Variable(two)] if is_range => {
                        vec![one.clone(), two.clone()]
                    }
                    _ => return self.error("bad declaration of variables"),
                };
                (names, words[at] == Word::Assign, &words[at + 1..])
            }
        };
        let mut words = Words { words: rest, at: 0 };
        let commands = self.commands(&mut words, false)?;
        if assigns {
            if let Some(name) = variables.iter().find(|name| !self.variables.contains(name)) {
                return self.error(format!("undefined variable {:?}", format!("${name}")));
            }
        } else {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { variables, assigns, commands })
    }

    fn commands(&mut self, words: &mut Words<'_>, nested: bool) -> Result<Vec<Vec<Operand>>, TemplateError> {
        let mut commands = vec![Vec::new()];
        loop {
            let command = commands.last_mut().expect("invariant: there is always one command");
            match words.next() {
                Some(Word::Pipe) if !command.is_empty() => commands.push(Vec::new()),
                Some(Word::Close) if nested => break,
                None if !nested => break,
                None => return self.error("unclosed left paren"),
                Some(Word::Field { name, glued: true }) if !command.is_empty() => {
                    let fields = match command.last_mut() {
                        Some(
                            Operand::Field(fields)
                            | Operand::Variable(_, fields)
                            | Operand::Nested(_, fields),
                        ) => fields,
                        _ => return self.error("unexpected . after term"),
                    };
                    if name.is_empty() {
                        return self.error("unexpected . after term");
                    }
                    fields.push(name.clone());
                }
                Some(word) => {
                    let operand = self.operand(word, words)?;
                    commands.last_mut().expect("invariant: there is always one command").push(operand);
                }
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return self.error("missing value for command");
        }
        // Only the first command may begin with something that is no function.
        let literal = |command: &Vec<Operand>| {
            matches!(
                command[0],
                Operand::Nil
                    | Operand::Bool(_)
                    | Operand::Integer(_)
                    | Operand::Float(_)
                    | Operand::Text(_)
                    | Operand::Dot
            )
        };
        if commands[1..].iter().any(literal) {
            return self.error("non executable command in pipeline");
        }
        Ok(commands)
    }

    fn operand(&mut self, word: &Word, words: &mut Words<'_>) -> Result<Operand, TemplateError> {
        Ok(match word {
            Word::Field { name, .. } if name.is_empty() => Operand::Dot,
            Word::Field { name, .. } => Operand::Field(vec![name.clone()]),
            Word::Variable(name) => {
                if !self.variables.contains(name) {
                    return self.error(format!("undefined variable {:?}", format!("${name}")));
                }
                Operand::Variable(name.clone(), Vec::new())
            }
            Word::Name(name) => match name.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                name if super::functions::exists(name) => Operand::Function(name.to_owned()),
                other => return self.error(format!("function {other:?} not defined")),
            },
            Word::Text(text) => Operand::Text(text.clone()),
            Word::Integer(value) => Operand::Integer(*value),
            Word::Float(value) => Operand::Float(*value),
            Word::Open => {
                self.deeper()?;
                let commands = self.commands(words, true)?;
                self.depth -= 1;
                Operand::Nested(
                    Box::new(Pipe { variables: Vec::new(), assigns: false, commands }),
                    Vec::new(),
                )
            }
            other => return self.error(format!("unexpected {other:?} in command")),
        })
    }
}

struct Words<'a> {
    words: &'a [Word],
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.at);
        self.at += 1;
        word
    }
}
