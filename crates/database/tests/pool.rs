//! The pool: bounded, and always handing out connections that are in order.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use database::{
    Error, Isolation, Param, Pool, PoolConfig, RequestContext, SessionReset, Statement, StreamEvent,
    TransactionOptions,
};
use support::Cluster;

fn pool(cluster: &Cluster, max_size: usize) -> Pool {
    Pool::new(cluster.config(), PoolConfig { max_size, ..patient() })
}

/// Limits that a busy machine does not run into.
fn patient() -> PoolConfig {
    let (acquire_timeout, drain_timeout) = (Duration::from_secs(60), Duration::from_secs(60));
    PoolConfig { acquire_timeout, drain_timeout, ..PoolConfig::default() }
}

async fn scalar(pool: &Pool, sql: &str) -> Option<String> {
    let results = pool.request(&RequestContext::default(), &[Statement::new(sql, &[])]).await.unwrap();
    results[0].scalar().map(str::to_owned)
}

each_server! {

async fn a_request_runs_under_its_role_and_settings_and_leaves_nothing_behind(cluster) {
    let pool = pool(cluster, 1);
    pool.acquire().await.unwrap().simple_query("do $$ begin create role req_anon; exception when duplicate_object then end $$").await.unwrap();
    let context = RequestContext::new("req_anon").with_claims(r#"{"sub":"x"}"#).with("request.method", "GET");
    let sql = "select current_user || ' ' || current_setting('request.jwt.claims') || ' ' || current_setting('request.method')";
    let results = pool.request(&context, &[Statement::new(sql, &[])]).await.unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].scalar(), Some(r#"req_anon {"sub":"x"} GET"#));
    let after = "select current_user || '|' || coalesce(current_setting('request.jwt.claims', true), '')";
    assert_eq!(scalar(&pool, after).await.as_deref(), Some("postgres|"));
}

async fn retired_connections_are_not_used_again(cluster) {
    let pool = pool(cluster, 2);
    let backend = "select pg_backend_pid()::text";
    let idle = scalar(&pool, backend).await;
    let held = pool.acquire().await.unwrap();
    pool.retire();
    let fresh = scalar(&pool, backend).await;
    assert!(fresh.is_some() && fresh != idle);
    drop(held);
    // The one that was in use is closed when it comes back, the fresh one stays.
    assert_eq!(scalar(&pool, backend).await, fresh);
    assert_eq!(pool.status().connects, 2);
    assert_eq!(pool.status().size, 1);
}

async fn more_settings_than_one_statement_makes_are_all_made(cluster) {
    let pool = pool(cluster, 1);
    let mut context = RequestContext::default();
    for at in 0..40 {
        context = context.with(format!("many.s{at}"), format!("{at}"));
    }
    let results = pool
        .request(&context, &[Statement::new("select current_setting('many.s0') || current_setting('many.s39')", &[])])
        .await
        .unwrap();
    assert_eq!(results[0].scalar(), Some("039"));
}

async fn a_deferred_constraint_fails_the_request_at_commit(cluster) {
    let pool = pool(cluster, 1);
    pool.acquire().await.unwrap().simple_query(
        "drop table if exists deferred; create table deferred (id int unique deferrable initially deferred); insert into deferred values (1)",
    ).await.unwrap();
    let insert = [Statement::new("insert into deferred values (1) returning id", &[])];
    for isolation in [None, Some(Isolation::Serializable)] {
        let context = RequestContext { isolation, ..RequestContext::default() };
        let error = pool.request(&context, &insert).await.unwrap_err();
        let report = error.as_db().unwrap();
        assert_eq!((report.code.as_str(), report.statement), ("23505", None));
    }
    let open = pool.begin_request(&RequestContext::default(), &insert).await.unwrap();
    assert_eq!(open.results()[0].scalar(), Some("1"));
    assert_eq!(open.commit().await.unwrap_err().sqlstate().unwrap().as_str(), "23505");
    assert_eq!(scalar(&pool, "select count(*) from deferred").await.as_deref(), Some("1"));
}

async fn a_read_only_request_cannot_write_nor_free_itself(cluster) {
    let pool = pool(cluster, 1);
    pool.acquire().await.unwrap().simple_query("create table if not exists ro (id int)").await.unwrap();
    for isolation in [None, Some(Isolation::RepeatableRead)] {
        let context = RequestContext { isolation, ..RequestContext::default() }.read_only();
        let error = pool.request(&context, &[Statement::new("insert into ro values (1)", &[])]).await.unwrap_err();
        let report = error.as_db().unwrap();
        assert_eq!((report.code.as_str(), report.statement), ("25006", Some(0)));
        let free = "select set_config('transaction_read_only', 'off', true)";
        let error = pool.request(&context, &[Statement::new(free, &[])]).await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().as_str(), "25001");
    }
    assert_eq!(scalar(&pool, "select current_setting('transaction_read_only')").await.as_deref(), Some("off"));
}

async fn isolation_is_what_was_asked_for(cluster) {
    let pool = pool(cluster, 1);
    let context = RequestContext { isolation: Some(Isolation::RepeatableRead), ..RequestContext::default() };
    let shown = [Statement::new("select current_setting('transaction_isolation')", &[])];
    assert_eq!(pool.request(&context, &shown).await.unwrap()[0].scalar(), Some("repeatable read"));
}

async fn a_request_can_be_undone_as_a_whole(cluster) {
    let pool = pool(cluster, 1);
    pool.acquire().await.unwrap().simple_query("drop table if exists undone; create table undone (id int)").await.unwrap();
    let context = RequestContext { end: database::End::Rollback, ..RequestContext::default() };
    let insert = [Statement::new("insert into undone values (1) returning id", &[])];
    assert_eq!(pool.request(&context, &insert).await.unwrap()[0].scalar(), Some("1"));
    let open = pool.begin_request(&RequestContext::default(), &insert).await.unwrap();
    open.rollback().await.unwrap();
    drop(pool.begin_request(&RequestContext::default(), &insert).await.unwrap());
    assert_eq!(scalar(&pool, "select count(*) from undone").await.as_deref(), Some("0"));
    let kept = pool.begin_request(&RequestContext::default(), &insert).await.unwrap();
    assert_eq!(kept.commit().await.unwrap()[0].scalar(), Some("1"));
    assert_eq!(scalar(&pool, "select count(*) from undone").await.as_deref(), Some("1"));
}

async fn a_failing_preamble_names_no_statement(cluster) {
    let pool = pool(cluster, 1);
    let context = RequestContext::new("no such role");
    let error = pool.request(&context, &[Statement::new("select 1", &[])]).await.unwrap_err();
    let report = error.as_db().unwrap();
    assert_eq!((report.code.as_str(), report.statement), ("22023", None));
}

async fn waiting_for_a_connection_is_bounded(cluster) {
    let limits = PoolConfig { max_size: 1, acquire_timeout: Duration::from_millis(50), ..patient() };
    let pool = Pool::new(cluster.config(), limits);
    let held = pool.acquire().await.unwrap();
    let error = pool.acquire().await.err().unwrap();
    assert!(matches!(error, Error::PoolTimeout { max_size: 1, .. }), "{error}");
    drop(held);
    pool.acquire().await.unwrap();
    assert_eq!((pool.status().size, pool.status().connects), (1, 1));
}

async fn a_closed_pool_refuses_and_ends_its_connections(cluster) {
    let pool = pool(cluster, 2);
    let held = pool.acquire().await.unwrap();
    drop(pool.acquire().await.unwrap());
    let closing = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close().await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!closing.is_finished());
    drop(held);
    closing.await.unwrap();
    assert!(matches!(pool.acquire().await.err(), Some(Error::PoolClosed)));
    assert_eq!(pool.status().size, 0);
}

