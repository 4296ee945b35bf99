//! The statements that change rows.

use crate::parse::body;
use crate::parse::prefer::Resolution;
use crate::plan::mutate::{Delete, Insert, MutatePlan, Update};
use crate::plan::tree::{Column, Logic, Source};
use crate::sql::fragment::{joined_embed, logic};
use crate::sql::{Parameter, Sql};

const BODY: &str = "pgrst_body";

/// The statement of a change.
pub(super) fn change<'a>(sql: &mut Sql<'a>, plan: &MutatePlan<'a>) {
    match plan {
        MutatePlan::Insert(plan) => insert(sql, plan),
        MutatePlan::Update(plan) => update(sql, plan),
        MutatePlan::Delete(plan) => delete(sql, plan),
    }
}

fn insert<'a>(sql: &mut Sql<'a>, plan: &Insert<'a>) {
    sql.push("INSERT INTO ").source(&plan.table);
    if !plan.columns.is_empty() {
        sql.push("(").list(&plan.columns, ", ", |sql, column| {
            sql.identifier(&column.name);
        });
        sql.push(")");
    }
    let rows = Source::alias(BODY);
    sql.push(" SELECT ").list(&plan.columns, ", ", |sql, column| {
        sql.column(&rows, &column.name);
    });
    sql.push(" ");
    from_json(sql, plan.body, &plan.columns, false, plan.defaults);
    let merges = matches!(plan.on_conflict, Some((Resolution::MergeDuplicates, _)));
    if merges {
        // Counts the rows that are tried; those that turn out to be there are taken off again below.
        sql.push(" WHERE ");
        counted(sql, true);
        for tree in &plan.conditions {
            sql.push(" AND ");
            condition(sql, &rows, tree);
        }
    }
    if let Some((resolution, target)) = plan.on_conflict.as_ref().filter(|(_, target)| !target.is_empty()) {
        sql.push(" ON CONFLICT(").list(target, ", ", |sql, name| {
            sql.identifier(name);
        });
        sql.push(") ");
        if *resolution == Resolution::IgnoreDuplicates || plan.columns.is_empty() {
            sql.push("DO NOTHING");
        } else {
            sql.push("DO UPDATE SET ").list(&plan.columns, ", ", |sql, column| {
                sql.identifier(&column.name).push(" = EXCLUDED.").identifier(&column.name);
            });
            sql.push(" WHERE ");
            counted(sql, false);
        }
    }
    returning(sql, &plan.table, &plan.returning);
}

/// Counts a row up or down in a setting of the transaction; always true.
fn counted(sql: &mut Sql<'_>, up: bool) {
    sql.push(
        "set_config('pgrst.inserted', (coalesce(nullif(current_setting('pgrst.inserted', true), '')::int, 0)",
    );
    sql.push(if up { " + 1)::text, true) <> '0'" } else { " - 1)::text, true) <> '-1'" });
}

fn update<'a>(sql: &mut Sql<'a>, plan: &Update<'a>) {
    if plan.columns.is_empty() {
        // Nothing to set, so nothing changes; the columns must still be there for what is selected.
        sql.push("SELECT ");
        let rows = Source::alias(plan.table.name.clone());
        if plan.returning.is_empty() {
            sql.push("NULL");
        } else {
            sql.list(&plan.returning, ", ", |sql, name| {
                sql.column(&rows, name);
            });
        }
        sql.push(" FROM ").source(&plan.table).push(" WHERE false");
        return;
    }
    let body = Source::alias(BODY);
    sql.push("UPDATE ").source(&plan.table).push(" SET ");
    sql.list(&plan.columns, ", ", |sql, column| {
        sql.identifier(&column.name).push(" = ").column(&body, &column.name);
    });
    sql.push(" ");
    from_json(sql, plan.body, &plan.columns, false, plan.defaults);
    conditions(sql, &plan.table, &plan.conditions);
    returning(sql, &plan.table, &plan.returning);
}

