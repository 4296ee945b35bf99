//! Walks the tree over data.

use std::rc::Rc;

use serde_json::Value;

use super::context::Context;
use super::functions;
use super::parse::{Branch, Node, Operand, Pipe};
use super::print;
use super::{MAX_DEPTH, MAX_MADE, MAX_NESTING, MAX_OUTPUT, MAX_STEPS, TemplateError, Tree};

pub(super) fn execute(tree: &Tree, data: &Value, html: bool) -> Result<String> {
    let data = Rc::new(data.clone());
    let mut run = Run {
        tree,
        variables: vec![(String::new(), data.clone())],
        output: String::new(),
        html: html.then(Context::default),
        steps: 0,
        depth: 0,
        nesting: 0,
        made: 0,
    };
    run.walk(&tree.root, &data)?;
    Ok(run.output)
}

type Result<T> = std::result::Result<T, TemplateError>;

/// What a node tells the loop around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'t> {
    tree: &'t Tree,
    /// `$` is the one with an empty name.
    variables: Vec<(String, Rc<Value>)>,
    output: String,
    /// Where in the HTML the next byte lands; none for plain text.
    html: Option<Context>,
    steps: usize,
    /// Templates within templates.
    depth: usize,
    /// Blocks within blocks, those of the templates around included.
    nesting: usize,
    /// Bytes of what functions gave so far.
    made: usize,
}

fn failed<T>(reason: impl Into<String>) -> Result<T> {
    Err(TemplateError::Execution(reason.into()))
}