async fn a_future_dropped_at_any_await_leaves_a_usable_pool(cluster) {
    use std::future::Future;
    use std::task::Poll;
    let pool = pool(cluster, 1);
    pool.acquire().await.unwrap().simple_query("create table if not exists dropped (id int)").await.unwrap();
    let context = RequestContext::default().with("some.setting", "x");
    let big = "x".repeat(300_000);
    let params = [Param::Text(&big)];
    for polls in 1..12 {
        // A new text each time, so that a parse is in flight as well.
        let sql = format!("select length($1), '{polls}', repeat('y', 300000) from generate_series(1, 4), pg_sleep(0.01)");
        let statements = [Statement::new(&sql, &params), Statement::new("select 1", &[])];
        {
            let mut request = std::pin::pin!(pool.request(&context, &statements));
            let mut left = polls;
            std::future::poll_fn(|cx| {
                left -= 1;
                if request.as_mut().poll(cx).is_ready() || left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        let results = pool.request(&context, &statements[1..]).await.unwrap();
        assert_eq!(results[0].scalar(), Some("1"));
        let results = pool.request(&context, &statements[..1]).await.unwrap();
        assert_eq!(results[0].rows[0].text(0), Some("300000"));
    }
    assert_eq!(pool.status().connects, 1);
}

async fn a_request_over_its_time_is_cancelled(cluster) {
    let limits = PoolConfig { max_size: 1, request_timeout: Some(Duration::from_millis(100)), ..patient() };
    let pool = Pool::new(cluster.config(), limits);
    let nap = [Statement::new("select pg_sleep(60)", &[])];
    let error = pool.request(&RequestContext::default(), &nap).await.unwrap_err();
    assert_eq!(error.to_string(), "the request transaction took longer than 100ms");
    assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
    assert_eq!(pool.status().connects, 1);
}

async fn a_refused_permission_does_not_cost_the_prepared_statement(cluster) {
    let pool = pool(cluster, 1);
    pool.acquire().await.unwrap().simple_query("drop table if exists closed; create table closed (id int); do $$ begin create role req_out; exception when duplicate_object then end $$").await.unwrap();
    let statement = [Statement::new("select * from closed", &[])];
    for _ in 0..3 {
        let error = pool.request(&RequestContext::new("req_out"), &statement).await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().as_str(), "42501");
    }
    // The preamble and the statement, parsed once each.
    assert_eq!((pool.status().cache_misses, pool.status().cache_hits), (2, 4));
}

async fn an_abandoned_long_statement_is_cancelled(cluster) {
    let pool = pool(cluster, 1);
    let nap = [Statement::new("select pg_sleep(60)", &[])];
    let context = RequestContext::default();
    assert!(tokio::time::timeout(Duration::from_millis(100), pool.request(&context, &nap)).await.is_err());
    let begun = std::time::Instant::now();
    assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(pool.status().connects, 1);
}

async fn a_transaction_left_open_is_rolled_back_on_return(cluster) {
    let pool = pool(cluster, 1);
    {
        let mut connection = pool.acquire().await.unwrap();
        connection.simple_query("drop table if exists left_open; create table left_open (id int)").await.unwrap();
            connection.simple_query("begin; insert into left_open values (1)").await.unwrap();
    }
    assert_eq!(scalar(&pool, "select count(*) from left_open").await.as_deref(), Some("0"));
    {
        let mut connection = pool.acquire().await.unwrap();
        let mut transaction = connection.begin(TransactionOptions::default()).await.unwrap();
        transaction.execute("insert into left_open values (1)", &[]).await.unwrap();
    }
    assert_eq!(scalar(&pool, "select count(*) from left_open").await.as_deref(), Some("0"));
}

async fn session_state_does_not_reach_the_next_borrower(cluster) {
    let limits = PoolConfig { max_size: 1, reset: SessionReset::WhenTouched, ..patient() };
    let pool = Pool::new(cluster.config(), limits);
    {
        let mut connection = pool.acquire().await.unwrap();
        connection.simple_query("set statement_timeout = '7s'; create temp table mine (id int); listen somewhere").await.unwrap();
        connection.query("select 1", &[]).await.unwrap();
    }
    let sql = "select current_setting('statement_timeout') || ' ' || coalesce(to_regclass('mine')::text, 'gone') || ' ' || (select count(*) from pg_listening_channels())";
    assert_eq!(scalar(&pool, sql).await.as_deref(), Some("0 gone 0"));
    // Prepared statements went with DISCARD ALL, and the connection knows.
    pool.acquire().await.unwrap().query("select 1", &[]).await.unwrap();
    assert_eq!(pool.status().connects, 1);
}

async fn a_connection_that_died_while_idle_is_replaced_unnoticed(cluster) {
    let pool = pool(cluster, 2);
    let admin = &mut cluster.connect().await;
    for wait in [0, 150] {
        let pid = scalar(&pool, "select pg_backend_pid()").await.unwrap();
        admin.simple_query(&format!("select pg_terminate_backend({pid}, 1000)")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let other = scalar(&pool, "select pg_backend_pid()").await.unwrap();
        assert_ne!(pid, other);
    }
}

async fn a_connection_terminated_mid_statement_is_an_error_and_the_pool_goes_on(cluster) {
    let pool = pool(cluster, 1);
    let (context, mut admin) = (RequestContext::default(), cluster.connect().await);
    let nap = [Statement::new("select pg_sleep(60), 'to be terminated'", &[])];
    let terminate = async {
            let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%to be terminated%' and state = 'active' and pid <> pg_backend_pid()";
            while admin.simple_query(sql).await.unwrap()[0].scalar() == Some("0") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (outcome, ()) = tokio::join!(pool.request(&context, &nap), terminate);
    assert_eq!(outcome.unwrap_err().sqlstate().unwrap().as_str(), "57P01");
    assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
}

async fn idle_connections_are_closed_after_a_while(cluster) {
    let limits = PoolConfig { idle_timeout: Duration::from_millis(150), ..patient() };
    let pool = Pool::new(cluster.config(), limits);
    let (a, b) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    drop((a, b));
    assert_eq!(pool.status().idle, 2);
    let begun = std::time::Instant::now();
    while pool.status().size > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", pool.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(pool.status().idle, 0);
}

async fn rows_stream_and_a_large_value_comes_in_pieces(cluster) {
    let pool = pool(cluster, 1);
    let context = RequestContext::default().with("a.b", "c");
    let sql = "select n, case n when 2 then repeat('ab', 5000000) when 3 then null else 'small' end from generate_series(1, 3) n";
    let mut stream = pool.stream_request(&context, &[Statement::new(sql, &[]), Statement::new("select 'end'", &[])]).await.unwrap();
    let mut seen = Vec::new();
    let (mut bytes, mut largest) = (0, 0);
    while let Some(event) = stream.next().await.unwrap() {
        match event {
            StreamEvent::Columns(columns) => seen.push(format!("columns {}", columns.len())),
            StreamEvent::Row(row) => seen.push(format!("row {row:?}")),
            StreamEvent::LargeRow { fields } => seen.push(format!("large row {fields}")),
            StreamEvent::Field { index, length } => seen.push(format!("field {index} {length:?}")),
            StreamEvent::Chunk(chunk) => {
                bytes += chunk.len();
                largest = largest.max(chunk.len());
            }
            StreamEvent::LargeRowEnd => seen.push("large row end".into()),
            StreamEvent::Complete(tag) => seen.push(tag.as_str().to_owned()),
        }
    }
    assert_eq!(seen, [
        "columns 2", r#"row [Some("1"), Some("small")]"#, "large row 2", "field 0 Some(1)", "field 1 Some(10000000)",
        "large row end", r#"row [Some("3"), None]"#, "SELECT 3", "columns 1", r#"row [Some("end")]"#, "SELECT 1",
    ]);
    assert_eq!(bytes, 10_000_001);
    assert!(largest <= 64 * 1024);
    drop(stream);
    assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
}

async fn a_stream_dropped_early_leaves_a_usable_connection(cluster) {
    let pool = pool(cluster, 1);
    let sql = "select repeat('x', 1000000) from generate_series(1, 100000)";
    for events in [0, 1, 2, 4, 20] {
        let mut stream = pool.stream_request(&RequestContext::default(), &[Statement::new(sql, &[])]).await.unwrap();
        for _ in 0..events {
            stream.next().await.unwrap();
        }
        drop(stream);
        assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
    }
    assert_eq!(pool.status().connects, 1);
}

async fn an_error_in_a_stream_comes_where_it_happens(cluster) {
    let pool = pool(cluster, 1);
    let sql = "select 1 / (20000 - n) from generate_series(1, 30000) n";
    let mut stream = pool.stream_request(&RequestContext::default(), &[Statement::new(sql, &[])]).await.unwrap();
    let mut rows = 0;
    let error = loop {
        match stream.next().await {
            Ok(Some(StreamEvent::Row(_))) => rows += 1,
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => break error,
        }
    };
    assert_eq!((rows, error.sqlstate().unwrap().as_str()), (19_999, "22012"));
    assert!(stream.next().await.unwrap().is_none());
    assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
}

async fn a_batch_larger_than_the_socket_buffers_both_ways_does_not_stall(cluster) {
    let pool = pool(cluster, 1);
    let text = "z".repeat(2_000_000);
    let params = [Param::Text(&text)];
    let statements = [Statement::new("select $1::text", &params); 8];
    let results = pool.request(&RequestContext::default(), &statements).await.unwrap();
    assert!(results.iter().all(|result| result.scalar().map(str::len) == Some(2_000_000)));
}

}

each_server! {

async fn answers_never_reach_another_request_however_many_are_abandoned(cluster) {
    let limits = PoolConfig { max_size: 4, statement_cache_size: 8, ..patient() };
    let pool = Pool::new(cluster.config(), limits);
    let random = |seed: u64| std::hash::BuildHasher::hash_one(&std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(), seed);
    let one = |number: u64| {
        let pool = pool.clone();
        async move {
            let text = number.to_string();
            let (params, dice) = ([Param::Text(&text)], random(number));
            let sql = format!("select $1 || pg_sleep({})::text, {}", (dice % 7) as f64 / 1000.0, dice % 20);
            let context = RequestContext { isolation: (dice % 3 == 0).then_some(Isolation::Serializable), ..RequestContext::default() }
                .with("its.own", text.as_str());
            let own = Statement::new("select current_setting('its.own')", &[]);
            let statements = [Statement::new(&sql, &params), own];
            let patience = Duration::from_micros(dice % 12_000);
            match dice % 5 {
                0 => {
                    let mut stream = pool.stream_request(&context, &statements).await.unwrap();
                    for _ in 0..dice % 4 {
                        if let Some(StreamEvent::Row(row)) = stream.next().await.unwrap() {
                            assert!(row.text(0) == Some(&text), "{row:?}");
                        }
                    }
                }
                1 => drop(pool.begin_request(&context, &statements).await.unwrap()),
                2 => {
                    let failing = [statements[0], Statement::new("select 1 / 0", &[]), own];
                    let error = pool.request(&context, &failing).await.unwrap_err();
                    assert_eq!(error.as_db().unwrap().statement, Some(1));
                }
                _ => {
                    if let Ok(results) = tokio::time::timeout(patience, pool.request(&context, &statements)).await {
                        let results = results.unwrap();
                        assert_eq!((results[0].scalar(), results[1].scalar()), (Some(&*text), Some(&*text)));
                    }
                }
            }
        }
    };
    for round in 0..10 {
        futures_util::future::join_all((0..60).map(|number| one(round * 60 + number))).await;
    }
    assert_eq!(scalar(&pool, "select 1").await.as_deref(), Some("1"));
    assert!(pool.status().connects <= 8, "{:?}", pool.status());
}

}
