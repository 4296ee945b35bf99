//! Reading the catalogue from the database: two round trips, and what follows from the rows.
//!
//! Everything that follows is worked out on a thread of its own, so that requests do not wait for it.

use std::collections::HashSet;
use std::sync::Arc;

use database::{Access, Connection, Isolation, Param, ResultSet, Statement, TransactionOptions};

use super::rows::{self, Names};
use super::{Catalog, Schema, derive, relationships, view_keys};
use crate::config::Config;

const RELATIONS: &str = include_str!("sql/relations.sql");
const COLUMNS: &str = include_str!("sql/columns.sql");
const DEFAULTS: &str = include_str!("sql/defaults.sql");
const COMMENTS: &str = include_str!("sql/comments.sql");
const TYPES: &str = include_str!("sql/types.sql");
const HIDDEN_COLUMNS: &str = include_str!("sql/hidden_columns.sql");
const KEYS: &str = include_str!("sql/keys.sql");
const VIEWS: &str = include_str!("sql/views.sql");
const FUNCTIONS: &str = include_str!("sql/functions.sql");
const COMPUTED: &str = include_str!("sql/computed.sql");
const REPRESENTATIONS: &str = include_str!("sql/representations.sql");
const HANDLERS: &str = include_str!("sql/handlers.sql");
const TIMEZONES: &str = include_str!("sql/timezones.sql");

