//! Reading the catalogue from the database: ten queries in one round trip, and what follows from them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use database::{Access, Connection, Isolation, Param, ResultSet, Row, Statement, TransactionOptions};
use serde_json::Value;

use super::relationships::{self, ColumnPair, ForeignKey, KeyKind, Link, Relationship, ViewKey};
use super::routines::{Parameter, ReturnType, Routine, Volatility};
use super::view_keys::{self, Shown};
use super::{Catalog, Column, Handler, QualifiedName, Schema, Table};
use crate::config::Config;
use crate::parse::media::MediaType;

const RELATIONS: &str = include_str!("sql/relations.sql");
const COLUMNS: &str = include_str!("sql/columns.sql");
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
}

/// Reads the catalogue, in one read-only transaction.
pub async fn load(connection: &mut Connection, config: &Config) -> Result<Catalog, LoadError> {
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
    // With an empty search path, PostgreSQL writes every name with its schema.
    let statements = [
        Statement::new("select set_config('search_path', '', true)", &[]),
        Statement::new(RELATIONS, &exposed),
        Statement::new(COLUMNS, &exposed),
        Statement::new(HIDDEN_COLUMNS, &exposed),
        Statement::new(KEYS, &[]),
        Statement::new(VIEWS, &with_extra),
        Statement::new(FUNCTIONS, &with_hoisted),
        Statement::new(COMPUTED, &exposed),
        Statement::new(REPRESENTATIONS, &[]),
        Statement::new(HANDLERS, &exposed),
        Statement::new(TIMEZONES, &[]),
    ]
    .map(Statement::uncached);
    let results = transaction.run(&statements).await?;
    transaction.commit().await?;
    let [
        _,
        relations,
        columns,
        hidden,
        keys,
        views,
        functions,
        computed,
        representations,
        handlers,
        timezones,
    ] = results.as_slice()
    else {
        return Err(LoadError::Shape("count"));
    };
    let mut names = Names::default();
    let relations = read_relations(relations, &mut names).ok_or(LoadError::Shape("relations"))?;
    let columns = read_columns(columns, &mut names).ok_or(LoadError::Shape("columns"))?;
    let hidden = read_hidden_columns(hidden, &mut names).ok_or(LoadError::Shape("hidden columns"))?;
    let keys = read_keys(keys, &columns, &hidden, &mut names).ok_or(LoadError::Shape("keys"))?;
    let (origins, of_exposed) = read_views(views).ok_or(LoadError::Shape("views"))?;
    let shown = view_keys::follow(&origins, of_exposed.into_iter());

    let view_keys = shown_keys(&shown, &keys, &relations, &columns);
    let computed = read_computed(computed, &mut names).ok_or(LoadError::Shape("computed"))?;
    let foreign_keys = foreign_keys(&keys, &relations);
    let mut tables = tables(&relations, columns, &keys);
    relationships::add_view_primary_keys(&mut tables, &view_keys);
    let relationships = relationships::derive(&foreign_keys, &view_keys, computed, &tables);

    let mut catalog = Catalog {
        schemas: config.schemas.iter().map(|name| (names.get(name), Schema::default())).collect(),
        representations: read_representations(representations, &mut names)
            .ok_or(LoadError::Shape("representations"))?,
        handlers: read_handlers(handlers, &mut names).ok_or(LoadError::Shape("handlers"))?,
        timezones: timezones.rows.iter().filter_map(|row| row.text(0)).map(Box::from).collect(),
    };
    place_tables(&mut catalog, tables);
    place_relationships(&mut catalog, relationships, config);
    for routine in read_functions(functions, &mut names).ok_or(LoadError::Shape("functions"))? {
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

/// Names that occur often are kept once.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.0.insert(name.clone());
        name
    }

    fn qualified(&mut self, schema: &str, name: &str) -> QualifiedName {
        QualifiedName { schema: self.get(schema), name: self.get(name) }
    }
}

fn flag(row: &Row, index: usize) -> Option<bool> {
    Some(row.get(index)? == b"t")
}

fn number<T: std::str::FromStr>(row: &Row, index: usize) -> Option<T> {
    row.text(index)?.parse().ok()
}

fn owned(row: &Row, index: usize) -> Option<Box<str>> {
    row.text(index).map(Box::from)
}

struct RelationRow {
    name: QualifiedName,
    is_view: bool,
    offered: bool,
    description: Option<Box<str>>,
    updatable: i32,
}

