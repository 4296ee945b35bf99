//! Statements on one connection.
#![allow(clippy::unwrap_used)]

mod support;

use database::{Format, Param, Statement, TransactionOptions};

each_server! {
async fn several_statements_in_one_simple_query_each_have_a_result(cluster) {
    let mut connection = cluster.connect().await;
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

async fn statements_of_a_batch_are_one_transaction(cluster) {
    let mut connection = cluster.connect().await;
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

async fn columns_come_as_text_or_binary_each(cluster) {
    let mut connection = cluster.connect().await;
    let params =
        [Param::Text("7"), Param::Null, Param::Typed { oid: 23, binary: true, bytes: Some(&[0, 0, 0, 9]) }];
    let formats = [false, true, true];
    let statement =
        Statement::new("select $1::int, $2::int, $3", &params).results(Format::PerColumn(&formats));
    let results = connection.run(&[statement]).await.unwrap();
    let row = &results[0].rows[0];
    assert_eq!((row.get(0), row.get(1), row.get(2)), (Some(&b"7"[..]), None, Some(&[0, 0, 0, 9][..])));
}

async fn typed_queries_convert_both_ways(cluster) {
    let mut connection = cluster.connect().await;
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

async fn a_dropped_transaction_is_rolled_back(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query("create temp table kept (id int)").await.unwrap();
    {
        let mut transaction = connection.begin(TransactionOptions::default()).await.unwrap();
        assert_eq!(transaction.execute("insert into kept values (1)", &[]).await.unwrap(), 1);
    }
    let row = connection.query_one("select count(*) from kept", &[]).await.unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 0);
}
}

each_server! {

async fn a_statement_whose_result_type_changed_is_prepared_anew(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query("create temp table shape (id int, v int); insert into shape values (1, 2)").await.unwrap();
    let one = [Param::Text("1")];
    let statement = [Statement::new("select * from shape where id = $1", &one)];
    assert_eq!(connection.run(&statement).await.unwrap()[0].columns.len(), 2);
    let typed = connection.query_one("select * from shape", &[]).await.unwrap();
    assert_eq!(typed.get::<i32>("v").unwrap(), 2);
    connection.simple_query("alter table shape add w text default 'w'; alter table shape alter id type text").await.unwrap();
    let results = connection.run(&statement).await.unwrap();
    assert_eq!(results[0].columns.len(), 3);
    assert_eq!(results[0].rows[0].text(2), Some("w"));
    let typed = connection.query_one("select * from shape", &[]).await.unwrap();
    assert_eq!((typed.get::<String>("id").unwrap(), typed.get::<String>("w").unwrap()), ("1".into(), "w".into()));
}

async fn a_stale_statement_inside_a_transaction_is_an_error_once(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query("create temp table stale (id int)").await.unwrap();
    let statement = [Statement::new("select * from stale", &[])];
    connection.run(&statement).await.unwrap();
    connection.simple_query("alter table stale add v int").await.unwrap();
    let mut transaction = connection.begin(TransactionOptions::default()).await.unwrap();
    let error = transaction.run(&statement).await.unwrap_err();
    assert_eq!(error.sqlstate().unwrap().as_str(), "0A000");
    transaction.rollback().await.unwrap();
    assert_eq!(connection.run(&statement).await.unwrap()[0].columns.len(), 2);
}

async fn statements_deallocated_behind_our_back_are_prepared_anew(cluster) {
    let mut connection = cluster.connect().await;
    let statement = [Statement::new("select 1", &[])];
    for discard in ["select 1; discard all", "deallocate all", "do $$ begin execute 'deallocate all'; end $$"] {
        connection.run(&statement).await.unwrap();
        connection.query("select 2", &[]).await.unwrap();
        for part in discard.split("; d").map(|part| if part.starts_with("iscard") { "discard all" } else { part }) {
            connection.simple_query(part).await.unwrap();
        }
        assert_eq!(connection.run(&statement).await.unwrap()[0].scalar(), Some("1"));
        assert_eq!(connection.query_one("select 2", &[]).await.unwrap().get::<i32>(0).unwrap(), 2);
    }
}

async fn the_statement_cache_is_bounded_on_both_sides(cluster) {
    let mut connection = cluster.connect().await;
    connection.set_statement_cache_size(5);
    for number in 0..30 {
        let sql = format!("select {number}");
        connection.run(&[Statement::new(&sql, &[])]).await.unwrap();
    }
    assert_eq!(connection.statement_cache().0, 5);
    let results = connection.simple_query("select count(*) from pg_prepared_statements").await.unwrap();
    let count: usize = results[0].scalar().unwrap().parse().unwrap();
    assert!(count <= 6, "{count}");
}

async fn roles_do_not_share_prepared_statements(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query(
        "drop table if exists owned; create table owned (owner text, v int);
         insert into owned values ('ann', 1), ('bob', 2);
         alter table owned enable row level security;
         create policy mine on owned using (owner = current_user);
         do $$ begin create role ann; create role bob; exception when duplicate_object then end $$;
         grant select on owned to ann, bob",
    ).await.unwrap();
    let statement = [Statement::new("select v from owned", &[])];
    for _ in 0..3 {
        for (role, value) in [("ann", "1"), ("bob", "2")] {
            let results = connection.request(&database::RequestContext::new(role), &statement).await.unwrap();
            assert_eq!(results[0].scalar(), Some(value));
        }
    }
    let prepared = "select count(*), min(generic_plans + custom_plans) from pg_prepared_statements where statement like '%from owned'";
    let results = connection.simple_query(prepared).await.unwrap();
    assert_eq!((results[0].rows[0].text(0), results[0].rows[0].text(1)), (Some("2"), Some("3")));
}

async fn an_uncached_statement_leaves_no_name(cluster) {
    let mut connection = cluster.connect().await;
    let five = [Param::Text("5")];
    let statement = Statement::new("select $1::int * 2 as double", &five).uncached();
    let results = connection.run(&[statement, statement]).await.unwrap();
    assert_eq!((results[0].scalar(), results[1].scalar()), (Some("10"), Some("10")));
    assert_eq!(&*results[1].columns[0].name, "double");
    assert_eq!(connection.statement_cache().0, 0);
}

async fn an_error_carries_every_field(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query(
        "create or replace function fail() returns void language plpgsql as $$ begin
         raise exception 'broken' using errcode = 'PT402', detail = 'why', hint = 'do', column = 'c',
           constraint = 'k', datatype = 't', table = 'r', schema = 's'; end $$",
    ).await.unwrap();
    let error = connection.run(&[Statement::new("select fail()", &[])]).await.unwrap_err();
    let report = error.as_db().unwrap().clone();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    assert_eq!(
        (report.severity, report.code.as_str(), report.message.as_str(), text(&report.detail), text(&report.hint)),
        (database::Severity::Error, "PT402", "broken", "why".into(), "do".into())
    );
    assert_eq!(
        [&report.column, &report.constraint, &report.data_type, &report.table, &report.schema].map(text),
        ["c", "k", "t", "r", "s"]
    );
    assert!(text(&report.where_).starts_with("PL/pgSQL function fail()"));
    assert_eq!((text(&report.file), text(&report.routine)), ("pl_exec.c".into(), "exec_stmt_raise".into()));
    let error = connection.simple_query("select 1 from nowhere").await.unwrap_err();
    assert_eq!(error.as_db().unwrap().position, Some(15));
}

async fn notices_reach_the_hook(cluster) {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut connection = cluster.connect().await;
    let sink = seen.clone();
    connection.set_notice_hook(Some(std::sync::Arc::new(move |notice| {
        sink.lock().unwrap().push((notice.severity, notice.message.clone()));
    })));
    connection.simple_query("do $$ begin raise notice 'one'; raise warning 'two'; end $$").await.unwrap();
    use database::Severity::{Notice, Warning};
    assert_eq!(*seen.lock().unwrap(), [(Notice, "one".to_owned()), (Warning, "two".to_owned())]);
}

async fn settings_the_server_reports_are_followed(cluster) {
    let mut connection = cluster.connect().await;
    assert!(connection.server_version() >= 150_000);
    assert_eq!(connection.parameter("client_encoding"), Some("UTF8"));
    connection.simple_query("set application_name = 'renamed'").await.unwrap();
    assert_eq!(connection.parameter("application_name"), Some("renamed"));
}

async fn copy_is_refused(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query("create temp table copied (id int)").await.unwrap();
    for sql in ["copy copied from stdin", "copy copied to stdout"] {
        assert!(connection.simple_query(sql).await.is_err());
        assert_eq!(connection.simple_query("select 1").await.unwrap()[0].scalar(), Some("1"));
    }
    let to = [Statement::new("copy copied to stdout", &[]), Statement::new("select 1", &[])];
    assert!(connection.run(&to).await.is_err());
    assert_eq!(connection.simple_query("select 1").await.unwrap()[0].scalar(), Some("1"));
    let from = [Statement::new("copy copied from stdin", &[]), Statement::new("select 1", &[])];
    assert!(connection.run(&from).await.is_err());
    assert!(connection.is_broken());
}

async fn a_message_over_the_limit_is_refused(cluster) {
    let config = cluster.config().with_max_message_size(1 << 20);
    let mut connection = database::Connection::connect(&config).await.unwrap();
    connection.simple_query("select repeat('x', 1000000)").await.unwrap();
    let error = connection.simple_query("select repeat('x', 2000000)").await.unwrap_err();
    assert!(matches!(error, database::Error::TooLarge { limit: 1_048_576, .. }), "{error}");
    assert!(connection.is_broken());
}

async fn types_that_are_not_built_in_are_looked_up(cluster) {
    let mut connection = cluster.connect().await;
    connection.simple_query(
        "do $$ begin create type mood as enum ('sad', 'ok'); create domain short as varchar(3); exception when duplicate_object then end $$",
    ).await.unwrap();
    let row = connection
        .query_one("select $1::text::mood as m, array['ok'::mood] as ms, 'ab'::short as s, null::mood as n", &[&"sad"])
        .await
        .unwrap();
    let kinds: Vec<&str> = row.columns().iter().map(|(_, kind)| kind.name()).collect();
    assert_eq!(kinds, ["mood", "_mood", "varchar", "mood"]);
    assert_eq!(row.raw().text(0), Some("sad"));
}

async fn a_statement_is_described_without_running(cluster) {
    let mut connection = cluster.connect().await;
    let description = connection.describe("insert into pg_temp.nowhere values (1)").await;
    assert_eq!(description.unwrap_err().sqlstate().unwrap().as_str(), "42P01");
    let description = connection.describe("select relname, $1::int8 + 1 as next from pg_class where relkind = $2").await.unwrap();
    let params: Vec<&str> = description.params.iter().map(|kind| kind.name()).collect();
    let columns: Vec<(&str, &str)> =
        description.columns.iter().map(|(column, kind)| (&*column.name, kind.name())).collect();
    assert_eq!((params, columns), (vec!["int8", "char"], vec![("relname", "name"), ("next", "int8")]));
}

async fn wrong_parameters_fail_before_anything_is_sent(cluster) {
    let mut connection = cluster.connect().await;
    let error = connection.query("select $1::int", &[&"text"]).await.unwrap_err();
    assert!(matches!(error, database::Error::ToSql { index: 1, .. }), "{error}");
    let error = connection.query("select $1::int", &[]).await.unwrap_err();
    assert!(matches!(error, database::Error::ParameterCount { expected: 1, got: 0 }), "{error}");
    assert_eq!(connection.query_one("select $1::int", &[&5i32]).await.unwrap().get::<i32>(0).unwrap(), 5);
    assert!(connection.simple_query("select '\0'").await.is_err());
    assert_eq!(connection.simple_query("select 1").await.unwrap()[0].scalar(), Some("1"));
}

}