fn delete<'a>(sql: &mut Sql<'a>, plan: &Delete<'a>) {
    sql.push("DELETE FROM ").source(&plan.table);
    conditions(sql, &plan.table, &plan.conditions);
    returning(sql, &plan.table, &plan.returning);
}

fn conditions<'a>(sql: &mut Sql<'a>, table: &Source<'_>, trees: &[Logic<'a>]) {
    for (index, tree) in trees.iter().enumerate() {
        sql.push(if index == 0 { " WHERE " } else { " AND " });
        condition(sql, table, tree);
    }
}

fn condition<'a>(sql: &mut Sql<'a>, table: &Source<'_>, tree: &Logic<'a>) {
    logic(sql, table, tree, &mut |sql, exists, alias| joined_embed(sql, exists, alias));
}

fn returning(sql: &mut Sql<'_>, table: &Source<'_>, columns: &[&str]) {
    if columns.is_empty() {
        // Enough to count the rows, and it needs no right to read them.
        sql.push(" RETURNING 1");
        return;
    }
    sql.push(" RETURNING ").list(columns, ", ", |sql, name| {
        sql.column(table, name);
    });
}

/// The rows of a JSON body, with typed columns, as `pgrst_body`.
pub(super) fn from_json<'a>(
    sql: &mut Sql<'a>,
    json: &'a [u8],
    columns: &[Column<'a>],
    first_only: bool,
    defaults: bool,
) {
    let object = body::is_object(json);
    sql.push("FROM (SELECT ");
    sql.parameter(if defaults { Parameter::Jsonb(json) } else { Parameter::Json(json) });
    sql.push(" AS json_data) pgrst_payload, ");
    if defaults {
        if object {
            sql.push("LATERAL (SELECT ");
            default_values(sql, columns);
            sql.push(" || pgrst_payload.json_data AS val) pgrst_json_defs, ");
        } else {
            sql.push("LATERAL (SELECT jsonb_agg(");
            default_values(sql, columns);
            sql.push(
                " || elem) AS val FROM jsonb_array_elements(pgrst_payload.json_data) elem) pgrst_json_defs, ",
            );
        }
    }
    let source = if defaults { "pgrst_json_defs.val" } else { "pgrst_payload.json_data" };
    sql.push("LATERAL (SELECT ").list(columns, ", ", |sql, column| match column.transform {
        Some(function) => {
            sql.trusted(function).push("(").identifier(&column.name).push(") AS ").identifier(&column.name);
        }
        None => {
            sql.identifier(&column.name);
        }
    });
    sql.push(" FROM ");
    match (columns.is_empty(), object) {
        // Empty objects still count: each is a row of defaults.
        (true, true) => {
            sql.push("(values(1)) _");
        }
        (true, false) => {
            sql.push(if defaults { "jsonb_array_elements(" } else { "json_array_elements(" });
            sql.push(source).push(") _");
        }
        (false, _) => {
            sql.push(match (defaults, object) {
                (false, true) => "json_to_record(",
                (false, false) => "json_to_recordset(",
                (true, true) => "jsonb_to_record(",
                (true, false) => "jsonb_to_recordset(",
            });
            sql.push(source).push(") AS _(").list(columns, ", ", |sql, column| {
                sql.identifier(&column.name).push(" ").trusted(column.value_type);
            });
            sql.push(")");
            if first_only {
                sql.push(" LIMIT 1");
            }
        }
    }
    sql.push(") pgrst_body");
}

/// An object of the columns' defaults.
fn default_values(sql: &mut Sql<'_>, columns: &[Column<'_>]) {
    sql.push("jsonb_build_object(");
    let with_default = columns.iter().filter_map(|column| Some((column, column.default?)));
    sql.list(with_default, ", ", |sql, (column, default)| {
        sql.literal(&column.name).push(", ").trusted(default);
    });
    sql.push(")");
}
