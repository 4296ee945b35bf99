//! Reads that travel together: each must be answered as if it had gone alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::Future;
use std::time::{Duration, Instant};

use database::{Error, Format, Param, Pool, PoolConfig, RequestContext, Statement, StreamEvent};
use support::Cluster;

fn pool(cluster: &Cluster, max_size: usize) -> Pool {
    let (acquire_timeout, drain_timeout) = (Duration::from_secs(60), Duration::from_secs(60));
    Pool::new(
        cluster.config(),
        PoolConfig { max_size, acquire_timeout, drain_timeout, ..PoolConfig::default() },
    )
}

/// The first value of a read, whole or in pieces.
async fn read(pool: &Pool, sql: &str, claims: &str, parameter: &str) -> Result<String, Error> {
    let context = RequestContext::default().with_claims(claims.to_owned()).read_only();
    let params = [Param::Text(parameter)];
    let statement = Statement::new(sql, &params).results(Format::Text);
    let mut stream = pool.stream_read(&context, &[statement]).await?;
    let mut value = Vec::new();
    while let Some(event) = stream.next().await? {
        match event {
            StreamEvent::Row(row) => value.extend_from_slice(row.get(0).unwrap()),
            StreamEvent::Chunk(bytes) => value.extend_from_slice(&bytes),
            _ => {}
        }
    }
    Ok(String::from_utf8(value).unwrap())
}

/// Has connections know the statement and that it is swift.
async fn warm(pool: &Pool, sql: &str, parameter: &str) {
    for _ in 0..4 {
        read(pool, sql, "{}", parameter).await.unwrap();
    }
}

const ECHO: &str = "select current_setting('request.jwt.claims') || ' ' || $1";

