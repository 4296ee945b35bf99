//! From the rows of the catalogue queries to values. `None` says that a row is not what its query promises.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use database::{ResultSet, Row};
use serde_json::Value;

use super::load::isolation;
use super::relationships::{Link, Relationship};
use super::routines::{Parameter, ReturnType, Routine, Volatility};
use super::view_keys;
use super::{Column, Handler, QualifiedName};
use crate::parse::media::MediaType;

/// Names that occur often are kept once.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
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

/// A relation.
pub(super) struct RelationRow {
    pub(super) name: QualifiedName,
    pub(super) is_view: bool,
    pub(super) offered: bool,
    pub(super) description: Option<Box<str>>,
    pub(super) updatable: i32,
}

/// Relations by oid.
pub(super) fn relations(result: &ResultSet, names: &mut Names) -> Option<HashMap<u32, RelationRow>> {
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

/// The names of columns by their number.
pub(super) type ColumnNames = HashMap<i16, Arc<str>>;

/// The columns of a relation with their numbers, in order.
#[derive(Default)]
pub(super) struct RelationColumns(pub(super) Vec<(i16, Column)>);

impl RelationColumns {
    fn get_mut(&mut self, number: i16) -> Option<&mut Column> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.0.get_mut(at).map(|(_, column)| column)
    }

    /// The name of a column.
    pub(super) fn name(&self, number: i16) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.0.get(at).map(|(_, column)| &column.name)
    }
}

/// A type as columns have it.
pub(super) struct ColumnType {
    is_domain: bool,
    not_null: bool,
    data_type: Arc<str>,
    nominal_type: Arc<str>,
    max_length: Option<i32>,
    default: Option<Arc<str>>,
    labels: Arc<[Box<str>]>,
}

/// Types by oid and modifier.
pub(super) fn types(result: &ResultSet, names: &mut Names) -> Option<HashMap<(u32, i32), ColumnType>> {
    let none: Arc<[Box<str>]> = Arc::new([]);
    result
        .rows
        .iter()
        .map(|row| {
            let labels = match row.get(8) {
                Some(json) => serde_json::from_slice::<Vec<Box<str>>>(json).ok()?.into(),
                None => none.clone(),
            };
            let column_type = ColumnType {
                is_domain: flag(row, 2)?,
                not_null: flag(row, 3)?,
                data_type: names.get(row.text(4)?),
                nominal_type: names.get(row.text(5)?),
                max_length: row.get(6).and_then(|_| number(row, 6)),
                default: row.text(7).map(|text| names.get(text)),
                labels,
            };
            Some(((number(row, 0)?, number(row, 1)?), column_type))
        })
        .collect()
}

/// Columns by relation. A column whose type has gone meanwhile is left out.
pub(super) fn columns(
    result: &ResultSet,
    types: &HashMap<(u32, i32), ColumnType>,
    names: &mut Names,
) -> Option<HashMap<u32, RelationColumns>> {
    let mut relations: HashMap<u32, RelationColumns> = HashMap::new();
    for row in &result.rows {
        let Some(of_type) = types.get(&(number(row, 3)?, number(row, 4)?)) else { continue };
        let takes_default = of_type.is_domain && !flag(row, 6)?;
        let column = Column {
            name: names.get(row.text(2)?),
            description: None,
            nullable: !(flag(row, 5)? || of_type.not_null),
            data_type: of_type.data_type.clone(),
            nominal_type: of_type.nominal_type.clone(),
            max_length: of_type.max_length,
            default: of_type.default.clone().filter(|_| takes_default),
            labels: of_type.labels.clone(),
        };
        relations.entry(number(row, 0)?).or_default().0.push((number(row, 1)?, column));
    }
    for relation in relations.values_mut() {
        relation.0.sort_unstable_by_key(|(number, _)| *number);
    }
    Some(relations)
}

/// Gives columns their defaults, which win over those of their types.
pub(super) fn add_defaults(columns: &mut HashMap<u32, RelationColumns>, result: &ResultSet) -> Option<()> {
    // `now()` and its like stand in many tables.
    let mut names = Names::default();
    for row in &result.rows {
        let column = columns.get_mut(&number(row, 0)?).and_then(|of| of.get_mut(number(row, 1).unwrap_or(0)));
        if let Some(column) = column {
            column.default = Some(names.get(row.text(2)?));
        }
    }
    Some(())
}

/// Gives columns their comments.
pub(super) fn add_comments(columns: &mut HashMap<u32, RelationColumns>, result: &ResultSet) -> Option<()> {
    for row in &result.rows {
        let column = columns.get_mut(&number(row, 0)?).and_then(|of| of.get_mut(number(row, 1).unwrap_or(0)));
        if let Some(column) = column {
            column.description = owned(row, 2);
        }
    }
    Some(())
}

/// The names of columns outside the exposed schemas.
pub(super) fn hidden_columns(result: &ResultSet, names: &mut Names) -> Option<HashMap<u32, ColumnNames>> {
    let mut relations: HashMap<u32, ColumnNames> = HashMap::new();
    for row in &result.rows {
        relations.entry(number(row, 0)?).or_default().insert(number(row, 1)?, names.get(row.text(2)?));
    }
    Some(relations)
}

/// A constraint.
pub(super) struct Key {
    pub(super) kind: u8,
    pub(super) name: Arc<str>,
    pub(super) table: u32,
    pub(super) columns: Vec<(i16, Arc<str>)>,
    pub(super) target: u32,
    pub(super) target_columns: Vec<(i16, Arc<str>)>,
    pub(super) inherited: bool,
}

/// Reads keys. Those with columns that nobody can see (of partitions, of other sessions' temporary tables) are left out.
pub(super) fn keys(
    result: &ResultSet,
    exposed: &HashMap<u32, RelationColumns>,
    hidden: &HashMap<u32, ColumnNames>,
    names: &mut Names,
) -> Option<Vec<Key>> {
    let named = |relation: u32, numbers: &str| -> Option<Vec<(i16, Arc<str>)>> {
        let (of, or) = (exposed.get(&relation), hidden.get(&relation));
        numbers
            .trim_matches(['{', '}'])
            .split(',')
            .map(|number| {
                let number = number.parse().ok()?;
                let name = of.map_or_else(|| or?.get(&number), |of| of.name(number))?;
                Some((number, name.clone()))
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

/// The columns of views by oid.
type Views = HashMap<u32, Vec<view_keys::Origin>>;

/// The columns of views, and which of these are exposed.
pub(super) fn views(result: &ResultSet) -> Option<(Views, Vec<u32>)> {
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

/// Computed relationships.
pub(super) fn computed(result: &ResultSet, names: &mut Names) -> Option<Vec<Relationship>> {
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

/// Conversions by source and target type.
pub(super) fn representations(result: &ResultSet, names: &mut Names) -> Option<Representations> {
    let mut representations = Representations::new();
    for row in &result.rows {
        let (source, target) = (names.get(row.text(0)?), names.get(row.text(1)?));
        representations.entry(source).or_default().insert(target, row.text(2)?.into());
    }
    Some(representations)
}

type Handlers = HashMap<(Option<QualifiedName>, MediaType), Handler>;

/// Media handlers by target and media type.
pub(super) fn handlers(result: &ResultSet, names: &mut Names) -> Option<Handlers> {
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

/// Functions.
pub(super) fn functions(result: &ResultSet, names: &mut Names) -> Option<Vec<Routine>> {
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
