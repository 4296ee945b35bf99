//! The catalogue as JSON, for whoever looks after the service. Its shape is PostgREST's: what its own encoder makes of its
//! types, so maps with compound keys are lists of pairs, and variants carry a `tag`.

use serde_json::{Map, Value, json};

use super::{
    Cardinality, Catalog, Handler, Link, QualifiedName, Relationship, ReturnType, Routine, Table, Volatility,
};
use crate::parse::media::MediaType;

/// All of it.
pub(crate) fn json(catalog: &Catalog) -> Value {
    let schemas = || catalog.schemas.iter();
    let tables: Vec<Value> = schemas()
        .flat_map(|(_, schema)| schema.tables.values())
        .filter(|table| table.offered)
        .map(|table| json!([name(&table.name), self::table(table)]))
        .collect();
    let relationships: Vec<Value> = schemas()
        .flat_map(|(target, schema)| schema.relationships.values().map(move |all| (target, all)))
        .filter_map(|(target, all)| {
            let all = all.all();
            let from = &all.first()?.table;
            Some(json!([[name(from), target], all.iter().map(relationship).collect::<Vec<_>>()]))
        })
        .collect();
    let routines: Vec<Value> = schemas()
        .flat_map(|(_, schema)| schema.routines.values())
        .filter_map(|overloads| {
            let routines: Vec<Value> = overloads.iter().map(|routine| self::routine(routine)).collect();
            Some(json!([name(&overloads.first()?.name), routines]))
        })
        .collect();
    let representations: Vec<Value> = catalog
        .representations
        .iter()
        .flat_map(|(source, targets)| {
            targets.iter().map(move |(target, function)| (source, target, function))
        })
        .map(|(source, target, function)| {
            let representation =
                json!({ "drSourceType": source, "drTargetType": target, "drFunction": function });
            json!([[source, target], representation])
        })
        .collect();
    let handlers: Vec<Value> = catalog
        .handlers
        .iter()
        .map(|((target, media), handler)| {
            json!([[relation(target.as_ref()), self::media(media)], self::handler(handler)])
        })
        .chain(built_in(catalog))
        .collect();
    // A map has no order of its own; one that stays the same can be compared.
    let sorted = |mut pairs: Vec<Value>| {
        pairs.sort_by_cached_key(|pair| pair.get(0).map(Value::to_string));
        pairs
    };
    let [tables, relationships, routines, representations, handlers] =
        [tables, relationships, routines, representations, handlers].map(sorted);
    json!({
        "dbTables": tables,
        "dbRelationships": relationships,
        "dbRoutines": routines,
        "dbRepresentations": representations,
        "dbMediaHandlers": handlers,
        "dbTimezones": *catalog.timezones,
    })
}

fn name(name: &QualifiedName) -> Value {
    json!({ "qiSchema": name.schema, "qiName": name.name })
}

fn table(table: &Table) -> Value {
    let columns: Map<String, Value> = table
        .columns()
        .iter()
        .map(|column| {
            let shown = json!({
                "colName": column.name,
                "colDescription": column.description,
                "colNullable": column.nullable,
                "colType": column.data_type,
                "colNominalType": column.nominal_type,
                "colMaxLen": column.max_length,
                "colDefault": column.default.as_deref(),
                "colEnum": &*column.labels,
            });
            (column.name.to_string(), shown)
        })
        .collect();
    json!({
        "tableSchema": table.name.schema,
        "tableName": table.name.name,
        "tableDescription": table.description,
        "tableIsView": table.is_view,
        "tableInsertable": table.insertable,
        "tableUpdatable": table.updatable,
        "tableDeletable": table.deletable,
        "tablePKCols": table.primary_key,
        "tableColumns": columns,
    })
}

