//! The one statement that a request sends: it reads or changes rows, counts them, and builds the body.

use crate::catalog::Routine;
use crate::parse::media::{MediaType, PlanMedia};
use crate::parse::prefer::Return;
use crate::parse::range::RowRange;
use crate::plan::{Body, CallReadPlan, MutatePlan, MutateReadPlan, ReadNode, ReadPlan};
use crate::sql::{Parameter, Sql, call as call_sql, mutate as mutate_sql, read as read_sql};

/// The columns of the statement's one row. The body comes last, so that it can be passed on while it arrives.
pub struct Columns;

#[allow(missing_docs)]
impl Columns {
    pub const TOTAL: usize = 0;
    pub const PAGE: usize = 1;
    pub const HEADERS: usize = 2;
    pub const STATUS: usize = 3;
    pub const INSERTED: usize = 4;
    pub const LOCATION: usize = 5;
    pub const BODY: usize = 6;
    /// Which columns are asked for in binary: the body, because a media handler may make any bytes.
    pub const BINARY: [bool; 7] = [false, false, false, false, false, false, true];
}

/// A statement and its parameters.
#[derive(Debug)]
pub struct StatementText<'a> {
    /// The text.
    pub text: String,
    /// The parameters.
    pub parameters: Vec<Parameter<'a>>,
}

impl<'a> From<Sql<'a>> for StatementText<'a> {
    fn from(sql: Sql<'a>) -> Self {
        Self { text: sql.text, parameters: sql.parameters }
    }
}

/// What the one row says beside the body.
struct Beside<'p> {
    total: Total,
    page: &'static str,
    inserted: &'static str,
    /// The primary key to make a `Location` of.
    location: Option<&'p [&'p str]>,
    /// Whether a change is answered.
    writes: bool,
}

/// Where the number of all rows comes from.
#[derive(Clone, Copy)]
enum Total {
    Unknown,
    /// The rows of the answer.
    Page,
    /// The table of [`count_table`].
    Counted,
}

/// Whether a read answers with each row of its relation that its conditions leave, once.
fn is_whole(tree: &ReadNode<'_>) -> bool {
    tree.range == RowRange::ALL
        && tree.children.is_empty()
        && tree.select.iter().all(|selected| selected.aggregate.is_none())
}

const COUNT_PAGE: &str = "pg_catalog.count(_postgrest_t) AS page_total, ";
const NOT_COUNTED: &str = "null AS response_inserted";

/// The select list of the outermost statement. A plan shows the columns in the order that PostgREST has them.
fn columns<'a>(sql: &mut Sql<'a>, media: &MediaType, beside: &Beside<'_>, body: impl FnOnce(&mut Sql<'a>)) {
    sql.push(" SELECT ");
    total(sql, beside.total);
    sql.push(beside.page);
    if matches!(media, MediaType::Plan(_)) {
        if beside.writes {
            location(sql, beside.location);
        }
        body(sql);
        sql.push(" AS body, ");
        settings(sql);
        sql.push(beside.inserted);
    } else {
        settings(sql);
        sql.push(beside.inserted).push(", ");
        location(sql, beside.location);
        body(sql);
        sql.push(" AS body");
    }
    sql.push(" FROM ");
}

/// A read.
pub fn read<'a>(plan: &ReadPlan<'a>, exact: bool, count_limit: Option<i64>) -> StatementText<'a> {
    let mut sql = Sql::new();
    explain(&mut sql, &plan.media);
    sql.push("WITH pgrst_source AS ( ");
    read_sql::select(&mut sql, &plan.tree);
    sql.push(" )");
    let total = match exact {
        false => Total::Unknown,
        // Every row is in the answer, and is counted there.
        true if is_whole(&plan.tree) => Total::Page,
        true => {
            count_table(&mut sql, &plan.tree, count_limit);
            Total::Counted
        }
    };
    let beside = Beside { total, page: COUNT_PAGE, inserted: NOT_COUNTED, location: None, writes: false };
    columns(&mut sql, &plan.media, &beside, |sql| body(sql, plan.body, None, true));
    sql.push("( SELECT * FROM pgrst_source ) _postgrest_t");
    sql.into()
}

