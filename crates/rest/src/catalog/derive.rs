//! What follows from relations, columns and keys, and where it goes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::relationships::{ColumnPair, ForeignKey, KeyKind, Link, Related, Relationship, ViewKey};
use super::rows::{Key, RelationColumns, RelationRow};
use super::view_keys::Shown;
use super::{Catalog, QualifiedName, Table};

/// The keys that views show whole.
pub(super) fn shown_keys(
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
                            by.iter().filter_map(|column| view_columns.name(*column).cloned()).collect();
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

/// Foreign keys, and whether they are unique.
pub(super) fn foreign_keys(keys: &[Key], relations: &HashMap<u32, RelationRow>) -> Vec<ForeignKey> {
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

/// Relations by name.
pub(super) fn tables(
    relations: HashMap<u32, RelationRow>,
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
        .into_iter()
        .map(|(oid, row)| {
            let columns = if row.offered { columns.remove(&oid) } else { None };
            let columns = columns.unwrap_or_default().0.into_iter().map(|(_, column)| column).collect();
            let mut table = Table::new(row.name.clone(), columns);
            table.description = row.description;
            table.is_view = row.is_view;
            table.insertable = row.updatable & 8 != 0;
            table.updatable = row.updatable & 4 != 0;
            table.deletable = row.updatable & 16 != 0;
            table.offered = row.offered;
            table.primary_key = primary.remove(&oid).unwrap_or_default();
            (row.name, table)
        })
        .collect()
}

/// Puts relations into their schemas.
pub(super) fn place_tables(catalog: &mut Catalog, tables: HashMap<QualifiedName, Table>) {
    for (name, table) in tables {
        if table.offered
            && let Some(schema) = catalog.schemas.get_mut(&name.schema)
        {
            schema.tables.insert(name.name, table);
        }
    }
}

/// Keeps the relationships that requests can see: within one exposed schema, and not by way of a hidden junction. A computed
/// one is within the schema of its function.
pub(super) fn place_relationships(
    catalog: &mut Catalog,
    relationships: Vec<Relationship>,
    exposed: &[String],
) {
    let mut by_table: BTreeMap<QualifiedName, Vec<Relationship>> = BTreeMap::new();
    for relationship in relationships {
        let is_exposed = |name: &QualifiedName| exposed.iter().any(|schema| **schema == *name.schema);
        let (within, visible) = match &relationship.link {
            Link::Junction(junction) => (&relationship.target.schema, is_exposed(&junction.table)),
            Link::Computed { function, .. } => (&function.schema, is_exposed(&relationship.target)),
            Link::Key { .. } => (&relationship.target.schema, true),
        };
        if relationship.table.schema == *within {
            // Also when all of them are hidden: such a relation is known, it only has nothing to offer.
            let of_table = by_table.entry(relationship.table.clone()).or_default();
            if visible {
                of_table.push(relationship);
            }
        }
    }
    for (table, relationships) in by_table {
        if let Some(schema) = catalog.schemas.get_mut(&table.schema) {
            schema.relationships.insert(table.name, Related::new(relationships));
        }
    }
}
