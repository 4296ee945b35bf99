//! Building the read plan, stage by stage. The order of the stages is the order of their errors.

use std::borrow::Cow;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::Error;
use crate::parse::ast::{Aggregate, IsValue, JsonKey, Operation, SelectField, SelectItem};
use crate::parse::range::RowRange;
use crate::parse::request::{Action, Request};
use crate::plan::places::{Named, Places, update};
use crate::plan::resolve::{self, Columns};
use crate::plan::tree::{Column, Logic, Order, Output, ReadNode, Selected, Spread, SpreadColumn};
use crate::plan::weight::{Allowance, MOST_COLUMNS};
use crate::plan::{embed, spread};

/// The read plan of a request: of a relation, or of what a change or a function returns.
pub(crate) fn tree<'a>(
    request: &'a Request,
    catalog: &'a Catalog,
    config: &'a Config,
    schema: &'a str,
    name: &'a str,
) -> Result<ReadNode<'a>, Error> {
    let mut root = ReadNode::new(schema, name, 0);
    add_select(&mut root, &request.query.select, catalog, schema);
    let mut places = Places::default();
    add_filters(&mut root, &mut places, request, catalog)?;
    add_orders(&mut root, &mut places, request, catalog)?;
    add_ranges(&mut root, &mut places, request)?;
    add_logic(&mut root, &mut places, request, catalog)?;
    places.arrange(&mut root);
    embed::relate(&mut root, request, catalog, schema)?;
    expand_stars(&mut root, catalog, false);
    add_aliases(&mut root);
    relate_orders(&mut root)?;
    filter_embeds(&mut root);
    let mut allowance = Allowance::new();
    allowance.take_count(&root)?;
    add_outputs(&mut root, &mut allowance)?;
    if !config.aggregates_enabled {
        refuse_aggregates(&root)?;
    }
    spread::hoist_aggregates(&mut root);
    spread::order_arrays(&mut root)?;
    allowance.take_orders(&root)?;
    if let (Some(max), false) = (config.max_rows, request.action.mutates()) {
        restrict(&mut root, max);
    }
    Ok(root)
}

fn add_select<'a>(node: &mut ReadNode<'a>, items: &'a [SelectItem], catalog: &'a Catalog, schema: &'a str) {
    let columns = Columns::of(catalog, node.relation.0, &node.relation.1);
    for item in items {
        match item {
            SelectItem::Field(field) => node.select.push(selected(field, columns)),
            SelectItem::Embed(embed) => {
                let mut child = ReadNode::new(schema, &embed.relation, node.depth + 1);
                child.alias = embed.alias.as_deref();
                child.hint = embed.hint.as_deref();
                child.join = embed.join;
                child.spread = embed.spread.then_some(Spread::ToOne);
                add_select(&mut child, &embed.select, catalog, schema);
                node.children.push(child);
            }
        }
    }
}

fn selected<'a>(field: &'a SelectField, columns: Columns<'a>) -> Selected<'a> {
    Selected {
        column: columns.output(&field.field),
        aggregate: field.aggregate,
        aggregate_cast: field.aggregate_cast.as_deref(),
        cast: field.cast.as_deref(),
        alias: field.alias.as_deref().map(Cow::Borrowed),
    }
}

fn columns_of<'a>(catalog: &'a Catalog, node: &ReadNode<'a>) -> Columns<'a> {
    Columns::of(catalog, node.relation.0, &node.relation.1)
}

fn add_filters<'a>(
    root: &mut ReadNode<'a>,
    places: &mut Places<'a>,
    request: &'a Request,
    catalog: &'a Catalog,
) -> Result<(), Error> {
    let with_root = matches!(request.action, Action::Read { .. } | Action::Call(_));
    for (path, filter) in request.query.filters.iter().rev() {
        if with_root || !path.is_empty() {
            update(root, places, path, |node| {
                let condition = columns_of(catalog, node).condition(filter);
                node.conditions.push(condition);
            })?;
        }
    }
    Ok(())
}