each_server! {

async fn every_read_in_a_convoy_has_its_own_claims(cluster) {
    let pool = pool(cluster, 2);
    warm(&pool, ECHO, "warm").await;
    let before = pool.status();
    let reads = (0..400).map(|n| {
        let pool = pool.clone();
        async move { read(&pool, ECHO, &format!("user {n}"), &format!("value {n}")).await.unwrap() }
    });
    let answers = futures_util::future::join_all(reads).await;
    let expected: Vec<String> = (0..400).map(|n| format!("user {n} value {n}")).collect();
    assert_eq!(answers, expected);
    let after = pool.status();
    assert!(after.convoy_reads - before.convoy_reads > 2 * (after.convoys - before.convoys));
}

async fn a_read_that_fails_leaves_its_neighbours_alone(cluster) {
    let pool = pool(cluster, 1);
    let sql = "select 12 / $1::int";
    warm(&pool, sql, "1").await;
    let reads = (0..8).map(|n| {
        let pool = pool.clone();
        async move { read(&pool, sql, "{}", &(n % 4).to_string()).await }
    });
    let answers: Vec<_> = futures_util::future::join_all(reads)
        .await
        .into_iter()
        .map(|answer| answer.map_err(|error| match error {
            Error::Db(report) => report.code.as_str().to_owned(),
            other => other.to_string(),
        }))
        .collect();
    let zero = Err("22012".to_owned());
    let expected = [zero, Ok("12".to_owned()), Ok("6".to_owned()), Ok("4".to_owned())];
    assert_eq!(answers, [expected.clone(), expected].concat());
}

async fn nobody_waits_for_a_slow_read_in_front(cluster) {
    let pool = pool(cluster, 4);
    let sql = "select 'done' from pg_sleep($1::float8)";
    warm(&pool, sql, "0").await;
    let began = Instant::now();
    let slow = read(&pool, sql, "{}", "3");
    let swift = async {
        let reads = (0..6).map(|_| read(&pool, sql, "{}", "0"));
        futures_util::future::try_join_all(reads).await.unwrap();
        began.elapsed()
    };
    let (slow, swift) = tokio::join!(slow, swift);
    assert_eq!(slow.unwrap(), "done");
    assert!(swift < Duration::from_millis(2500), "{swift:?}");
}

async fn a_large_answer_streams_out_of_a_convoy(cluster) {
    let pool = pool(cluster, 3);
    let sql = "select repeat('x', $1::int)";
    warm(&pool, sql, "1").await;
    let sizes = [3_000_000_usize, 5, 200_000, 7];
    let texts = sizes.map(|size| size.to_string());
    let reads = texts.iter().map(|size| read(&pool, sql, "{}", size));
    let answers = futures_util::future::try_join_all(reads).await.unwrap();
    assert_eq!(answers.iter().map(String::len).collect::<Vec<_>>(), sizes);
}

async fn readers_that_leave_take_nobody_with_them(cluster) {
    let pool = pool(cluster, 3);
    warm(&pool, ECHO, "warm").await;
    for round in 0..40_u64 {
        let reads = (0..16).map(|n| {
            let pool = pool.clone();
            async move {
                let work = read(&pool, ECHO, "{}", "stays");
                if n % 3 == round % 3 {
                    let patience = Duration::from_micros(50 * ((n + round) % 9));
                    tokio::time::timeout(patience, work).await.ok().map(|answer| answer.unwrap())
                } else {
                    Some(work.await.unwrap())
                }
            }
        });
        for answer in futures_util::future::join_all(reads).await.into_iter().flatten() {
            assert_eq!(answer, "{} stays");
        }
    }
    assert_eq!(read(&pool, ECHO, "{}", "after").await.unwrap(), "{} after");
}

async fn reads_survive_the_end_of_their_server_process(cluster) {
    let pool = pool(cluster, 2);
    warm(&pool, ECHO, "warm").await;
    let mut killer = database::Connection::connect(&cluster.config()).await.unwrap();
    for _ in 0..10 {
        let reads = (0..8).map(|_| read(&pool, ECHO, "{}", "answer"));
        let kill = killer.simple_query(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like '%request.jwt.claims%' and pid <> pg_backend_pid()",
        );
        let (answers, killed) = tokio::join!(futures_util::future::join_all(reads), kill);
        killed.unwrap();
        for answer in answers {
            // One whose process is ended in the middle of the second attempt, too, may fail; it must say so.
            match answer {
                Ok(answer) => assert_eq!(answer, "{} answer"),
                Err(error) => assert!(matches!(error, Error::Db(_) | Error::Closed | Error::Io(_)), "{error}"),
            }
        }
    }
    assert_eq!(read(&pool, ECHO, "{}", "after").await.unwrap(), "{} after");
}

async fn the_gathering_convoy_departs_when_its_first_passenger_leaves(cluster) {
    let pool = pool(cluster, 1);
    warm(&pool, ECHO, "warm").await;
    let first = Box::pin(read(&pool, ECHO, "{}", "first"));
    let second = Box::pin(read(&pool, ECHO, "{}", "second"));
    let mut first = first;
    // One poll: the first has its seat and gives way.
    let once = std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_ready()));
    assert!(!once.await);
    let leave = async { drop(first) };
    let (answer, ()) = tokio::join!(second, leave);
    assert_eq!(answer.unwrap(), "{} second");
}

async fn a_crowd_that_found_all_connections_lent_travels_together_afterwards(cluster) {
    let pool = pool(cluster, 2);
    warm(&pool, ECHO, "warm").await;
    let lent = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let before = pool.status();
    let reads = (0..64).map(|_| async {
        for _ in 0..20 {
            assert_eq!(read(&pool, ECHO, "{}", "answer").await.unwrap(), "{} answer");
        }
    });
    let give_back = async {
        while pool.status().waiting < 64 {
            tokio::task::yield_now().await;
        }
        drop(lent);
    };
    tokio::join!(futures_util::future::join_all(reads), give_back);
    let together = pool.status().convoy_reads - before.convoy_reads;
    assert!(together > 1000, "{together} of 1280");
}

}
