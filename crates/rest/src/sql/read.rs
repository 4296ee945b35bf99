//! The select statement of a read plan, and the one that counts its rows.

use crate::catalog::Link;
use crate::parse::ast::Join;
use crate::plan::places::Named;
use crate::plan::tree::{Column, Output, ReadNode, Selected, Source, Spread, SpreadColumn};
use crate::sql::Sql;
use crate::sql::fragment::{aggregated, join_condition, joined_embed, logic, order_by, selected, window};

/// What a node's columns are qualified with.
fn qualifier<'a>(node: &ReadNode<'a>) -> Source<'a> {
    match (&node.from_alias, node.relationship.map(|relationship| &relationship.link)) {
        (Some(alias), _) => Source::alias(alias.clone()),
        (None, Some(Link::Computed { function, .. })) => Source::alias(&*function.name),
        (None, _) => node.from.clone(),
    }
}

/// The select of a node and, joined, of its embeds.
pub(super) fn select<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    let source = qualifier(node);
    sql.push("SELECT ");
    let mut first = true;
    let mut comma = |sql: &mut Sql<'a>| {
        if !std::mem::take(&mut first) {
            sql.push(", ");
        }
    };
    if node.select.is_empty() && node.children.is_empty() {
        comma(sql);
        selected(sql, &source, &Selected::plain(Column::unknown("*", &[])));
    }
    for item in &node.select {
        comma(sql);
        selected(sql, &source, item);
    }
    if let Some(Spread::ToMany { extra, .. }) = &node.spread {
        for (relation, item) in extra {
            comma(sql);
            match relation {
                Some(alias) => selected(sql, &Source::alias(alias.clone()), item),
                None => selected(sql, &source, item),
            }
        }
    }
    for output in &node.outputs {
        match output {
            Output::Json { hidden: true, .. } => {}
            Output::Json { name, alias, object: true, .. } => {
                comma(sql);
                sql.push("row_to_json(").identifier(alias).push(".*)::jsonb AS ").identifier(name);
            }
            Output::Json { name, alias, object: false, .. } => {
                comma(sql);
                sql.push("COALESCE( ").identifier(alias).push(".").identifier(alias);
                sql.push(", '[]') AS ").identifier(name);
            }
            Output::Spread { columns, alias } => {
                for column in columns {
                    comma(sql);
                    spread_column(sql, alias, column);
                }
            }
        }
    }
    from(sql, node);
    // One output for each embed, in their order.
    for (output, child) in node.outputs.iter().zip(&node.children) {
        join(sql, output, child);
    }
    conditions(sql, node, &source, &mut |sql, exists, alias| joined_embed(sql, exists, alias));
    group_by(sql, &source, node);
    order_by(sql, &source, &node.order);
    window(sql, node.range);
}

fn spread_column<'a>(sql: &mut Sql<'a>, alias: &str, column: &SpreadColumn<'a>) {
    aggregated(sql, column.aggregate, column.aggregate_cast, |sql| {
        sql.column(&Source::alias(alias), &column.name);
    });
    if let Some(name) = &column.alias {
        sql.push(" AS ").identifier(name);
    }
}

fn from<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    sql.push(" FROM ");
    let link = node.relationship.map(|relationship| &relationship.link);
    match (link, node.relationship) {
        (Some(Link::Computed { function, .. }), Some(relationship)) => {
            // The cast chooses among overloads: the source may be a common table.
            let parent = node.parent_alias.as_deref().unwrap_or(&relationship.table.name);
            sql.qualified(&function.schema, &function.name).push("(").identifier(parent).push("::");
            sql.qualified(&relationship.table.schema, &relationship.table.name).push(")");
        }
        _ => {
            sql.source(&node.from);
        }
    }
    if let Some(alias) = &node.from_alias {
        sql.push(" AS ").identifier(alias);
    }
    if let Some(Link::Junction(junction)) = link {
        sql.push(", ").qualified(&junction.table.schema, &junction.table.name);
    }
}

