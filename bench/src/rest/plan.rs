//! From a query string to SQL, without a database: a read with three embeds.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Method};
use rest::Config;
use rest::catalog::relationships::{self, ForeignKey};
use rest::catalog::{Catalog, Column, QualifiedName, Related, Relationship, Schema, Table};
use rest::parse::request::{Request, preferences};
use rest::plan::Plan;

use crate::Arguments;
use crate::table::{median, note};

const QUERY: &str = "select=id,title,created_at,author:authors(id,name),comments(id,body,author:authors(name)),tags(name)\
                     &status=eq.published&created_at=gte.2024-01-01&comments.hidden=is.false&comments.order=id.desc\
                     &comments.limit=5&order=created_at.desc,id&limit=20";

fn name(name: &str) -> QualifiedName {
    QualifiedName::new("public", name)
}

fn table(of: &str, columns: &[&str], key: &[&str]) -> Table {
    let columns = columns
        .iter()
        .map(|name| Column {
            name: (*name).into(),
            description: None,
            nullable: true,
            data_type: "text".into(),
            nominal_type: "text".into(),
            max_length: None,
            default: None,
            labels: Default::default(),
        })
        .collect();
    let mut table = Table::new(name(of), columns);
    table.primary_key = key.iter().map(|column| (*column).into()).collect();
    table
}

fn catalog() -> Catalog {
    let tables: HashMap<QualifiedName, Table> = [
        table("authors", &["id", "name"], &["id"]),
        table("posts", &["id", "title", "status", "author_id", "created_at"], &["id"]),
        table("comments", &["id", "body", "hidden", "post_id", "author_id"], &["id"]),
        table("tags", &["id", "name"], &["id"]),
        table("posts_tags", &["post_id", "tag_id"], &["post_id", "tag_id"]),
    ]
    .into_iter()
    .map(|table| (table.name.clone(), table))
    .collect();
    let key = |table: &str, column: &str, target: &str| ForeignKey {
        table: name(table),
        target: name(target),
        constraint: format!("{table}_{column}_fkey").into(),
        columns: vec![(column.into(), "id".into())],
        unique: false,
    };
    let keys = [
        key("posts", "author_id", "authors"),
        key("comments", "post_id", "posts"),
        key("comments", "author_id", "authors"),
        key("posts_tags", "post_id", "posts"),
        key("posts_tags", "tag_id", "tags"),
    ];
    let mut related: HashMap<Arc<str>, Vec<Relationship>> = HashMap::new();
    for relationship in relationships::derive(&keys, &[], Vec::new(), &tables) {
        related.entry(relationship.table.name.clone()).or_default().push(relationship);
    }
    let schema = Schema {
        tables: tables.into_iter().map(|(name, table)| (name.name, table)).collect(),
        relationships: related.into_iter().map(|(table, all)| (table, Related::new(all))).collect(),
        ..Schema::default()
    };
    Catalog { schemas: HashMap::from([("public".into(), schema)]), ..Catalog::default() }
}

fn statement(headers: &HeaderMap, catalog: &Catalog, config: &Config) -> Result<usize> {
    let failed = |error: rest::Error| anyhow!("{error:?}");
    let prefer = preferences(headers, config, &catalog.timezones);
    let request = Request::parse(&Method::GET, "/posts", QUERY, headers, Bytes::new(), prefer, config)
        .map_err(failed)?;
    let plan = rest::plan::plan(&request, catalog, config).map_err(failed)?;
    let Plan::Read(plan) = &plan else { return Err(anyhow!("not a read")) };
    Ok(rest::sql::read(plan, false, None).text.len())
}

/// Prints the time of one, the best of many batches: what disturbs a batch is not the code's doing.
pub(crate) fn measure(arguments: &Arguments) -> Result<()> {
    const BATCH: u32 = 2_000;
    let (catalog, config) = (catalog(), Config { schemas: vec!["public".to_owned()], ..Config::default() });
    let mut headers = HeaderMap::new();
    headers.insert("accept", "application/json".parse()?);
    let mut batches = Vec::new();
    for _ in 0..arguments.runs.max(5) * 4 {
        let began = Instant::now();
        for _ in 0..BATCH {
            black_box(statement(black_box(&headers), &catalog, &config)?);
        }
        batches.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
    }
    println!("\nREST, parse + plan + SQL of a read with three embeds");
    note("one, median", median(&batches), "µs (< 30 µs)");
    note("one, best", batches.iter().copied().fold(f64::INFINITY, f64::min), "µs");
    Ok(())
}