fn add_orders<'a>(
    root: &mut ReadNode<'a>,
    places: &mut Places<'a>,
    request: &'a Request,
    catalog: &'a Catalog,
) -> Result<(), Error> {
    // Columns of an order are looked up in the root, whatever the node: this is what PostgREST does.
    let columns = columns_of(catalog, root);
    for (path, terms) in request.query.order.iter().rev() {
        update(root, places, path, |node| {
            node.order = terms
                .iter()
                .map(|term| Order {
                    column: match term.relation {
                        Some(_) => Column::unknown(term.field.name.as_str(), &term.field.path),
                        None => columns.order(&term.field),
                    },
                    relation: term.relation.as_deref().map(Cow::Borrowed),
                    direction: term.direction,
                    nulls: term.nulls,
                })
                .collect();
        })?;
    }
    Ok(())
}

fn add_ranges<'a>(
    root: &mut ReadNode<'a>,
    places: &mut Places<'a>,
    request: &'a Request,
) -> Result<(), Error> {
    if request.action.mutates() {
        return Ok(());
    }
    root.range = request.range;
    for (path, range) in &request.query.ranges {
        update(root, places, path, |node| node.range = *range)?;
    }
    Ok(())
}

fn add_logic<'a>(
    root: &mut ReadNode<'a>,
    places: &mut Places<'a>,
    request: &'a Request,
    catalog: &'a Catalog,
) -> Result<(), Error> {
    for (path, logic) in request.query.logic.iter().rev() {
        update(root, places, path, |node| {
            let logic = columns_of(catalog, node).logic(logic);
            node.conditions.push(logic);
        })?;
    }
    Ok(())
}

/// Replaces `*` by the columns where their names must be known: when a value has another form outside, beside aggregates,
/// and in spreads.
fn expand_stars<'a>(node: &mut ReadNode<'a>, catalog: &'a Catalog, grouped: bool) {
    let grouped = grouped
        || node.select.iter().any(|selected| selected.aggregate.is_some())
        || matches!(node.spread, Some(Spread::ToMany { .. }));
    let spread = node.spread.is_some();
    let columns = columns_of(catalog, node);
    // PostgreSQL refuses a list of more than 1664 columns, so beyond that there is nothing to expand.
    let mut left = MOST_COLUMNS as isize;
    let star = node.select.iter().any(|selected| {
        selected.column.name == "*"
            && (selected.aggregate.is_none() || (spread && selected.aggregate == Some(Aggregate::Count)))
    });
    if star {
        let all = columns.table.map_or(&[][..], |table| table.columns());
        let converted =
            || all.iter().any(|column| catalog.representation(&column.nominal_type, "json").is_some());
        if grouped || converted() {
            node.select = std::mem::take(&mut node.select)
                .into_iter()
                .flat_map(|mut selected| {
                    if !selected.column.is_star() {
                        return vec![selected];
                    }
                    left -= all.len() as isize;
                    match selected.aggregate {
                        None if left < 0 => vec![selected],
                        None => all
                            .iter()
                            .map(|column| Selected {
                                column: columns.with_output(resolve::known(column)),
                                ..selected.clone()
                            })
                            .collect(),
                        Some(Aggregate::Count) if spread => {
                            selected.column.full_row = true;
                            vec![selected]
                        }
                        Some(_) => vec![selected],
                    }
                })
                .collect();
        }
    }
    for child in &mut node.children {
        expand_stars(child, catalog, grouped);
    }
}

/// Names columns that PostgreSQL would name otherwise.
fn add_aliases(node: &mut ReadNode<'_>) {
    let spread = node.spread.is_some();
    for selected in &mut node.select {
        if selected.alias.is_some() {
            continue;
        }
        if let Some(aggregate) = selected.aggregate {
            if spread {
                selected.alias = Some(Cow::Borrowed(aggregate.column()));
            }
        } else if !selected.column.path.is_empty() {
            // An index has no name: the last key before it does, or else the column.
            let key = selected.column.path.iter().rev().find_map(|step| match step.key() {
                JsonKey::Name(name) => Some(name.as_str()),
                JsonKey::Index(_) => None,
            });
            selected.alias = Some(key.map_or_else(|| selected.column.name.clone(), Cow::Borrowed));
        } else if selected.column.transform.is_some() {
            selected.alias = Some(selected.column.name.clone());
        }
    }
    node.children.iter_mut().for_each(add_aliases);
}