fn read_relations(result: &ResultSet, names: &mut Names) -> Option<HashMap<u32, RelationRow>> {
    result
        .rows
        .iter()
        .map(|row| {
            let relation = RelationRow {
                name: names.qualified(row.text(1)?, row.text(2)?),
                is_view: flag(row, 3)?,
                offered: flag(row, 5)? && !flag(row, 4)?,
                description: owned(row, 6),
                updatable: number(row, 7)?,
            };
            Some((number(row, 0)?, relation))
        })
        .collect()
}

type ColumnNames = HashMap<i16, Arc<str>>;

#[derive(Default)]
struct RelationColumns {
    columns: Vec<(i16, Column)>,
    names: ColumnNames,
}

fn read_columns(result: &ResultSet, names: &mut Names) -> Option<HashMap<u32, RelationColumns>> {
    let mut relations: HashMap<u32, RelationColumns> = HashMap::new();
    for row in &result.rows {
        let labels: Vec<Box<str>> = match row.get(9) {
            Some(json) => serde_json::from_slice(json).ok()?,
            None => Vec::new(),
        };
        let column = Column {
            name: names.get(row.text(2)?),
            description: owned(row, 3),
            nullable: flag(row, 4)?,
            data_type: names.get(row.text(5)?),
            nominal_type: names.get(row.text(6)?),
            max_length: row.get(7).and_then(|_| number(row, 7)),
            default: owned(row, 8),
            labels,
        };
        let relation: &mut RelationColumns = relations.entry(number(row, 0)?).or_default();
        let position = number(row, 1)?;
        relation.names.insert(position, column.name.clone());
        relation.columns.push((position, column));
    }
    for relation in relations.values_mut() {
        relation.columns.sort_by_key(|(position, _)| *position);
    }
    Some(relations)
}

fn read_hidden_columns(result: &ResultSet, names: &mut Names) -> Option<HashMap<u32, ColumnNames>> {
    let mut relations: HashMap<u32, ColumnNames> = HashMap::new();
    for row in &result.rows {
        relations.entry(number(row, 0)?).or_default().insert(number(row, 1)?, names.get(row.text(2)?));
    }
    Some(relations)
}

struct Key {
    kind: u8,
    name: Arc<str>,
    table: u32,
    columns: Vec<(i16, Arc<str>)>,
    target: u32,
    target_columns: Vec<(i16, Arc<str>)>,
    inherited: bool,
}

/// Reads keys. Those with columns that nobody can see (of partitions, of other sessions' temporary tables) are left out.
fn read_keys(
    result: &ResultSet,
    exposed: &HashMap<u32, RelationColumns>,
    hidden: &HashMap<u32, ColumnNames>,
    names: &mut Names,
) -> Option<Vec<Key>> {
    let named = |relation: u32, numbers: &str| -> Option<Vec<(i16, Arc<str>)>> {
        let of = exposed.get(&relation).map(|found| &found.names).or_else(|| hidden.get(&relation))?;
        numbers
            .trim_matches(['{', '}'])
            .split(',')
            .map(|number| {
                let number = number.parse().ok()?;
                Some((number, of.get(&number)?.clone()))
            })
            .collect()
    };
    let mut keys = Vec::with_capacity(result.rows.len());
    for row in &result.rows {
        let (table, target) = (number(row, 2)?, number(row, 4)?);
        let Some(columns) = named(table, row.text(3)?) else { continue };
        let target_columns = match row.text(5) {
            Some(numbers) => match named(target, numbers) {
                Some(columns) => columns,
                None => continue,
            },
            None => Vec::new(),
        };
        keys.push(Key {
            kind: *row.get(0)?.first()?,
            name: names.get(row.text(1)?),
            table,
            columns,
            target,
            target_columns,
            inherited: flag(row, 6)?,
        });
    }
    Some(keys)
}

type Views = HashMap<u32, Vec<view_keys::Origin>>;

fn read_views(result: &ResultSet) -> Option<(Views, Vec<u32>)> {
    let mut views = Views::new();
    let mut exposed = Vec::new();
    for row in &result.rows {
        let oid = number(row, 0)?;
        if flag(row, 1)? {
            exposed.push(oid);
        }
        views.insert(oid, view_keys::origins(row.text(2)?));
    }
    exposed.sort_unstable();
    Some((views, exposed))
}

