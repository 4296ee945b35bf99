//! What the catalogue says of a table: its key, its types, and who may read which column.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use database::ident::quote_qualified;
use database::{Connection, Error, Param, ResultSet, Row, Statement};

use super::json::Kind;
use super::predicate::Comparison;

/// A table that somebody listens to.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: Box<str>,
    pub(crate) name: Box<str>,
    /// Whether row level security is on.
    pub(crate) secured: bool,
    /// In their order, those of the key marked.
    pub(crate) columns: Box<[TableColumn]>,
    /// For each role that was asked about and exists, which of `columns` it may read.
    pub(crate) readable: HashMap<Box<str>, Arc<[bool]>>,
    /// By oid, all that its columns need.
    pub(crate) types: HashMap<u32, Arc<TypeInfo>>,
    pub(crate) loaded: Instant,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) name: Box<str>,
    pub(crate) type_oid: u32,
    /// `int4`, `_text`: as clients see it.
    pub(crate) type_name: Box<str>,
    pub(crate) in_key: bool,
}

/// A type.
#[derive(Debug)]
pub(crate) struct TypeInfo {
    pub(crate) oid: u32,
    /// Its quoted name. Unlike `format_type`'s, it never stands for a length of one (`bit`, `character`).
    pub(crate) sql: Box<str>,
    /// As messages of the server name it: `timestamp with time zone`.
    pub(crate) display: Box<str>,
    /// The quoted name of its arrays' type.
    pub(crate) array_sql: Option<Box<str>>,
    pub(crate) kind: Arc<Kind>,
    pub(crate) comparison: Comparison,
}

impl Table {
    /// The quoted name.
    pub(crate) fn sql(&self) -> String {
        quote_qualified(&self.schema, &self.name)
    }

    pub(crate) fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| *known.name == *column)
    }

    /// The columns of the primary key, in the columns' order.
    pub(crate) fn key(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns.iter().filter(|column| column.in_key)
    }

    pub(crate) fn type_of(&self, oid: u32) -> Option<&Arc<TypeInfo>> {
        self.types.get(&oid)
    }

    /// Reads it; `None` when there is no such table (any more).
    pub(crate) async fn load(
        connection: &mut Connection,
        oid: u32,
        roles: &[Box<str>],
        log_types: &[u32],
    ) -> Result<Option<Table>, Error> {
        let oid_text = oid.to_string();
        let roles = array_literal(roles.iter().map(|role| Some(&**role)));
        let log_types = array_literal(
            log_types.iter().map(u32::to_string).collect::<Vec<_>>().iter().map(|oid| Some(oid.as_str())),
        );
        let of_table = [Param::Text(&oid_text)];
        let of_roles = [Param::Text(&oid_text), Param::Text(&roles)];
        let of_types = [Param::Text(&oid_text), Param::Text(&log_types)];
        let results = connection
            .run(&[
                Statement::new(TABLE, &of_table),
                Statement::new(COLUMNS, &of_table),
                Statement::new(PRIVILEGES, &of_roles),
                Statement::new(TYPES, &of_types),
            ])
            .await?;
        let [table, columns, privileges, types] = results.as_slice() else {
            return Err(Error::Protocol("a statement without result".into()));
        };
        let Some(row) = table.rows.first() else { return Ok(None) };
        let columns: Option<Box<[TableColumn]>> = columns.rows.iter().map(column).collect();
        let readable = privileges.rows.iter().filter_map(|row| {
            Some((Box::from(row.text(0)?), row.text(1)?.bytes().map(|flag| flag == b't').collect()))
        });
        Ok(Some(Table {
            schema: row.text(0).unwrap_or("").into(),
            name: row.text(1).unwrap_or("").into(),
            secured: row.text(2) == Some("t"),
            columns: columns.ok_or_else(|| Error::Protocol("a column without a name".into()))?,
            readable: readable.collect(),
            types: type_infos(types),
            loaded: Instant::now(),
        }))
    }
}

fn column(row: &Row) -> Option<TableColumn> {
    Some(TableColumn {
        name: row.text(0)?.into(),
        type_oid: row.text(1)?.parse().ok()?,
        type_name: row.text(2)?.into(),
        in_key: row.text(3) == Some("t"),
    })
}

const TABLE: &str = "select n.nspname, c.relname, c.relrowsecurity \
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = $1::oid";

const COLUMNS: &str = "select a.attname, a.atttypid, t.typname, \
         exists (select from pg_catalog.pg_constraint k \
                 where k.conrelid = a.attrelid and k.contype = 'p' and a.attnum = any (k.conkey)) \
     from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid \
     where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum";

const PRIVILEGES: &str = "select r.name, pg_catalog.string_agg( \
         case when pg_catalog.has_column_privilege(o.oid, a.attrelid, a.attnum, 'SELECT') then 't' else 'f' end, \
         '' order by a.attnum) \
     from pg_catalog.unnest($2::text[]) r (name) join pg_catalog.pg_roles o on o.rolname = r.name \
     cross join pg_catalog.pg_attribute a \
     where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped group by r.name";