/// Points orders by a related table to the alias of that embed.
fn relate_orders(node: &mut ReadNode<'_>) -> Result<(), Error> {
    let children =
        Named::new(if node.order.is_empty() { &[] } else { &node.children }, |child| child.output_name());
    for order in &mut node.order {
        let Some(relation) = &order.relation else { continue };
        let Some(child) = children.find(relation) else {
            return Err(Error::NotEmbedded(relation.to_string()));
        };
        if !child.relationship.is_some_and(|relationship| relationship.is_to_one()) {
            return Err(Error::RelatedOrder {
                origin: node.from.name.to_string(),
                target: child.output_name().to_owned(),
            });
        }
        order.relation = Some(Cow::Owned(child.aggregate_alias.clone()));
    }
    node.children.iter_mut().try_for_each(relate_orders)
}

/// Turns `embed=is.null` into the question whether the embed has rows.
fn filter_embeds(node: &mut ReadNode<'_>) {
    fn visit(logic: &mut Logic<'_>, children: &Named<'_, '_>) {
        match logic {
            Logic::Group { members, .. } => members.iter_mut().for_each(|member| visit(member, children)),
            Logic::Filter { column, condition } if column.path.is_empty() => {
                if condition.operation == Operation::Is(IsValue::Null)
                    && let Some(child) = children.find(&column.name)
                {
                    *logic =
                        Logic::Embedded { exists: condition.negated, alias: child.aggregate_alias.clone() };
                }
            }
            Logic::Filter { .. } | Logic::Embedded { .. } => {}
        }
    }
    if !node.conditions.is_empty() && !node.children.is_empty() {
        let children = Named::new(&node.children, |child| child.output_name());
        node.conditions.iter_mut().for_each(|logic| visit(logic, &children));
    }
    node.children.iter_mut().for_each(filter_embeds);
}

/// Decides how embeds appear in their parents, innermost first.
fn add_outputs(node: &mut ReadNode<'_>, allowance: &mut Allowance) -> Result<(), Error> {
    for child in &mut node.children {
        add_outputs(child, allowance)?;
    }
    node.outputs.reserve_exact(node.children.len());
    for child in &node.children {
        let Some(relationship) = child.relationship else { continue };
        let alias = child.aggregate_alias.clone();
        node.outputs.push(match child.spread {
            Some(_) => {
                allowance.take_columns(columns_handed_up(child))?;
                Output::Spread { columns: spread_columns(child), alias }
            }
            None => Output::Json {
                name: child.output_name(),
                alias,
                object: relationship.is_to_one(),
                hidden: selects_nothing(child),
            },
        });
    }
    Ok(())
}

fn columns_handed_up(node: &ReadNode<'_>) -> usize {
    let of_embed = |output: &Output<'_>| match output {
        Output::Json { .. } => 1,
        Output::Spread { columns, .. } => columns.len(),
    };
    node.select.len() + node.outputs.iter().map(of_embed).sum::<usize>()
}

fn selects_nothing(node: &ReadNode<'_>) -> bool {
    node.select.is_empty() && node.children.iter().all(selects_nothing)
}

fn spread_columns<'a>(node: &ReadNode<'a>) -> Vec<SpreadColumn<'a>> {
    let column =
        |name: Cow<'a, str>| SpreadColumn { name, aggregate: None, aggregate_cast: None, alias: None };
    let mut columns: Vec<SpreadColumn<'a>> = node
        .select
        .iter()
        .map(|selected| column(selected.alias.clone().unwrap_or_else(|| selected.column.name.clone())))
        .collect();
    for output in &node.outputs {
        match output {
            Output::Json { name, .. } => columns.push(column(Cow::Borrowed(name))),
            Output::Spread { columns: inner, .. } => columns.extend(inner.iter().cloned()),
        }
    }
    columns
}

fn refuse_aggregates(node: &ReadNode<'_>) -> Result<(), Error> {
    if node.select.iter().any(|selected| selected.aggregate.is_some()) {
        return Err(Error::AggregatesDisabled);
    }
    node.children.iter().try_for_each(refuse_aggregates)
}

fn restrict(node: &mut ReadNode<'_>, max: i64) {
    if node.range != RowRange::LIMIT_ZERO {
        node.range = node.range.restrict(i128::from(max));
    }
    node.children.iter_mut().for_each(|child| restrict(child, max));
}
