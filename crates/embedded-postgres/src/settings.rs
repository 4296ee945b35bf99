//! How PostgreSQL is configured: small, logical replication on, what Supabase's image sets where applications notice.

use std::{fmt::Write, path::Path};

use nix::sys::statvfs::statvfs;

use crate::{Error, Options, process::Folder};

/// The file that `postgresql.conf` includes last.
pub(crate) const FILE: &str = "monobase.conf";
/// Who may connect how. Not `pg_hba.conf`: that one is PostgreSQL's, and a restored one may trust too much.
pub(crate) const HBA_FILE: &str = "monobase_hba.conf";
/// The line at the end of `postgresql.conf`.
pub(crate) const INCLUDE: &str = "include = 'monobase.conf'";

/// What an operator may override, in `postgresql.conf`, by `alter system` or by our own options.
const DEFAULTS: &[(&str, &str)] = &[
    // what applications notice
    ("wal_level", "logical"),
    ("max_wal_senders", "10"),
    ("max_replication_slots", "20"),
    // a consumer that never comes back must not fill the disk
    ("max_slot_wal_keep_size", "4GB"),
    ("max_connections", "100"),
    ("shared_preload_libraries", "pg_stat_statements,auto_explain"),
    ("auto_explain.log_min_duration", "10s"),
    ("password_encryption", "scram-sha-256"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    // visible in every float4 and float8 of the REST API
    ("extra_float_digits", "0"),
    ("row_security", "on"),
    ("default_text_search_config", "pg_catalog.english"),
    ("max_locks_per_transaction", "128"),
    ("jit", "off"),
    // what keeps it small
    ("shared_buffers", "16MB"),
    ("wal_buffers", "1MB"),
    ("min_wal_size", "32MB"),
    ("max_wal_size", "256MB"),
    ("max_worker_processes", "8"),
    // the launcher is only needed by subscriptions
    ("max_logical_replication_workers", "0"),
    ("max_parallel_workers", "2"),
    ("autovacuum_max_workers", "2"),
    ("huge_pages", "off"),
    ("io_method", "worker"),
    ("io_workers", "1"),
    ("log_checkpoints", "off"),
];

const EPHEMERAL: &[(&str, &str)] =
    &[("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")];

/// `monobase.conf`.
pub(crate) fn file(options: &Options) -> Result<String, Error> {
    let mut text =
        String::from("# Written at every start. Put your own settings into the project's configuration.\n");
    let own = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let ephemeral = if options.ephemeral { EPHEMERAL } else { &[] };
    let memory = [("dynamic_shared_memory_type", if roomy_shared_memory() { "posix" } else { "mmap" })];
    for (name, value) in DEFAULTS.iter().chain(ephemeral).chain(&memory).copied().chain(own) {
        let refuse = |reason| Error::Setting { name: name.to_owned(), reason };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(refuse("a name has only letters, digits, underscores and dots"));
        }
        if value.contains(['\n', '\r', '\0']) {
            return Err(refuse("a value is one line"));
        }
        let value = value.replace('\\', "\\\\").replace('\'', "''");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} = '{value}'");
    }
    Ok(text)
}

/// What is not for others to change: given on the command line, which wins over every file and `alter system`.
pub(crate) fn arguments(
    options: &Options,
    port: u16,
    data: &Folder,
    socket: &Folder,
) -> Vec<(&'static str, String)> {
    let address = options.tcp.map(|address| address.ip().to_string()).unwrap_or_default();
    let (certificate, key) = match &options.certificate {
        Some((certificate, key)) => (certificate.display().to_string(), key.display().to_string()),
        None => (crate::tls::CERTIFICATE.into(), crate::tls::KEY.into()),
    };
    let mut arguments = vec![
        ("listen_addresses", address),
        ("port", port.to_string()),
        ("unix_socket_directories", socket.name().display().to_string()),
        ("unix_socket_permissions", "0700".into()),
        ("hba_file", data.name().join(HBA_FILE).display().to_string()),
        // our reader of its log understands exactly this
        ("log_destination", "stderr".into()),
        ("logging_collector", "off".into()),
        ("log_line_prefix", crate::log::PREFIX.into()),
        ("lc_messages", "C".into()),
    ];
    if options.tcp.is_some() {
        arguments.extend([("ssl", "on".into()), ("ssl_cert_file", certificate), ("ssl_key_file", key)]);
    } else {
        arguments.push(("ssl", "off".into()));
    }
    arguments
}

/// Passwords everywhere; in plain text only to this machine.
pub(crate) const HBA: &str = "\
# Written at every start.
local    all          all                scram-sha-256
host     all          all  127.0.0.0/8   scram-sha-256
host     all          all  ::1/128       scram-sha-256
hostssl  all          all  all           scram-sha-256
local    replication  all                scram-sha-256
host     replication  all  127.0.0.0/8   scram-sha-256
host     replication  all  ::1/128       scram-sha-256
hostssl  replication  all  all           scram-sha-256
";

/// Whether parallel queries may use `/dev/shm`; containers often have 64 MB there, a bare root has none.
fn roomy_shared_memory() -> bool {
    statvfs(Path::new("/dev/shm")).is_ok_and(|room| room.blocks() * room.fragment_size() >= 64 << 20)
        && nix::unistd::access("/dev/shm", nix::unistd::AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn own_settings_come_last_and_are_quoted() {
        let mut options = Options::new("x");
        options.settings =
            vec![("shared_buffers".into(), "1GB".into()), ("app.note".into(), r"it's a \".into())];
        let text = file(&options).unwrap();
        assert!(text.contains("shared_buffers = '16MB'\n"));
        assert!(text.ends_with("shared_buffers = '1GB'\napp.note = 'it''s a \\\\'\n"));
    }

    #[test]
    fn settings_cannot_smuggle_lines() {
        for (name, value) in [("a\nb", "1"), ("", "1"), ("a", "1\nfsync = off"), ("a b", "1")] {
            let mut options = Options::new("x");
            options.settings = vec![(name.into(), value.into())];
            assert!(matches!(file(&options), Err(Error::Setting { .. })), "{name:?} = {value:?}");
        }
    }

    #[test]
    fn durability_is_given_up_only_when_asked() {
        let mut options = Options::new("x");
        assert!(!file(&options).unwrap().contains("fsync"));
        options.ephemeral = true;
        assert!(file(&options).unwrap().contains("fsync = 'off'"));
    }
}
