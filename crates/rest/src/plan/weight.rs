//! How much SQL a request may become.
//!
//! A statement should be about as long as the request that asks for it. Three things are written more often than they are
//! asked for: a spread column once for each level it is handed up, the order of a spread once for each of its columns, and
//! an embed that is only asked for its existence once for each time that is asked while rows are counted. Sent by
//! somebody who means harm, each of them makes of a few kilobytes a statement of hundreds of megabytes.

use std::collections::HashMap;

use crate::error::Error;
use crate::parse::ast::Join;
use crate::plan::tree::{Logic, Output, ReadNode, Spread};

/// The most columns that a `SELECT` can have (`MaxTupleAttributeNumber`).
pub(crate) const MOST_COLUMNS: usize = 1664;

/// How many times something may be written again: sixteen levels of as many columns as there can be.
const MOST_REPEATS: usize = 16 * MOST_COLUMNS;

/// What is left of [`MOST_REPEATS`].
#[derive(Debug)]
pub(crate) struct Allowance(usize);

impl Allowance {
    pub(crate) fn new() -> Self {
        Self(MOST_REPEATS)
    }

    fn take(&mut self, repeats: usize) -> Result<(), Error> {
        self.0 = self.0.checked_sub(repeats).ok_or(Error::TooComplex)?;
        Ok(())
    }

    /// For the columns that an embed hands to its parent. Refuses what PostgreSQL would refuse, in its words.
    pub(crate) fn take_columns(&mut self, columns: usize) -> Result<(), Error> {
        if columns > MOST_COLUMNS { Err(Error::TooManyColumns) } else { self.take(columns) }
    }

    /// For the orders of a node's spread arrays.
    pub(crate) fn take_orders(&mut self, node: &ReadNode<'_>) -> Result<(), Error> {
        for (output, child) in node.outputs.iter().zip(&node.children) {
            if let (Output::Spread { columns, .. }, Some(Spread::ToMany { order, .. })) =
                (output, &child.spread)
            {
                self.take(columns.len().saturating_mul(order.len()))?;
            }
            self.take_orders(child)?;
        }
        Ok(())
    }

    /// For the conditions of the statement that counts rows.
    pub(crate) fn take_count(&mut self, root: &ReadNode<'_>) -> Result<(), Error> {
        if root.children.is_empty() { Ok(()) } else { self.take(counted(root)) }
    }
}

/// How many embeds and conditions are written to count a node's rows, beyond its own.
fn counted(node: &ReadNode<'_>) -> usize {
    // Each once, however often it is asked for.
    let asks = !node.conditions.is_empty();
    let mut children: HashMap<&str, usize> = HashMap::new();
    let mut total: usize = 0;
    for child in &node.children {
        let weight = counted(child).saturating_add(child.conditions.len() + 1);
        if child.join == Some(Join::Inner) {
            total = total.saturating_add(weight);
        }
        if asks {
            children.entry(&child.aggregate_alias).or_insert(weight);
        }
    }
    node.conditions.iter().fold(total, |total, logic| total.saturating_add(asked(logic, &children)))
}

fn asked(logic: &Logic<'_>, children: &HashMap<&str, usize>) -> usize {
    match logic {
        Logic::Group { members, .. } => {
            members.iter().fold(0, |total: usize, member| total.saturating_add(asked(member, children)))
        }
        Logic::Embedded { alias, .. } => children.get(alias.as_str()).copied().unwrap_or(0),
        Logic::Filter { .. } => 0,
    }
}