/// The types of the columns, those that the log names, and all that these consist of.
const TYPES: &str = "with recursive needed (oid) as ( \
         select a.atttypid from pg_catalog.pg_attribute a \
         where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped \
         union \
         select pg_catalog.unnest($2::oid[]) \
         union \
         select part.oid from needed n join pg_catalog.pg_type t on t.oid = n.oid \
         cross join lateral ( \
             select t.typbasetype \
             union all select t.typelem \
             union all select a.atttypid from pg_catalog.pg_attribute a \
                       where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped \
         ) part (oid) \
         where part.oid <> 0 \
     ) \
     select t.oid, n.nspname, t.typname, pg_catalog.format_type(t.oid, null), t.typtype, \
         case when t.typlen = -1 and t.typelem <> 0 \
                   and t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc then t.typelem else 0 end, \
         t.typbasetype, e.typdelim, an.nspname, ar.typname, \
         (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum) \
          from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped), \
         t.oid >= 16384 and exists (select from pg_catalog.pg_cast c \
             where c.castsource = t.oid and c.casttarget = 'pg_catalog.json'::pg_catalog.regtype and c.castmethod = 'f') \
     from needed join pg_catalog.pg_type t using (oid) join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
     left join pg_catalog.pg_type e on e.oid = t.typelem \
     left join pg_catalog.pg_type ar on ar.oid = t.typarray left join pg_catalog.pg_namespace an on an.oid = ar.typnamespace";

/// A type as the catalogue has it.
struct TypeRow {
    oid: u32,
    sql: Box<str>,
    display: Box<str>,
    variety: u8,
    element: u32,
    base: u32,
    delimiter: char,
    array_sql: Option<Box<str>>,
    fields: Vec<(Box<str>, u32)>,
    casts_to_json: bool,
}

fn type_row(row: &Row) -> Option<TypeRow> {
    let number = |index| row.text(index).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let array = row.text(8).zip(row.text(9));
    Some(TypeRow {
        oid: number(0),
        sql: quote_qualified(row.text(1)?, row.text(2)?).into(),
        display: row.text(3)?.into(),
        variety: row.text(4)?.bytes().next()?,
        element: number(5),
        base: number(6),
        delimiter: row.text(7).and_then(|text| text.chars().next()).unwrap_or(','),
        array_sql: array.map(|(schema, name)| quote_qualified(schema, name).into()),
        fields: row.text(10).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        casts_to_json: row.text(11) == Some("t"),
    })
}

fn type_infos(result: &ResultSet) -> HashMap<u32, Arc<TypeInfo>> {
    let rows: HashMap<u32, TypeRow> =
        result.rows.iter().filter_map(type_row).map(|row| (row.oid, row)).collect();
    let info = |row: &TypeRow| TypeInfo {
        oid: row.oid,
        sql: row.sql.clone(),
        display: row.display.clone(),
        array_sql: row.array_sql.clone(),
        kind: kind(&rows, row.oid, 0),
        comparison: comparison(&rows, row.oid, 0),
    };
    rows.values().map(|row| (row.oid, Arc::new(info(row)))).collect()
}

/// Types cannot contain themselves but through arrays; still, a catalogue that is read in pieces is not trusted to end.
const MAX_DEPTH: u32 = 16;

fn kind(rows: &HashMap<u32, TypeRow>, oid: u32, depth: u32) -> Arc<Kind> {
    Arc::new(match oid {
        16 => Kind::Bool,
        20 | 21 | 23 | 700 | 701 | 1700 => Kind::Number,
        1114 => Kind::Timestamp,
        1184 => Kind::TimestampTz,
        114 | 3802 => Kind::Json,
        // `int2vector` and `oidvector` count as arrays but are not written like them.
        22 | 30 => Kind::Server,
        _ => match rows.get(&oid) {
            _ if depth > MAX_DEPTH => Kind::Server,
            None => Kind::Text,
            Some(row) if row.variety == b'd' => return kind(rows, row.base, depth + 1),
            Some(row) if row.element != 0 => {
                Kind::Array { element: kind(rows, row.element, depth + 1), delimiter: row.delimiter }
            }
            Some(row) if row.casts_to_json => Kind::Server,
            Some(row) if row.variety == b'c' => Kind::Composite(
                row.fields.iter().map(|(name, oid)| (name.clone(), kind(rows, *oid, depth + 1))).collect(),
            ),
            Some(_) => Kind::Text,
        },
    })
}

fn comparison(rows: &HashMap<u32, TypeRow>, oid: u32, depth: u32) -> Comparison {
    match oid {
        20 | 21 | 23 | 26 => Comparison::Integer,
        1700 => Comparison::Numeric,
        16 | 1083 | 2950 => Comparison::Ordered,
        1082 | 1114 | 1184 => Comparison::Chronological,
        19 | 25 | 1043 => Comparison::Text,
        _ => match rows.get(&oid) {
            Some(row) if row.variety == b'd' && depth <= MAX_DEPTH => comparison(rows, row.base, depth + 1),
            Some(row) if row.variety == b'e' => Comparison::Equal,
            _ => Comparison::Opaque,
        },
    }
}

/// An array in PostgreSQL's notation.
pub(crate) fn array_literal<'a>(items: impl Iterator<Item = Option<&'a str>>) -> String {
    let mut text = String::from("{");
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        match item {
            None => text.push_str("NULL"),
            Some(item) => {
                text.push('"');
                for character in item.chars() {
                    if matches!(character, '"' | '\\') {
                        text.push('\\');
                    }
                    text.push(character);
                }
                text.push('"');
            }
        }
    }
    text.push('}');
    text
}