/// A change and the read of what was changed.
pub fn mutate<'a>(plan: &MutateReadPlan<'a>, representation: Option<Return>) -> StatementText<'a> {
    let mut sql = Sql::new();
    explain(&mut sql, &plan.media);
    sql.push("WITH pgrst_source AS (");
    mutate_sql::change(&mut sql, &plan.change);
    sql.push(")");
    let location = match &plan.change {
        MutatePlan::Insert(insert) if representation == Some(Return::HeadersOnly) => {
            Some(&insert.primary_key[..]).filter(|key| !key.is_empty())
        }
        _ => None,
    };
    let inserted = if plan.change.counts_inserted() {
        "nullif(current_setting('pgrst.inserted', true), '')::int AS response_inserted"
    } else {
        NOT_COUNTED
    };
    let beside = Beside { total: Total::Unknown, page: COUNT_PAGE, inserted, location, writes: true };
    columns(&mut sql, &plan.media, &beside, |sql| body(sql, plan.body, None, false));
    sql.push("(");
    if plan.body == Body::None {
        // Nothing is read, so that nothing selected can fail.
        sql.push("SELECT * FROM pgrst_source");
    } else {
        read_sql::select(&mut sql, &plan.tree);
    }
    sql.push(") _postgrest_t");
    sql.into()
}

/// A call and the read of what was returned.
pub fn call<'a>(plan: &CallReadPlan<'a>, exact: bool) -> StatementText<'a> {
    let mut sql = Sql::new();
    explain(&mut sql, &plan.media);
    sql.push("WITH pgrst_source AS (");
    call_sql::select(&mut sql, &plan.call);
    sql.push(")");
    if exact {
        count_table(&mut sql, &plan.tree, None);
    }
    let page = if plan.routine.returns.set { COUNT_PAGE } else { "1 AS page_total, " };
    let total = if exact { Total::Counted } else { Total::Unknown };
    let beside = Beside { total, page, inserted: NOT_COUNTED, location: None, writes: false };
    columns(&mut sql, &plan.media, &beside, |sql| body(sql, plan.body, Some(plan.routine), false));
    sql.push("(");
    read_sql::select(&mut sql, &plan.tree);
    sql.push(") _postgrest_t");
    sql.into()
}

/// The planner's guess of how many rows a read has.
pub fn explain_count<'a>(tree: &ReadNode<'a>) -> StatementText<'a> {
    let mut sql = Sql::new();
    sql.push("EXPLAIN (FORMAT JSON) ");
    read_sql::count(&mut sql, tree);
    sql.into()
}

fn explain(sql: &mut Sql<'_>, media: &MediaType) {
    let MediaType::Plan(plan) = media else { return };
    let PlanMedia { json, options, .. } = &**plan;
    sql.push(if *json { "EXPLAIN (FORMAT JSON" } else { "EXPLAIN (FORMAT TEXT" });
    for option in options {
        sql.push(", ").push(option.word());
    }
    sql.push(") ");
}

fn count_table<'a>(sql: &mut Sql<'a>, tree: &ReadNode<'a>, limit: Option<i64>) {
    sql.push(", pgrst_source_count AS (");
    read_sql::count(sql, tree);
    if let Some(limit) = limit {
        sql.push(" LIMIT ").trusted(&limit.to_string());
    }
    sql.push(")");
}

fn total(sql: &mut Sql<'_>, total: Total) {
    sql.push(match total {
        Total::Unknown => "null::bigint AS total_result_set, ",
        Total::Page => "pg_catalog.count(_postgrest_t) AS total_result_set, ",
        Total::Counted => "(SELECT pg_catalog.count(*) FROM pgrst_source_count) AS total_result_set, ",
    });
}

