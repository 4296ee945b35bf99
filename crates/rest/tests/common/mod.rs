//! A catalogue made by hand, and requests against it: everything up to the SQL, without a database.
#![allow(clippy::unwrap_used, clippy::result_large_err, dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use rest::catalog::relationships::{self, ForeignKey};
use rest::catalog::{
    Catalog, Column, Link, Parameter, QualifiedName, Related, Relationship, ReturnType, Routine, Schema,
    Table, Volatility,
};
use rest::parse::request::{self, Request};
use rest::plan::Plan;
use rest::sql::{Parameter as Value, StatementText};
use rest::{Config, Error};

fn name(name: &str) -> QualifiedName {
    QualifiedName::new("api", name)
}

fn table(of: &str, key: &[&str], columns: &[(&str, &str)]) -> Table {
    let columns = columns
        .iter()
        .map(|(name, data_type)| Column {
            name: (*name).into(),
            description: None,
            nullable: !key.contains(name),
            data_type: (*data_type).into(),
            nominal_type: (*data_type).into(),
            max_length: None,
            default: (*name == "created_at").then(|| "now()".into()),
            labels: Default::default(),
        })
        .collect();
    let mut table = Table::new(name(of), columns);
    table.primary_key = key.iter().map(|column| (*column).into()).collect();
    (table.insertable, table.updatable, table.deletable) = (true, true, true);
    table
}

fn foreign_key(table: &str, constraint: &str, column: &str, target: &str) -> ForeignKey {
    ForeignKey {
        table: name(table),
        target: name(target),
        constraint: constraint.into(),
        columns: vec![(column.into(), "id".into())],
        unique: false,
    }
}

fn routine(
    of: &str,
    parameters: &[(&str, &str)],
    returns: (&str, bool, bool),
    volatility: Volatility,
) -> Routine {
    Routine {
        name: name(of),
        description: None,
        parameters: parameters
            .iter()
            .map(|(name, data_type)| Parameter {
                name: (*name).to_owned(),
                data_type: (*data_type).to_owned(),
                wide_type: (*data_type).to_owned(),
                required: true,
                variadic: false,
            })
            .collect(),
        returns: ReturnType {
            name: QualifiedName::new("api", returns.0),
            set: returns.1,
            composite: returns.2,
        },
        volatility,
        variadic: false,
        isolation: None,
        settings: Vec::new(),
    }
}

/// Clients have projects, projects have tasks and a parent, tasks and users meet in a junction.
pub fn catalog() -> Catalog {
    let tables: HashMap<QualifiedName, Table> = [
        table("clients", &["id"], &[("id", "integer"), ("name", "text"), ("data", "jsonb")]),
        table(
            "projects",
            &["id"],
            &[("id", "integer"), ("name", "text"), ("client_id", "integer"), ("created_at", "timestamptz")],
        ),
        table("tasks", &["id"], &[("id", "integer"), ("name", "text"), ("project_id", "integer")]),
        table("users", &["id"], &[("id", "integer"), ("email", "text")]),
        table("tasks_users", &["task_id", "user_id"], &[("task_id", "integer"), ("user_id", "integer")]),
        table("family", &["id"], &[("id", "integer"), ("parent", "integer")]),
        table("odd \"name", &["a,b"], &[("a,b", "integer"), ("c.d", "text")]),
    ]
    .into_iter()
    .map(|table| (table.name.clone(), table))
    .collect();
    let keys = [
        foreign_key("projects", "projects_client_id_fkey", "client_id", "clients"),
        foreign_key("tasks", "tasks_project_id_fkey", "project_id", "projects"),
        foreign_key("tasks_users", "tasks_users_task_id_fkey", "task_id", "tasks"),
        foreign_key("tasks_users", "tasks_users_user_id_fkey", "user_id", "users"),
        foreign_key("family", "family_parent_fkey", "parent", "family"),
    ];
    let computed = vec![Relationship {
        table: name("clients"),
        target: name("projects"),
        is_self: false,
        link: Link::Computed { function: name("latest_project"), to_one: true },
        table_is_view: false,
        target_is_view: false,
    }];
    let mut schema = Schema::default();
    let mut related: HashMap<Arc<str>, Vec<Relationship>> = HashMap::new();
    for relationship in relationships::derive(&keys, &[], computed, &tables) {
        related.entry(relationship.table.name.clone()).or_default().push(relationship);
    }
    schema.relationships = related.into_iter().map(|(table, all)| (table, Related::new(all))).collect();
    schema.tables = tables.into_iter().map(|(name, table)| (name.name, table)).collect();
    for routine in [
        routine("add", &[("a", "integer"), ("b", "integer")], ("int4", false, false), Volatility::Immutable),
        routine("search", &[("words", "text")], ("projects", true, true), Volatility::Volatile),
        routine("take", &[("", "json")], ("json", false, false), Volatility::Volatile),
    ] {
        schema.routines.entry(routine.name.name.clone()).or_default().push(Arc::new(routine));
    }
    Catalog { schemas: HashMap::from([("api".into(), schema)]), ..Catalog::default() }
}

pub fn config() -> Config {
    Config {
        schemas: vec!["api".to_owned()],
        aggregates_enabled: true,
        plan_enabled: true,
        ..Config::default()
    }
}

/// What a request becomes: SQL, then one parameter a line.
pub fn sql(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    match statement(line, headers, body, &catalog(), &config()) {
        Ok(text) => text,
        Err(error) => {
            let response = error.response(1);
            format!("{} {error:?}", response.status())
        }
    }
}

/// The plan of a request.
pub fn planned(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let (catalog, config) = (catalog(), config());
    let request = request(line, headers, body, &catalog, &config).unwrap();
    format!("{:#?}", rest::plan::plan(&request, &catalog, &config).unwrap())
}

pub fn statement(
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
    catalog: &Catalog,
    config: &Config,
) -> Result<String, Error> {
    let request = request(line, headers, body, catalog, config)?;
    let counts = request.prefer.counts();
    Ok(show(match &rest::plan::plan(&request, catalog, config)? {
        Plan::Read(plan) => rest::sql::read(plan, counts, None),
        Plan::Mutate(plan) => rest::sql::mutate(plan, request.prefer.representation),
        Plan::Call(plan) => rest::sql::call(plan, counts),
    }))
}

fn request(
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
    catalog: &Catalog,
    config: &Config,
) -> Result<Request, Error> {
    let (method, url) = line.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let method: Method = method.parse().unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let prefer = request::preferences(&map, config, &catalog.timezones);
    let body = Bytes::copy_from_slice(body.as_bytes());
    Request::parse(&method, path, query, &map, body, prefer, config)
}

fn show(statement: StatementText<'_>) -> String {
    let mut text = statement.text;
    for (index, parameter) in statement.parameters.iter().enumerate() {
        let value = match parameter {
            Value::Text(text) => format!("{text:?}"),
            Value::Json(bytes) => format!("json {:?}", String::from_utf8_lossy(bytes)),
            Value::Jsonb(bytes) => format!("jsonb {:?}", String::from_utf8_lossy(bytes)),
            Value::Bytes(bytes) => format!("bytea {bytes:?}"),
            Value::Raw(bytes) => format!("raw {:?}", String::from_utf8_lossy(bytes)),
        };
        text.push_str(&format!("\n${}: {value}", index + 1));
    }
    text
}
