//! Statements on one connection.
#![allow(clippy::unwrap_used)]

mod support;

use database::{Format, Param, Statement, TransactionOptions};
use support::shared;

#[tokio::test]
async fn several_statements_in_one_simple_query_each_have_a_result() {
    let mut connection = shared().connect().await;
    let results =
        connection.simple_query("select 1 as one, null as nothing; ; values (2), (3)").await.unwrap();
    let texts: Vec<Vec<Vec<Option<&str>>>> = results
        .iter()
        .map(|result| result.rows.iter().map(|row| (0..row.len()).map(|at| row.text(at)).collect()).collect())
        .collect();
    assert_eq!(texts, vec![vec![vec![Some("1"), None]], vec![vec![Some("2")], vec![Some("3")]]]);
    assert_eq!(&*results[0].columns[0].name, "one");
    assert_eq!(results[0].columns[0].type_oid, 23);
}

#[tokio::test]
async fn statements_of_a_batch_are_one_transaction() {
    let mut connection = shared().connect().await;
    connection.simple_query("create temp table batch (id int primary key)").await.unwrap();
    let insert = |id: &'static str| [Param::Text(id)];
    let (one, two) = (insert("1"), insert("2"));
    let sql = "insert into batch values ($1)";
    let error = connection
        .run(&[Statement::new(sql, &one), Statement::new(sql, &two), Statement::new(sql, &one)])
        .await
        .unwrap_err();
    let report = error.as_db().unwrap();
    assert_eq!(
        (report.code.as_str(), report.statement, report.constraint.as_deref()),
        ("23505", Some(2), Some("batch_pkey"))
    );
    let results = connection.run(&[Statement::new("select count(*) from batch", &[])]).await.unwrap();
    assert_eq!(results[0].scalar(), Some("0"));
}

#[tokio::test]
async fn columns_come_as_text_or_binary_each() {
    let mut connection = shared().connect().await;
    let params =
        [Param::Text("7"), Param::Null, Param::Typed { oid: 23, binary: true, bytes: Some(&[0, 0, 0, 9]) }];
    let formats = [false, true, true];
    let statement =
        Statement::new("select $1::int, $2::int, $3", &params).results(Format::PerColumn(&formats));
    let results = connection.run(&[statement]).await.unwrap();
    let row = &results[0].rows[0];
    assert_eq!((row.get(0), row.get(1), row.get(2)), (Some(&b"7"[..]), None, Some(&[0, 0, 0, 9][..])));
}

#[tokio::test]
async fn typed_queries_convert_both_ways() {
    let mut connection = shared().connect().await;
    let row = connection
        .query_one(
            "select $1::int8 + 1 as next, $2::text as name, $3::jsonb as doc",
            &[&41i64, &"x", &serde_json::json!({"a": [1]})],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<i64>("next").unwrap(), 42);
    assert_eq!(row.get::<Option<String>>(1).unwrap().as_deref(), Some("x"));
    assert_eq!(row.get::<serde_json::Value>("doc").unwrap(), serde_json::json!({"a": [1]}));
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back() {
    let mut connection = shared().connect().await;
    connection.simple_query("create temp table kept (id int)").await.unwrap();
    {
        let mut transaction = connection.begin(TransactionOptions::default()).await.unwrap();
        assert_eq!(transaction.execute("insert into kept values (1)", &[]).await.unwrap(), 1);
    }
    let row = connection.query_one("select count(*) from kept", &[]).await.unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 0);
}