/// What the transaction wants the answer to be. A setting of an earlier transaction reads as empty, not as null.
fn settings(sql: &mut Sql<'_>) {
    sql.push(
        "nullif(current_setting('response.headers', true), '') AS response_headers, \
         nullif(current_setting('response.status', true), '') AS response_status, ",
    );
}

/// The primary key of the one new row, as pairs.
fn location(sql: &mut Sql<'_>, primary_key: Option<&[&str]>) {
    let Some(primary_key) = primary_key else {
        sql.push("null AS header, ");
        return;
    };
    sql.push(
        "CASE WHEN pg_catalog.count(_postgrest_t) = 1 THEN (SELECT json_agg(json_build_array(cell.key, cell.value)) \
         FROM (SELECT row_to_json(s) AS cells FROM pgrst_source s LIMIT 1) one, json_each_text(one.cells) cell \
         WHERE cell.key IN (",
    );
    sql.list(primary_key, ", ", |sql, name| {
        sql.literal(name);
    });
    sql.push(")) END AS header, ");
}

fn body<'a>(sql: &mut Sql<'a>, body: Body<'_>, routine: Option<&Routine>, source_is_output: bool) {
    let scalar = routine.is_some_and(Routine::returns_scalar);
    let row = if scalar || routine.is_some_and(Routine::returns_set_of_scalar) {
        "_postgrest_t.pgrst_scalar"
    } else {
        "_postgrest_t"
    };
    let stripped = |sql: &mut Sql<'a>, strip: bool, inner: &dyn Fn(&mut Sql<'a>)| {
        if strip {
            sql.push("json_strip_nulls(");
        }
        inner(sql);
        if strip {
            sql.push(")");
        }
    };
    match body {
        Body::None => {
            sql.push("''::text");
        }
        Body::Json { nulls_stripped } => {
            let single = scalar || routine.is_some_and(Routine::returns_single_row);
            sql.push("coalesce(");
            stripped(sql, nulls_stripped, &|sql| {
                sql.push("json_agg(").push(row).push(if single { ")->0" } else { ")" });
            });
            sql.push(if single { ", 'null')" } else { ", '[]')" });
        }
        Body::Object { nulls_stripped } => {
            sql.push("coalesce(");
            stripped(sql, nulls_stripped, &|sql| {
                sql.push("json_agg(").push(if scalar { row } else { "_postgrest_t" }).push(")->0");
            });
            sql.push(", 'null')");
        }
        Body::Csv => {
            sql.push("(SELECT coalesce(string_agg(k, ','), '') FROM ");
            sql.push(if source_is_output {
                "(SELECT json_object_keys(row_to_json(s)) AS k FROM (SELECT * FROM pgrst_source LIMIT 1) s) keys"
            } else {
                // All rows have the same keys, and any of them will do.
                "json_object_keys(min(row_to_json(_postgrest_t)::text)::json) AS k"
            });
            sql.push(
                ") || E'\\n' || coalesce(string_agg(substring(_postgrest_t::text, 2, length(_postgrest_t::text) - 2), \
                 E'\\n'), '')",
            );
        }
        Body::GeoJson => {
            sql.push(
                "json_build_object('type', 'FeatureCollection', 'features', \
                 coalesce(json_agg(ST_AsGeoJSON(_postgrest_t)::json), '[]'))",
            );
        }
        Body::Custom(handler) => {
            sql.qualified(&handler.function.schema, &handler.function.name).push("(");
            match (&handler.target, scalar) {
                (_, true) => {
                    sql.push("_postgrest_t.pgrst_scalar");
                }
                (None, false) => {
                    sql.push("_postgrest_t");
                }
                (Some(target), false) => {
                    sql.push("_postgrest_t::").qualified(&target.schema, &target.name);
                }
            }
            sql.push(")");
        }
    }
}