fn relationship(relationship: &Relationship) -> Value {
    let cardinality = match &relationship.link {
        Link::Computed { function, to_one } => {
            return json!({
                "tag": "ComputedRelationship",
                "relFunction": name(function),
                "relTable": name(&relationship.table),
                "relForeignTable": name(&relationship.target),
                "relTableAlias": name(&QualifiedName::new("", "")),
                "relToOne": to_one,
                "relIsSelf": relationship.is_self,
            });
        }
        Link::Junction(junction) => json!({
            "tag": "M2M",
            "contents": {
                "junTable": name(&junction.table),
                "junConstraint1": junction.constraint,
                "junConstraint2": junction.target_constraint,
                "junColsSource": junction.source,
                "junColsTarget": junction.target,
            },
        }),
        Link::Key { cardinality, constraint, columns } => {
            let mut shown = json!({ "relCons": constraint, "relColumns": columns });
            let tag = match cardinality {
                Cardinality::OneToMany => "O2M",
                Cardinality::ManyToOne => "M2O",
                Cardinality::OneToOne { parent } => {
                    shown["isParent"] = Value::from(*parent);
                    "O2O"
                }
            };
            shown["tag"] = Value::from(tag);
            shown
        }
    };
    json!({
        "tag": "Relationship",
        "relTable": name(&relationship.table),
        "relForeignTable": name(&relationship.target),
        "relIsSelf": relationship.is_self,
        "relCardinality": cardinality,
        "relTableIsView": relationship.table_is_view,
        "relFTableIsView": relationship.target_is_view,
    })
}

fn routine(routine: &Routine) -> Value {
    let parameters: Vec<Value> = routine
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "ppName": parameter.name,
                "ppType": parameter.data_type,
                "ppTypeMaxLength": parameter.wide_type,
                "ppReq": parameter.required,
                "ppVar": parameter.variadic,
            })
        })
        .collect();
    let volatility = match routine.volatility {
        Volatility::Volatile => "Volatile",
        Volatility::Stable => "Stable",
        Volatility::Immutable => "Immutable",
    };
    json!({
        "pdSchema": routine.name.schema,
        "pdName": routine.name.name,
        "pdDescription": routine.description,
        "pdParams": parameters,
        "pdReturnType": returns(&routine.returns),
        "pdVolatility": volatility,
        "pdHasVariadic": routine.variadic,
        "pdFuncSettings": routine.settings,
    })
}

fn returns(returns: &ReturnType) -> Value {
    let of = name(&returns.name);
    let one = if returns.composite {
        json!({ "tag": "Composite", "contents": [of, false] })
    } else {
        json!({ "tag": "Scalar", "contents": of })
    };
    json!({ "tag": if returns.set { "SetOf" } else { "Single" }, "contents": one })
}

fn relation(target: Option<&QualifiedName>) -> Value {
    target.map_or_else(
        || json!({ "tag": "RelAnyElement" }),
        |target| json!({ "tag": "RelId", "contents": name(target) }),
    )
}

fn handler(handler: &Handler) -> Value {
    let function = json!({
        "tag": "CustomFunc",
        "contents": [name(&handler.function), relation(handler.target.as_ref())],
    });
    json!([function, media(&handler.media)])
}

/// The handlers that need no database, as far as none of its takes their place.
fn built_in(catalog: &Catalog) -> impl Iterator<Item = Value> {
    [
        (MediaType::Any, "BuiltinOvAggJson", MediaType::Json),
        (MediaType::Json, "BuiltinOvAggJson", MediaType::Json),
        (MediaType::Csv, "BuiltinOvAggCsv", MediaType::Csv),
        (MediaType::GeoJson, "BuiltinOvAggGeoJson", MediaType::GeoJson),
    ]
    .into_iter()
    .filter(|(accepted, ..)| !catalog.handlers.contains_key(&(None, accepted.clone())))
    .map(|(accepted, handler, sent)| {
        json!([[relation(None), media(&accepted)], [{ "tag": handler }, media(&sent)]])
    })
}

fn media(media: &MediaType) -> Value {
    let tag = match media {
        MediaType::Json => "MTApplicationJSON",
        MediaType::GeoJson => "MTGeoJSON",
        MediaType::Csv => "MTTextCSV",
        MediaType::Plain => "MTTextPlain",
        MediaType::Xml => "MTTextXML",
        MediaType::OpenApi => "MTOpenAPI",
        MediaType::Form => "MTUrlEncoded",
        MediaType::Octets => "MTOctetStream",
        MediaType::Any => "MTAny",
        // No handler is for any other.
        other => return json!({ "tag": "MTOther", "contents": other.to_string() }),
    };
    json!({ "tag": tag })
}
