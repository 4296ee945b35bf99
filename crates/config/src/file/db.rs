//! `[api]` and `[db]`.

use crate::reader::{Named, choice, section};
use crate::secret::Secret;
use crate::units::GoDuration;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

section! {
    /// `[api]`
    Api {
        enabled: bool = true,
        port: u16 = 54321u16,
        schemas: Vec<String> = strings(&["public", "graphql_public"]),
        extra_search_path: Vec<String> = strings(&["public", "extensions"]),
        max_rows: u64 = 1000u64,
        auto_expose_new_tables: Option<bool>,
        external_url: Option<String>,
        tls: ApiTls,
    }
}

section! {
    /// `[api.tls]`
    ApiTls {
        enabled: bool = false,
        cert_path: Option<String>,
        key_path: Option<String>,
    }
}

section! {
    /// `[db]`
    Db {
        port: u16 = 54322u16,
        shadow_port: u16 = 54320u16,
        health_timeout: GoDuration = GoDuration(std::time::Duration::from_secs(120)),
        /// Another version than the engine's is one notice: an existing data directory decides.
        major_version: u16 = 17u16,
        orioledb_version: Option<String>,
        root_key: Secret,
        pooler: Pooler,
        migrations: Migrations,
        seed: Seed,
        settings: DbSettings,
        vault: Named<Secret>,
        network_restrictions: NetworkRestrictions,
        ssl_enforcement: SslEnforcement,
    }
}

choice! {
    /// `db.pooler.pool_mode`
    PoolMode("\"transaction\" or \"session\"") {
        Transaction = "transaction",
        Session = "session",
    }
}

section! {
    /// `[db.pooler]`
    Pooler {
        enabled: bool = false,
        port: u16 = 54329u16,
        pool_mode: PoolMode = PoolMode::Transaction,
        default_pool_size: u16 = 20u16,
        max_client_conn: u16 = 100u16,
    }
}

section! {
    /// `[db.migrations]`
    Migrations {
        enabled: bool = true,
        schema_paths: Vec<String>,
    }
}

section! {
    /// `[db.seed]`
    Seed {
        enabled: bool = true,
        sql_paths: Vec<String> = strings(&["./seed.sql"]),
    }
}

section! {
    /// `[db.settings]`: settings of the server, by PostgreSQL's names.
    DbSettings {
        effective_cache_size: Option<String>,
        logical_decoding_work_mem: Option<String>,
        maintenance_work_mem: Option<String>,
        max_connections: Option<u32>,
        max_locks_per_transaction: Option<u32>,
        max_parallel_maintenance_workers: Option<u32>,
        max_parallel_workers: Option<u32>,
        max_parallel_workers_per_gather: Option<u32>,
        max_replication_slots: Option<u32>,
        max_slot_wal_keep_size: Option<String>,
        max_standby_archive_delay: Option<String>,
        max_standby_streaming_delay: Option<String>,
        max_wal_size: Option<String>,
        max_wal_senders: Option<u32>,
        max_worker_processes: Option<u32>,
        session_replication_role: Option<ReplicationRole>,
        shared_buffers: Option<String>,
        statement_timeout: Option<String>,
        track_activity_query_size: Option<String>,
        track_commit_timestamp: Option<bool>,
        wal_keep_size: Option<String>,
        wal_sender_timeout: Option<String>,
        work_mem: Option<String>,
    }
}

choice! {
    /// `db.settings.session_replication_role`
    ReplicationRole("\"origin\", \"replica\" or \"local\"") {
        Origin = "origin",
        Replica = "replica",
        Local = "local",
    }
}

impl DbSettings {
    /// The settings that are set, as `postgresql.conf` writes them.
    pub fn to_postgres(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let flag = |value: bool| if value { "on" } else { "off" }.to_owned();
        [
            ("effective_cache_size", self.effective_cache_size.clone()),
            ("logical_decoding_work_mem", self.logical_decoding_work_mem.clone()),
            ("maintenance_work_mem", self.maintenance_work_mem.clone()),
            ("max_connections", number(self.max_connections)),
            ("max_locks_per_transaction", number(self.max_locks_per_transaction)),
            ("max_parallel_maintenance_workers", number(self.max_parallel_maintenance_workers)),
            ("max_parallel_workers", number(self.max_parallel_workers)),
            ("max_parallel_workers_per_gather", number(self.max_parallel_workers_per_gather)),
            ("max_replication_slots", number(self.max_replication_slots)),
            ("max_slot_wal_keep_size", self.max_slot_wal_keep_size.clone()),
            ("max_standby_archive_delay", self.max_standby_archive_delay.clone()),
            ("max_standby_streaming_delay", self.max_standby_streaming_delay.clone()),
            ("max_wal_size", self.max_wal_size.clone()),
            ("max_wal_senders", number(self.max_wal_senders)),
            ("max_worker_processes", number(self.max_worker_processes)),
            ("session_replication_role", self.session_replication_role.map(|role| role.as_str().to_owned())),
            ("shared_buffers", self.shared_buffers.clone()),
            ("statement_timeout", self.statement_timeout.clone()),
            ("track_activity_query_size", self.track_activity_query_size.clone()),
            ("track_commit_timestamp", self.track_commit_timestamp.map(flag)),
            ("wal_keep_size", self.wal_keep_size.clone()),
            ("wal_sender_timeout", self.wal_sender_timeout.clone()),
            ("work_mem", self.work_mem.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
    }
}

section! {
    /// `[db.network_restrictions]`
    NetworkRestrictions {
        enabled: bool = false,
        allowed_cidrs: Vec<String> = strings(&["0.0.0.0/0"]),
        allowed_cidrs_v6: Vec<String> = strings(&["::/0"]),
    }
}

section! {
    /// `[db.ssl_enforcement]`
    SslEnforcement {
        enabled: bool = false,
    }
}