impl<'t> Run<'t> {
    fn walk(&mut self, nodes: &'t [Node], dot: &Rc<Value>) -> Result<Flow> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return failed("it is nested too deeply");
        }
        let flow = self.each(nodes, dot);
        self.nesting -= 1;
        flow
    }

    fn each(&mut self, nodes: &'t [Node], dot: &Rc<Value>) -> Result<Flow> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return failed("it takes too many steps");
            }
            let flow = self.step(node, dot)?;
            if self.output.len() > MAX_OUTPUT {
                return failed("its output is too large");
            }
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn step(&mut self, node: &'t Node, dot: &Rc<Value>) -> Result<Flow> {
        match node {
            Node::Text(text) => match &mut self.html {
                Some(context) => context.text(text, &mut self.output),
                None => self.output.push_str(text),
            },
            Node::Value(pipe) => {
                let value = self.pipe(pipe, dot)?;
                self.bind(pipe, &value);
                if pipe.variables.is_empty() {
                    self.write(pipe, value.as_deref());
                }
            }
            Node::If(branch) => return self.branch(branch, dot, false),
            Node::With(branch) => return self.branch(branch, dot, true),
            Node::Range(branch) => return self.range(branch, dot),
            Node::Call { name, pipe } => self.call(name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, pipe: &Pipe, value: Option<&Value>) {
        let Some(context) = &mut self.html else {
            match value {
                Some(value) => self.output.push_str(&print::plain(value)),
                None => self.output.push_str("<no value>"),
            }
            return;
        };
        // `html` and `urlquery` at the end do not escape twice.
        let last = match pipe.commands.last().and_then(|command| command.first()) {
            Some(Operand::Function(name)) => name.as_str(),
            _ => "",
        };
        context.value(value.unwrap_or(&Value::Null), last, &mut self.output);
    }

    fn branch(&mut self, branch: &'t Branch, dot: &Rc<Value>, with: bool) -> Result<Flow> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        self.bind(&branch.pipe, &value);
        let value = value.unwrap_or_default();
        let flow = if functions::truth(&value) {
            self.walk(&branch.body, if with { &value } else { dot })
        } else {
            self.walk(&branch.otherwise, dot)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, branch: &'t Branch, dot: &Rc<Value>) -> Result<Flow> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?.unwrap_or_default();
        // One at a time: a number may be large, and loops stand within loops.
        let items: Box<dyn Iterator<Item = (Value, Value)>> = match &*value {
            Value::Null => Box::new(std::iter::empty()),
            Value::Array(items) => {
                Box::new(items.iter().enumerate().map(|(at, item)| (at.into(), item.clone())))
            }
            Value::Object(fields) => {
                let mut items: Vec<_> = fields.iter().collect();
                items.sort_by_key(|(key, _)| key.as_str());
                Box::new(items.into_iter().map(|(key, item)| (Value::String(key.clone()), item.clone())))
            }
            Value::Number(number) if number.is_i64() => {
                let count = number.as_i64().unwrap_or_default();
                Box::new((0..count).map(|at| (at.into(), at.into())))
            }
            other => return failed(format!("range can't iterate over {}", print::plain(other))),
        };
        let mut items = items.peekable();
        if items.peek().is_none() {
            let flow = self.walk(&branch.otherwise, dot);
            self.variables.truncate(scope);
            return flow;
        }
        for (key, item) in items {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return failed("it takes too many steps");
            }
            let item = Rc::new(item);
            let bound: Vec<(&String, Rc<Value>)> = match branch.pipe.variables.as_slice() {
                [] => Vec::new(),
                [one] => vec![(one, item.clone())],
                [one, two, ..] => vec![(one, Rc::new(key)), (two, item.clone())],
            };
            for (name, value) in bound {
                self.set(name, value, branch.pipe.assigns);
            }
            let flow = self.walk(&branch.body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn call(&mut self, name: &str, pipe: Option<&'t Pipe>, dot: &Rc<Value>) -> Result<()> {
        let tree = self.tree;
        let Some(nodes) = tree.defined.get(name) else {
            return failed(format!("template {name:?} not defined"));
        };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return failed(format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        let value = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?.unwrap_or_default(),
            None => Rc::new(Value::Null),
        };
        let outside = std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
        self.walk(nodes, &value)?;
        self.variables = outside;
        self.depth -= 1;
        Ok(())
    }

    fn bind(&mut self, pipe: &Pipe, value: &Option<Rc<Value>>) {
        for name in &pipe.variables {
            self.set(name, value.clone().unwrap_or_default(), pipe.assigns);
        }
    }

    fn set(&mut self, name: &str, value: Rc<Value>, assigns: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some(variable) if assigns => variable.1 = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    /// The value of a pipeline; none if it is a field that a map does not have.
    fn pipe(&mut self, pipe: &Pipe, dot: &Rc<Value>) -> Result<Option<Rc<Value>>> {
        let mut value = None;
        for (at, command) in pipe.commands.iter().enumerate() {
            let piped = if at == 0 { None } else { Some(value.take().unwrap_or_default()) };
            value = self.command(command, piped, dot)?;
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Rc<Value>>,
        dot: &Rc<Value>,
    ) -> Result<Option<Rc<Value>>> {
        let (first, rest) = command.split_first().expect("invariant: no command is empty");
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return failed("can't give argument to non-function");
            }
            return self.operand(first, dot);
        };
        if matches!(name.as_str(), "and" | "or") {
            return self.choose(name == "or", rest, piped, dot).map(Some);
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push((*self.operand(operand, dot)?.unwrap_or_default()).clone());
        }
        arguments.extend(piped.map(|value| (*value).clone()));
        // What doubles a text again and again must end before the memory does.
        if arguments.iter().map(functions::size).sum::<usize>() > MAX_OUTPUT {
            return failed("its values are too large");
        }
        match functions::call(name, &arguments) {
            Ok(value) => {
                self.made += functions::size(&value);
                if self.made > MAX_MADE {
                    failed("its values are too large")
                } else {
                    Ok(Some(Rc::new(value)))
                }
            }
            Err(reason) => failed(format!("error calling {name}: {reason}")),
        }
    }

    /// `and` and `or`: the first argument that decides, the others are not looked at.
    fn choose(
        &mut self,
        wanted: bool,
        operands: &[Operand],
        piped: Option<Rc<Value>>,
        dot: &Rc<Value>,
    ) -> Result<Rc<Value>> {
        let mut value = None;
        for operand in operands {
            let next = self.operand(operand, dot)?.unwrap_or_default();
            if functions::truth(&next) == wanted {
                return Ok(next);
            }
            value = Some(next);
        }
        match piped.or(value) {
            Some(value) => Ok(value),
            None => failed("wrong number of args: want at least 1 got 0"),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Rc<Value>) -> Result<Option<Rc<Value>>> {
        let (value, fields): (Rc<Value>, &[String]) = match operand {
            Operand::Dot => (dot.clone(), &[]),
            Operand::Nil => (Rc::new(Value::Null), &[]),
            Operand::Bool(flag) => (Rc::new(Value::Bool(*flag)), &[]),
            Operand::Integer(value) => (Rc::new(Value::from(*value)), &[]),
            Operand::Float(value) => (Rc::new(Value::from(*value)), &[]),
            Operand::Text(text) => (Rc::new(Value::String(text.clone())), &[]),
            Operand::Field(fields) => (dot.clone(), fields),
            Operand::Variable(name, fields) => {
                let variable = self.variables.iter().rev().find(|(known, _)| known == name);
                match variable {
                    Some((_, value)) => (value.clone(), fields),
                    None => return failed(format!("undefined variable: ${name}")),
                }
            }
            Operand::Nested(pipe, fields) => (self.pipe(pipe, dot)?.unwrap_or_default(), fields),
            Operand::Function(name) if matches!(name.as_str(), "and" | "or") => {
                return failed(format!("wrong number of args for {name}"));
            }
            Operand::Function(name) => match functions::call(name, &[]) {
                Ok(value) => (Rc::new(value), &[]),
                Err(reason) => return failed(format!("error calling {name}: {reason}")),
            },
        };
        follow(value, fields)
    }
}

/// Follows fields into maps. A missing one is no value, as are its own; one of null is an error.
fn follow(value: Rc<Value>, fields: &[String]) -> Result<Option<Rc<Value>>> {
    if fields.is_empty() {
        return Ok(Some(value));
    }
    let mut here: &Value = &value;
    for field in fields {
        here = match here {
            Value::Object(map) => match map.get(field) {
                Some(next) => next,
                None => return Ok(None),
            },
            Value::Null => return failed(format!("nil pointer evaluating interface {{}}.{field}")),
            _ => return failed(format!("can't evaluate field {field} in this type")),
        };
    }
    Ok(Some(Rc::new(here.clone())))
}
