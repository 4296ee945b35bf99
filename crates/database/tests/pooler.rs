//! Through pgbouncer.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use database::migrate::{self, Ledger};
use database::{
    ConnectConfig, Error, Listener, Param, Pool, PoolConfig, Pooler, PreparedStatements, RequestContext,
    Statement,
};

struct Bouncer {
    child: Child,
    config: ConnectConfig,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` where pgbouncer is not installed.
fn bouncer(cluster: &support::Cluster, mode: &str) -> Option<Bouncer> {
    let program = "/usr/sbin/pgbouncer";
    if !std::path::Path::new(program).exists() {
        eprintln!("pgbouncer is not installed: this test is left out");
        return None;
    }
    let folder = tempfile::Builder::new().prefix("bouncer").tempdir_in(&cluster.folder).unwrap().keep();
    let port = support::free_port();
    let ini = format!(
        "[databases]\npostgres = host={socket} port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 2\nuser = postgres\n",
        socket = cluster.folder.display(),
        server = cluster.port,
    )
    .replace("postgres = host=", "postgres = user=postgres host=");
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, ini).unwrap();
    for path in [&folder, &file] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = if cfg!(unix) { Command::new(program) } else { unreachable!() };
    let child = command.arg("-q").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let config = ConnectConfig::tcp("127.0.0.1", port, "postgres.tenant").with_database("postgres");
    Some(Bouncer { child, config })
}

each_server! {

async fn transaction_pooling_is_found_out_and_works_without_names(cluster) {
    let Some(bouncer) = bouncer(cluster, "transaction") else { return };
    let pool = Pool::new(bouncer.config.clone(), PoolConfig::default());
    assert_eq!(pool.pooler().await.unwrap(), Pooler::Transaction);
    let context = RequestContext::default().with("some.setting", "kept");
    let value = [Param::Text("6")];
    let sql = "select current_setting('some.setting') || $1::int * 7";
    let statements = [Statement::new(sql, &value)];
    let all = (0..40).map(|_| pool.request(&context, &statements));
    for results in futures_util::future::join_all(all).await {
        assert_eq!(results.unwrap()[0].scalar(), Some("kept42"));
    }
    let mut connection = pool.acquire().await.unwrap();
    for _ in 0..3 {
        let row = connection.query_one("select $1::int8 + 1", &[&1i64]).await.unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 2);
    }
    let names = connection.simple_query("select count(*) from pg_prepared_statements").await.unwrap();
    assert_eq!(names[0].scalar(), Some("0"));
    let ledger = Ledger { lock: "x", create: "", applied: "select ''", record: "select $1" };
    let error = migrate::run(&mut connection, &ledger, &[]).await.unwrap_err();
    assert!(matches!(error, Error::Pooler { what: "migrating under a lock" }), "{error}");
    let error = Listener::connect(bouncer.config.clone(), &["x"]).await.err().unwrap();
    assert!(matches!(error, Error::Pooler { .. }));
    assert_eq!(
        error.to_string(),
        "listening for notifications does not work through a transaction pooler: give a direct connection URL"
    );
}

async fn session_pooling_keeps_prepared_statements_and_notifications(cluster) {
    let Some(bouncer) = bouncer(cluster, "session") else { return };
    let pool = Pool::new(bouncer.config.clone(), PoolConfig { max_size: 1, ..PoolConfig::default() });
    assert_eq!(pool.pooler().await.unwrap(), Pooler::Session);
    let statements = [Statement::new("select 1", &[])];
    for _ in 0..3 {
        pool.request(&RequestContext::default(), &statements).await.unwrap();
    }
    assert_eq!(pool.status().cache_hits, 2);
}

async fn a_direct_connection_is_seen_as_such(cluster) {
    let pool = Pool::new(cluster.config(), PoolConfig::default());
    assert_eq!(pool.pooler().await.unwrap(), Pooler::None);
    let pool = Pool::new(
        cluster.config(),
        PoolConfig { prepared_statements: PreparedStatements::Off, ..PoolConfig::default() },
    );
    let statements = [Statement::new("select 1", &[])];
    for _ in 0..3 {
        pool.request(&RequestContext::default().with("a.b", "c"), &statements).await.unwrap();
    }
    assert_eq!((pool.status().cache_hits, pool.status().cache_misses), (0, 6));
}

}
