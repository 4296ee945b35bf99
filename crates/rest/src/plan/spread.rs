//! Spreads: aggregates that move to the parent, and arrays that keep an order.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::Error;
use crate::parse::ast::Aggregate;
use crate::plan::tree::{Column, Order, Output, ReadNode, Selected, Spread};

/// An aggregate on its way up: it belongs to a column of an embed, and is computed over the groups of an ancestor.
struct Hoisted<'a> {
    alias: String,
    name: Cow<'a, str>,
    aggregate: Aggregate,
    cast: Option<&'a str>,
    output: Option<Cow<'a, str>>,
}

/// Moves the aggregates of to-one spreads to the closest ancestor that is not one: only there is a group to speak of.
pub(crate) fn hoist_aggregates(root: &mut ReadNode<'_>) {
    hoist(root);
}

fn hoist<'a>(node: &mut ReadNode<'a>) -> Vec<Hoisted<'a>> {
    let from_children: Vec<Hoisted<'a>> = node.children.iter_mut().flat_map(hoist).collect();
    if node.spread != Some(Spread::ToOne) {
        apply(node, &from_children);
        return Vec::new();
    }
    let mut hoisted = Vec::new();
    for selected in &mut node.select {
        if let Some(aggregate) = selected.aggregate.take() {
            hoisted.push(Hoisted {
                alias: node.aggregate_alias.clone(),
                name: selected.alias.clone().unwrap_or_else(|| selected.column.name.clone()),
                aggregate,
                cast: selected.aggregate_cast.take(),
                output: selected.alias.clone(),
            });
        }
    }
    hoisted.extend(
        from_children.into_iter().map(|each| Hoisted { alias: node.aggregate_alias.clone(), ..each }),
    );
    hoisted
}

fn apply<'a>(node: &mut ReadNode<'a>, hoisted: &[Hoisted<'a>]) {
    if hoisted.is_empty() {
        return;
    }
    // From the last to the first, so that of equal names the first stays.
    let by_name: HashMap<(&str, &str), &Hoisted<'a>> =
        hoisted.iter().rev().map(|each| ((&*each.alias, &*each.name), each)).collect();
    for output in &mut node.outputs {
        let Output::Spread { columns, alias } = output else { continue };
        for column in columns {
            if let Some(found) = by_name.get(&(alias.as_str(), &*column.name)) {
                column.aggregate = Some(found.aggregate);
                column.aggregate_cast = found.cast;
                column.alias = found.output.clone();
            }
        }
    }
}

/// Moves the order of to-many spreads into their arrays. What is ordered by must be selected for that.
pub(crate) fn order_arrays(node: &mut ReadNode<'_>) -> Result<(), Error> {
    if matches!(node.spread, Some(Spread::ToMany { .. })) {
        let in_output = node.outputs.iter().any(|output| {
            matches!(output, Output::Spread { columns, .. } if columns.iter().any(|c| c.aggregate.is_some()))
        });
        if in_output || node.select.iter().any(|selected| selected.aggregate.is_some()) {
            return Err(Error::NotImplemented(
                "Aggregates are not implemented for one-to-many or many-to-many spreads.",
            ));
        }
        let (mut extra, mut order) = (Vec::new(), Vec::new());
        for (index, term) in std::mem::take(&mut node.order).into_iter().enumerate() {
            // The number keeps the names apart.
            let alias = format!("{}_{}_{}", node.aggregate_alias, term.column.name, index + 1);
            order.push(Order { relation: None, column: Column::unknown(alias.clone(), &[]), ..term.clone() });
            let selected = Selected { alias: Some(Cow::Owned(alias)), ..Selected::plain(term.column) };
            extra.push((term.relation, selected));
        }
        node.spread = Some(Spread::ToMany { extra, order });
    }
    node.children.iter_mut().try_for_each(order_arrays)
}
