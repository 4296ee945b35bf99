//! Tier 1: one cluster a process, one database a test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;

use database::ident::{quote_ident, quote_literal};
use database::{ConnectConfig, Connection, Pool, PoolConfig};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::{Cluster, JWT_SECRET, SUPERUSER};
use crate::install::Server;
use crate::template::Content;

/// A bootstrapped database of its own on the embedded engine. Dropped with the value.
pub async fn database() -> TestDatabase {
    database_on(Server::Embedded).await
}

/// A bootstrapped database of its own on `server`.
pub async fn database_on(server: Server) -> TestDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let shared = tokio::task::spawn_blocking(move || shared(server))
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let (reply, done) = oneshot::channel();
    shared.jobs.send(Job::Create(name.clone(), reply)).expect("the administrator never ends");
    done.await.expect("the administrator answers every job").unwrap_or_else(|error| panic!("{error}"));
    TestDatabase { name, shared }
}

/// A database that one test has to itself; its roles belong to all tests of the process.
pub struct TestDatabase {
    name: String,
    shared: &'static Shared,
}

impl TestDatabase {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect as `user`, without a password.
    pub fn config(&self, user: &str) -> ConnectConfig {
        self.shared.cluster.config(user, &self.name)
    }

    /// A connection as `user`.
    pub async fn connect(&self, user: &str) -> Connection {
        self.shared.cluster.connect(user, &self.name).await
    }

    /// A connection as `supabase_admin`.
    pub async fn admin(&self) -> Connection {
        self.connect(SUPERUSER).await
    }

    /// A small pool as `user`.
    pub fn pool(&self, user: &str) -> Pool {
        Pool::new(self.config(user), PoolConfig { max_size: 4, ..PoolConfig::default() })
    }

    /// The cluster it is on. Shared: do not change roles or settings of it.
    pub fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Not waited for; the whole cluster goes with the process.
        let _ = self.shared.jobs.send(Job::Drop(std::mem::take(&mut self.name)));
    }
}

/// The cluster of this process and the thread that makes databases on it.
struct Shared {
    cluster: Cluster,
    jobs: mpsc::UnboundedSender<Job>,
}

enum Job {
    Create(String, oneshot::Sender<Result<(), database::Error>>),
    Drop(String),
}

fn shared(server: Server) -> &'static Shared {
    static SHARED: OnceLock<Mutex<HashMap<Server, &'static Shared>>> = OnceLock::new();
    let mut clusters =
        SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    clusters.entry(server).or_insert_with(|| {
        let cluster = Cluster::start_blocking(server, Content::Bootstrapped, Vec::new());
        // Not `postgres`: a database can only be copied while nobody is connected to it.
        let config = cluster.config(SUPERUSER, "template1");
        let (jobs, queue) = mpsc::unbounded_channel();
        thread::spawn(move || administrate(&config, queue));
        Box::leak(Box::new(Shared { cluster, jobs }))
    })
}

/// Makes and drops databases. A thread with a runtime of its own, because a test's runtime ends with the test.
fn administrate(config: &ConnectConfig, mut queue: mpsc::UnboundedReceiver<Job>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("cannot make a runtime: {error}"));
    runtime.block_on(async {
        let mut connection = Connection::connect(config)
            .await
            .unwrap_or_else(|error| panic!("cannot connect to the test cluster: {error}"));
        while let Some(job) = queue.recv().await {
            match job {
                Job::Create(name, reply) => {
                    // The test may have been given up.
                    let _ = reply.send(create(&mut connection, &name).await);
                }
                Job::Drop(name) => {
                    let sql = format!("drop database if exists {} with (force)", quote_ident(&name));
                    // It is removed with the cluster otherwise.
                    let _ = connection.simple_query(&sql).await;
                }
            }
        }
    });
}

async fn create(connection: &mut Connection, name: &str) -> Result<(), database::Error> {
    let quoted = quote_ident(name);
    connection.simple_query(&format!("create database {quoted} template postgres owner postgres")).await?;
    // Grants on a database and its settings are not part of its copy.
    connection
        .simple_query(&format!(
            "grant all on database {quoted} to postgres, dashboard_user;
             grant create on database {quoted} to supabase_auth_admin, supabase_storage_admin;
             alter database {quoted} set app.settings.jwt_secret to {};
             alter database {quoted} set app.settings.jwt_exp to '3600'",
            quote_literal(JWT_SECRET)
        ))
        .await?;
    Ok(())
}