fn join<'a>(sql: &mut Sql<'a>, output: &Output<'a>, child: &ReadNode<'a>) {
    let inner = child.join == Some(Join::Inner);
    let alias = output.alias();
    sql.push(if inner { " INNER JOIN LATERAL ( " } else { " LEFT JOIN LATERAL ( " });
    let to_many = match output {
        Output::Json { object, .. } => !object,
        Output::Spread { .. } => matches!(child.spread, Some(Spread::ToMany { .. })),
    };
    if to_many {
        sql.push("SELECT json_agg(").identifier(alias).push(")::jsonb AS ").identifier(alias);
        if let (Output::Spread { columns, .. }, Some(Spread::ToMany { order, .. })) = (output, &child.spread)
        {
            let rows = Source::alias(alias);
            for column in columns {
                sql.push(", COALESCE(json_agg(").column(&rows, &column.name);
                order_by(sql, &rows, order);
                sql.push("),'[]')::jsonb AS ").identifier(column.alias.as_ref().unwrap_or(&column.name));
            }
        }
        sql.push(" FROM (");
        select(sql, child);
        sql.push(" ) AS ").identifier(alias);
    } else {
        select(sql, child);
    }
    sql.push(" ) AS ").identifier(alias);
    if to_many && inner {
        sql.push(" ON ").identifier(alias).push(" IS NOT NULL");
    } else {
        sql.push(" ON TRUE");
    }
}

fn conditions<'a>(
    sql: &mut Sql<'a>,
    node: &ReadNode<'a>,
    source: &Source<'_>,
    embedded: &mut dyn FnMut(&mut Sql<'a>, bool, &str),
) -> bool {
    let mut first = true;
    for tree in &node.conditions {
        sql.push(if std::mem::take(&mut first) { " WHERE " } else { " AND " });
        logic(sql, source, tree, embedded);
    }
    for join in &node.join_conditions {
        sql.push(if std::mem::take(&mut first) { " WHERE " } else { " AND " });
        join_condition(sql, join);
    }
    !first
}

/// Whatever is selected beside an aggregate is what is grouped by.
fn group_by<'a>(sql: &mut Sql<'a>, source: &Source<'_>, node: &ReadNode<'a>) {
    let grouped = node.select.iter().any(|item| item.aggregate.is_some())
        || node.outputs.iter().any(
            |output| matches!(output, Output::Spread { columns, .. } if columns.iter().any(|c| c.aggregate.is_some())),
        );
    if !grouped {
        return;
    }
    let mut first = true;
    let mut term = |sql: &mut Sql<'a>| {
        sql.push(if std::mem::take(&mut first) { " GROUP BY " } else { ", " });
    };
    for item in node.select.iter().filter(|item| item.aggregate.is_none()) {
        term(sql);
        match &item.alias {
            Some(alias) => {
                sql.identifier(alias);
            }
            None => super::fragment::field(sql, source, &item.column),
        }
    }
    for output in &node.outputs {
        match output {
            Output::Json { name, .. } => {
                term(sql);
                sql.identifier(name);
            }
            Output::Spread { columns, alias } => {
                for column in columns.iter().filter(|column| column.aggregate.is_none()) {
                    term(sql);
                    sql.identifier(alias).push(".");
                    sql.identifier(column.alias.as_ref().unwrap_or(&column.name));
                }
            }
        }
    }
}

/// A select of one row for each row of the root, without windows and orders. Inner joins become conditions.
pub(super) fn count<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    let source = qualifier(node);
    sql.push("SELECT 1");
    from(sql, node);
    let children = Named::new(&node.children, |child| &child.aggregate_alias);
    let mut embedded = |sql: &mut Sql<'a>, exists: bool, alias: &str| {
        if let Some(child) = children.find(alias) {
            sql.push(if exists { "EXISTS (" } else { "NOT EXISTS (" });
            count(sql, child);
            sql.push(")");
        }
    };
    let mut conditioned = conditions(sql, node, &source, &mut embedded);
    for child in node.children.iter().filter(|child| child.join == Some(Join::Inner)) {
        sql.push(if std::mem::replace(&mut conditioned, true) { " AND " } else { " WHERE " });
        sql.push("EXISTS (");
        count(sql, child);
        sql.push(" )");
    }
}
