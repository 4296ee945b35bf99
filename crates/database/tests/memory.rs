//! A value larger than memory should hold passes through in pieces. Alone in its process, so that memory can be read.
#![allow(clippy::unwrap_used)]

mod support;

use database::{Pool, PoolConfig, RequestContext, Statement, StreamEvent};

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_value_of_200_mb_passes_through_in_constant_memory() {
    let cluster = support::shared_embedded().or_else(support::shared_debian).unwrap();
    let pool = Pool::new(cluster.config(), PoolConfig::default());
    let statement = [Statement::new("select repeat('0123456789', 20000000)", &[])];
    let before = peak_kib();
    let mut stream = pool.stream_request(&RequestContext::default(), &statement).await.unwrap();
    let mut bytes = 0;
    while let Some(event) = stream.next().await.unwrap() {
        if let StreamEvent::Chunk(chunk) = event {
            bytes += chunk.len();
        }
    }
    assert_eq!(bytes, 200_000_000);
    let grown = peak_kib() - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}