/// The keys that views show whole.
fn shown_keys(
    shown: &Shown,
    keys: &[Key],
    relations: &HashMap<u32, RelationRow>,
    columns: &HashMap<u32, RelationColumns>,
) -> Vec<ViewKey> {
    let mut parts: HashMap<u32, Vec<(&Key, KeyKind)>> = HashMap::new();
    for key in keys {
        match key.kind {
            b'p' => parts.entry(key.table).or_default().push((key, KeyKind::Primary)),
            b'f' => {
                parts.entry(key.table).or_default().push((key, KeyKind::Foreign));
                parts.entry(key.target).or_default().push((key, KeyKind::Referenced));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    let mut views: Vec<u32> = shown.keys().copied().collect();
    views.sort_unstable();
    for view in views {
        let (Some(view_row), Some(view_columns)) = (relations.get(&view), columns.get(&view)) else {
            continue;
        };
        let of_view = &shown[&view];
        let mut tables: Vec<u32> = of_view.keys().map(|(table, _)| *table).collect();
        tables.dedup();
        for table in tables {
            let Some(table_row) = relations.get(&table) else { continue };
            for (key, kind) in parts.get(&table).map_or(&[][..], Vec::as_slice) {
                let key_columns =
                    if *kind == KeyKind::Referenced { &key.target_columns } else { &key.columns };
                let all: Option<Vec<_>> = key_columns
                    .iter()
                    .map(|(number, name)| {
                        let by = of_view.get(&(table, *number))?;
                        let by: Vec<Arc<str>> =
                            by.iter().filter_map(|column| view_columns.names.get(column).cloned()).collect();
                        (!by.is_empty()).then(|| (name.clone(), by))
                    })
                    .collect();
                if let Some(columns) = all {
                    found.push(ViewKey {
                        table: table_row.name.clone(),
                        view: view_row.name.clone(),
                        constraint: key.name.clone(),
                        kind: *kind,
                        columns,
                    });
                }
            }
        }
    }
    found
}

fn foreign_keys(keys: &[Key], relations: &HashMap<u32, RelationRow>) -> Vec<ForeignKey> {
    let numbers = |key: &Key| {
        let mut numbers: Vec<i16> = key.columns.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    };
    let unique: HashSet<(u32, Vec<i16>)> = keys
        .iter()
        .filter(|key| matches!(key.kind, b'p' | b'u'))
        .map(|key| (key.table, numbers(key)))
        .collect();
    keys.iter()
        .filter(|key| key.kind == b'f' && !key.inherited)
        .filter_map(|key| {
            let columns: Vec<ColumnPair> = key
                .columns
                .iter()
                .zip(&key.target_columns)
                .map(|((_, here), (_, there))| (here.clone(), there.clone()))
                .collect();
            Some(ForeignKey {
                table: relations.get(&key.table)?.name.clone(),
                target: relations.get(&key.target)?.name.clone(),
                constraint: key.name.clone(),
                columns,
                unique: unique.contains(&(key.table, numbers(key))),
            })
        })
        .collect()
}

fn tables(
    relations: &HashMap<u32, RelationRow>,
    mut columns: HashMap<u32, RelationColumns>,
    keys: &[Key],
) -> HashMap<QualifiedName, Table> {
    let mut primary: HashMap<u32, Vec<Arc<str>>> = HashMap::new();
    for key in keys.iter().filter(|key| key.kind == b'p') {
        let mut names: Vec<Arc<str>> = key.columns.iter().map(|(_, name)| name.clone()).collect();
        names.sort();
        primary.insert(key.table, names);
    }
    relations
        .iter()
        .map(|(oid, row)| {
            let columns = if row.offered { columns.remove(oid) } else { None };
            let columns = columns.unwrap_or_default().columns.into_iter().map(|(_, column)| column).collect();
            let mut table = Table::new(row.name.clone(), columns);
            table.description = row.description.clone();
            table.is_view = row.is_view;
            table.insertable = row.updatable & 8 != 0;
            table.updatable = row.updatable & 4 != 0;
            table.deletable = row.updatable & 16 != 0;
            table.offered = row.offered;
            table.primary_key = primary.remove(oid).unwrap_or_default();
            (row.name.clone(), table)
        })
        .collect()
}

fn read_computed(result: &ResultSet, names: &mut Names) -> Option<Vec<Relationship>> {
    result
        .rows
        .iter()
        .map(|row| {
            let table = names.qualified(row.text(2)?, row.text(3)?);
            let target = names.qualified(row.text(4)?, row.text(5)?);
            Some(Relationship {
                is_self: table == target,
                table,
                target,
                link: Link::Computed {
                    function: names.qualified(row.text(0)?, row.text(1)?),
                    to_one: flag(row, 6)?,
                },
                table_is_view: false,
                target_is_view: false,
            })
        })
        .collect()
}

type Representations = HashMap<Arc<str>, HashMap<Arc<str>, Arc<str>>>;

fn read_representations(result: &ResultSet, names: &mut Names) -> Option<Representations> {
    let mut representations = Representations::new();
    for row in &result.rows {
        let (source, target) = (names.get(row.text(0)?), names.get(row.text(1)?));
        representations.entry(source).or_default().insert(target, row.text(2)?.into());
    }
    Some(representations)
}

type Handlers = HashMap<(Option<QualifiedName>, MediaType), Handler>;

fn read_handlers(result: &ResultSet, names: &mut Names) -> Option<Handlers> {
    let mut handlers = Handlers::new();
    for row in &result.rows {
        let function = names.qualified(row.text(0)?, row.text(1)?);
        let target = match row.text(2) {
            Some(schema) => Some(names.qualified(schema, row.text(3)?)),
            None => None,
        };
        let domain = row.text(4)?;
        let media = MediaType::decode(&domain.to_lowercase());
        let sent = if media == MediaType::Any { MediaType::Octets } else { MediaType::decode(domain) };
        handlers.insert((target.clone(), media), Handler { function, target, media: sent });
    }
    Some(handlers)
}

fn read_functions(result: &ResultSet, names: &mut Names) -> Option<Vec<Routine>> {
    result
        .rows
        .iter()
        .map(|row| {
            let parameters: Vec<(String, String, bool, bool)> = serde_json::from_slice(row.get(3)?).ok()?;
            let settings: Vec<(String, String)> = match row.get(11) {
                Some(json) => {
                    serde_json::from_slice::<Value>(json).ok().and_then(|v| serde_json::from_value(v).ok())?
                }
                None => Vec::new(),
            };
            Some(Routine {
                name: names.qualified(row.text(0)?, row.text(1)?),
                description: owned(row, 2),
                parameters: parameters.into_iter().map(parameter).collect(),
                returns: ReturnType {
                    name: names.qualified(row.text(4)?, row.text(5)?),
                    set: flag(row, 6)?,
                    composite: flag(row, 7)?,
                },
                volatility: match row.get(8)? {
                    b"i" => Volatility::Immutable,
                    b"s" => Volatility::Stable,
                    _ => Volatility::Volatile,
                },
                variadic: flag(row, 9)?,
                isolation: row.text(10).map(isolation),
                settings,
            })
        })
        .collect()
}

/// The level that a setting names.
pub(crate) fn isolation(name: &str) -> Isolation {
    match name.trim_matches(|c| matches!(c, '"' | '\'' | ' ')).to_ascii_lowercase().as_str() {
        "repeatable read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        _ => Isolation::ReadCommitted,
    }
}

fn parameter((name, data_type, required, variadic): (String, String, bool, bool)) -> Parameter {
    // Without a length these would take one character only.
    let wide_type = match data_type.as_str() {
        "bit" => "bit varying".to_owned(),
        "bit[]" => "bit varying[]".to_owned(),
        "character" => "character varying".to_owned(),
        "character[]" => "character varying[]".to_owned(),
        other => other.to_owned(),
    };
    Parameter { name, data_type, wide_type, required, variadic }
}

fn place_tables(catalog: &mut Catalog, tables: HashMap<QualifiedName, Table>) {
    for (name, table) in tables {
        if table.offered
            && let Some(schema) = catalog.schemas.get_mut(&name.schema)
        {
            schema.tables.insert(name.name, table);
        }
    }
}

/// Keeps the relationships that requests can see: within one exposed schema, and not by way of a hidden junction.
fn place_relationships(catalog: &mut Catalog, relationships: Vec<Relationship>, config: &Config) {
    let mut by_table: BTreeMap<QualifiedName, Vec<Relationship>> = BTreeMap::new();
    for relationship in relationships {
        let visible = match &relationship.link {
            Link::Junction(junction) => {
                config.schemas.iter().any(|schema| **schema == *junction.table.schema)
            }
            _ => true,
        };
        if relationship.table.schema == relationship.target.schema {
            // Also when all of them are hidden: such a relation is known, it only has nothing to offer.
            let of_table = by_table.entry(relationship.table.clone()).or_default();
            if visible {
                of_table.push(relationship);
            }
        }
    }
    for (table, mut relationships) in by_table {
        if let Some(schema) = catalog.schemas.get_mut(&table.schema) {
            relationships.sort();
            relationships.shrink_to_fit();
            schema.relationships.insert(table.name, relationships);
        }
    }
}