/// Why the catalogue could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database refused, or is away.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A row is not what its query promises.
    #[error("the catalogue query {0} returned something unexpected")]
    Shape(&'static str),
    /// The process is about to end, or working it out failed.
    #[error("the catalogue was not worked out: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Reads the catalogue, in one read-only transaction. What cannot change while the server runs is taken from the catalogue
/// `before`.
pub async fn load(
    connection: &mut Connection,
    config: &Config,
    before: Option<&Arc<Catalog>>,
) -> Result<Catalog, LoadError> {
    let answers = fetch(connection, config, before).await?;
    let schemas = config.schemas.clone();
    tokio::task::spawn_blocking(move || build(answers, &schemas)).await?
}

/// What the queries returned.
struct Answers {
    relations: ResultSet,
    columns: ResultSet,
    defaults: ResultSet,
    comments: ResultSet,
    types: ResultSet,
    hidden: ResultSet,
    keys: ResultSet,
    views: ResultSet,
    functions: ResultSet,
    computed: ResultSet,
    representations: ResultSet,
    handlers: ResultSet,
    server: Box<str>,
    timezones: Arc<HashSet<Box<str>>>,
}

async fn fetch(
    connection: &mut Connection,
    config: &Config,
    before: Option<&Arc<Catalog>>,
) -> Result<Answers, LoadError> {
    let options = TransactionOptions {
        isolation: Some(Isolation::RepeatableRead),
        access: Access::ReadOnly,
        ..Default::default()
    };
    let mut transaction = connection.begin(options).await?;
    let schemas = text_array(&config.schemas);
    let extra = text_array(&config.extra_search_path);
    let hoisted = text_array(&config.hoisted_settings);
    let exposed = [Param::Text(&schemas)];
    let with_extra = [Param::Text(&schemas), Param::Text(&extra)];
    let with_hoisted = [Param::Text(&schemas), Param::Text(&hoisted)];
    let statements = [
        // With an empty search path, PostgreSQL writes every name with its schema.
        Statement::new("select set_config('search_path', '', true)", &[]),
        Statement::new("select pg_postmaster_start_time()", &[]),
        Statement::new(RELATIONS, &exposed),
        Statement::new(COLUMNS, &exposed),
        Statement::new(DEFAULTS, &exposed),
        Statement::new(COMMENTS, &exposed),
        Statement::new(HIDDEN_COLUMNS, &exposed),
        Statement::new(KEYS, &[]),
        Statement::new(VIEWS, &with_extra),
        Statement::new(FUNCTIONS, &with_hoisted),
        Statement::new(COMPUTED, &exposed),
        Statement::new(REPRESENTATIONS, &[]),
        Statement::new(HANDLERS, &exposed),
    ]
    .map(Statement::uncached);
    let first = transaction.run(&statements).await?;
    let Ok(
        [
            _,
            server,
            relations,
            columns,
            defaults,
            comments,
            hidden,
            keys,
            views,
            functions,
            computed,
            representations,
            handlers,
        ],
    ) = <[ResultSet; 13]>::try_from(first)
    else {
        return Err(LoadError::Shape("count"));
    };
    let server: Box<str> = server.scalar().unwrap_or_default().into();

    let (oids, modifiers) = types_of(&columns).ok_or(LoadError::Shape("columns"))?;
    let types = [Param::Text(&oids), Param::Text(&modifiers)];
    let known = before.filter(|before| before.server == server).map(|before| before.timezones.clone());
    let statements = [Statement::new(TYPES, &types), Statement::new(TIMEZONES, &[])].map(Statement::uncached);
    let wanted = if known.is_some() { &statements[..1] } else { &statements[..] };
    let mut second = transaction.run(wanted).await?.into_iter();
    transaction.commit().await?;
    let types = second.next().ok_or(LoadError::Shape("count"))?;
    let timezones = known.unwrap_or_else(|| {
        let names = second.flat_map(|result| result.rows);
        Arc::new(names.filter_map(|row| row.text(0).map(Box::from)).collect())
    });
    Ok(Answers {
        relations,
        columns,
        defaults,
        comments,
        types,
        hidden,
        keys,
        views,
        functions,
        computed,
        representations,
        handlers,
        server,
        timezones,
    })
}

/// The types that columns have, as arrays of oids and of modifiers.
fn types_of(columns: &ResultSet) -> Option<(String, String)> {
    let mut types: Vec<(&str, &str)> = Vec::new();
    let mut seen = HashSet::new();
    for row in &columns.rows {
        let each = (row.text(3)?, row.text(4)?);
        if seen.insert(each) {
            types.push(each);
        }
    }
    let array = |of: fn(&(&str, &str)) -> String| {
        format!("{{{}}}", types.iter().map(of).collect::<Vec<_>>().join(","))
    };
    Some((array(|each| each.0.to_owned()), array(|each| each.1.to_owned())))
}

/// The catalogue that follows from the rows. Consumes them as it goes, so that both are not held at once.
fn build(answers: Answers, exposed: &[String]) -> Result<Catalog, LoadError> {
    let shape = LoadError::Shape;
    let mut names = Names::default();
    let relations = rows::relations(&answers.relations, &mut names).ok_or(shape("relations"))?;
    drop(answers.relations);
    let types = rows::types(&answers.types, &mut names).ok_or(shape("types"))?;
    let mut columns = rows::columns(&answers.columns, &types, &mut names).ok_or(shape("columns"))?;
    drop(answers.columns);
    rows::add_defaults(&mut columns, &answers.defaults).ok_or(shape("defaults"))?;
    drop(answers.defaults);
    rows::add_comments(&mut columns, &answers.comments).ok_or(shape("comments"))?;
    let hidden = rows::hidden_columns(&answers.hidden, &mut names).ok_or(shape("hidden columns"))?;
    let keys = rows::keys(&answers.keys, &columns, &hidden, &mut names).ok_or(shape("keys"))?;
    drop((answers.keys, answers.hidden, hidden));
    let (origins, of_exposed) = rows::views(&answers.views).ok_or(shape("views"))?;
    drop(answers.views);
    let computed = rows::computed(&answers.computed, &mut names).ok_or(shape("computed"))?;

    let shown = view_keys::follow(&origins, of_exposed.into_iter());
    let view_keys = derive::shown_keys(&shown, &keys, &relations, &columns);
    let foreign_keys = derive::foreign_keys(&keys, &relations);
    let mut tables = derive::tables(relations, columns, &keys);
    drop(keys);
    relationships::add_view_primary_keys(&mut tables, &view_keys);
    let relationships = relationships::derive(&foreign_keys, &view_keys, computed, &tables);
    drop((foreign_keys, view_keys));

    let mut catalog = Catalog {
        schemas: exposed.iter().map(|name| (names.get(name), Schema::default())).collect(),
        representations: rows::representations(&answers.representations, &mut names)
            .ok_or(shape("representations"))?,
        handlers: rows::handlers(&answers.handlers, &mut names).ok_or(shape("handlers"))?,
        timezones: answers.timezones,
        server: answers.server,
    };
    derive::place_tables(&mut catalog, tables);
    derive::place_relationships(&mut catalog, relationships, exposed);
    for routine in rows::functions(&answers.functions, &mut names).ok_or(shape("functions"))? {
        if let Some(schema) = catalog.schemas.get_mut(&routine.name.schema) {
            schema.routines.entry(routine.name.name.clone()).or_default().push(Arc::new(routine));
        }
    }
    for overloads in catalog.schemas.values_mut().flat_map(|schema| schema.routines.values_mut()) {
        overloads.sort_by(|a, b| a.order(b));
    }
    Ok(catalog)
}

/// An array of text as PostgreSQL writes it.
pub(crate) fn text_array(values: &[String]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

/// The level that a setting names.
pub(crate) fn isolation(name: &str) -> Isolation {
    match name.trim_matches(|c| matches!(c, '"' | '\'' | ' ')).to_ascii_lowercase().as_str() {
        "repeatable read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        _ => Isolation::ReadCommitted,
    }
}
