//! Real clusters in temporary folders, reached over their sockets with the engine's own `psql`: what works.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use embedded_postgres::{Cluster, Options, Seed, State};
use support::{engine, options, psql, psql_at, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_cluster_and_keeps_its_data() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap();
    assert!(cluster.created());
    assert_eq!(*cluster.state().borrow(), State::Running);
    assert_eq!(psql(&cluster, "create table kept as select 7 as n; select n from kept"), Ok("7".into()));
    let mut state = cluster.state();
    cluster.stop().await;
    assert_eq!(*state.borrow_and_update(), State::Stopped);

    let cluster = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap();
    assert!(!cluster.created());
    assert_eq!(psql(&cluster, "select n from kept"), Ok("7".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_cluster_stops() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let process = cluster.process().unwrap();
    drop(cluster);
    assert!(!support::alive(process));
    assert!(!folder.path().join("cluster/data/postmaster.pid").exists(), "it did not shut down cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_sorts_as_people_sort() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let sql = "select string_agg(x, ' ' order by x) from unnest(array['b', 'é', 'A', '_x', 'C', 'a']) as x";
    assert_eq!(psql(&cluster, sql), Ok("_x a A b C é".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_what_applications_expect_and_ours_win() {
    let folder = scratch();
    let mut options = options(&folder).await;
    options.settings = vec![("work_mem".into(), "7MB".into()), ("max_connections".into(), "33".into())];
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    let names = "wal_level extra_float_digits timezone password_encryption jit shared_buffers fsync \
                 shared_preload_libraries listen_addresses work_mem max_connections";
    let sql = format!(
        "select string_agg(current_setting(name), ' ' order by at)
           from unnest(string_to_array('{names}', ' ')) with ordinality as n (name, at) where name <> ''"
    );
    let expected = "logical 0 UTC scram-sha-256 off 16MB on pg_stat_statements,auto_explain  7MB 33";
    assert_eq!(psql(&cluster, &sql), Ok(expected.into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_login_needs_the_password_and_every_cluster_has_its_own() {
    let (one, other) = (scratch(), scratch());
    let cluster = Cluster::start(&engine(), Options::new(one.path())).await.unwrap();
    let second = Cluster::start(&engine(), Options::new(other.path())).await.unwrap();
    assert_ne!(cluster.superuser_password(), second.superuser_password());
    let socket = cluster.socket_folder().display().to_string();
    let login = |password| psql_at(&socket, cluster.port(), "supabase_admin", password, "", "select 1");
    assert_eq!(login(Some(cluster.superuser_password())), Ok("1".into()));
    let wrong = login(Some(second.superuser_password())).unwrap_err();
    assert!(
        wrong.ends_with(r#"FATAL:  password authentication failed for user "supabase_admin""#),
        "{wrong}"
    );
    let none = login(None).unwrap_err();
    assert!(none.ends_with("fe_sendauth: no password supplied"), "{none}");
    cluster.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_password_is_replaced() {
    let folder = scratch();
    let options = options(&folder).await;
    let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
    let lost = cluster.superuser_password().to_owned();
    let file = cluster.folder().join("superuser.password");
    cluster.stop().await;
    fs::remove_file(file).unwrap();
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert_ne!(cluster.superuser_password(), lost);
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_changed_in_sql_does_not_lock_us_out() {
    let folder = scratch();
    let options = options(&folder).await;
    let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
    psql(&cluster, "alter role supabase_admin password 'other'").unwrap();
    cluster.stop().await;
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_accepts_tls_and_plaintext_from_this_machine() {
    let folder = scratch();
    let mut options = options(&folder).await;
    options.tcp = Some("127.0.0.1:0".parse().unwrap());
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    let login = |mode| {
        let password = Some(cluster.superuser_password());
        let sql = "select coalesce(max(version), 'plaintext') from pg_stat_ssl where pid = pg_backend_pid() and ssl";
        psql_at("127.0.0.1", cluster.tcp().unwrap().port(), "supabase_admin", password, mode, sql)
    };
    assert_eq!(login("sslmode=require"), Ok("TLSv1.3".into()));
    assert_eq!(login("sslmode=require channel_binding=require"), Ok("TLSv1.3".into()));
    assert_eq!(login("sslmode=disable"), Ok("plaintext".into()));
    let certificate = folder.path().join("cluster/data/server.crt");
    let verified = format!("sslmode=verify-full host=localhost sslrootcert={}", certificate.display());
    assert_eq!(login(&verified), Ok("TLSv1.3".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_gets_a_short_socket() {
    let folder = scratch();
    let mut options = options(&folder).await;
    options.folder = folder.path().join("x".repeat(120));
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert!(cluster.socket_folder().as_os_str().len() < 90);
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    let socket = cluster.socket_folder().to_owned();
    cluster.stop().await;
    fs::remove_dir(socket).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_without_superuser_rights_creates_the_usual_extensions() {
    const TRUSTED: &[&str] = &[
        "autoinc",
        "bloom",
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "dblink",
        "dict_int",
        "dict_xsyn",
        "earthdistance",
        "fuzzystrmatch",
        "hstore",
        "insert_username",
        "intarray",
        "isn",
        "lo",
        "ltree",
        "moddatetime",
        "pg_prewarm",
        "pg_stat_statements",
        "pg_trgm",
        "pg_walinspect",
        "pgcrypto",
        "pgrowlocks",
        "pgstattuple",
        "postgres_fdw",
        "refint",
        "seg",
        "sslinfo",
        "tablefunc",
        "tcn",
        "tsm_system_rows",
        "tsm_system_time",
        "unaccent",
        "uuid-ossp",
        "vector",
    ];
    const NOT_TRUSTED: &[&str] = &[
        "amcheck",
        "file_fdw",
        "intagg",
        "pageinspect",
        "pg_buffercache",
        "pg_freespacemap",
        "pg_logicalinspect",
        "pg_surgery",
        "pg_visibility",
        "xml2",
    ];
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let setup = "create role anna; grant create on database postgres to anna; create schema extensions authorization anna";
    assert_eq!(psql(&cluster, setup), Ok(String::new()));
    for name in TRUSTED {
        let sql = format!("set role anna; create extension \"{name}\" with schema extensions");
        assert_eq!(psql(&cluster, &sql), Ok(String::new()), "{name}");
    }
    for name in NOT_TRUSTED {
        let refused = psql(&cluster, &format!("set role anna; create extension {name}")).unwrap_err();
        assert!(refused.contains(&format!("permission denied to create extension \"{name}\"")), "{refused}");
    }
    // No control file is on neither list: a new engine's extensions are decided about, not forgotten.
    let all =
        psql(&cluster, "select string_agg(name, ' ') from pg_available_extensions where name <> 'plpgsql'")
            .unwrap();
    let unknown: Vec<_> =
        all.split(' ').filter(|name| !TRUSTED.contains(name) && !NOT_TRUSTED.contains(name)).collect();
    assert_eq!(unknown, [""; 0]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_neighbour_is_found_through_an_hnsw_index() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let sql = "create extension vector;
        create table items (id int, place vector(3));
        insert into items select i, array[i, i % 7, i % 3]::vector from generate_series(1, 1000) as i;
        create index items_place on items using hnsw (place vector_l2_ops);
        set enable_seqscan = off;
        select id from items order by place <-> (select place from items where id = 500) limit 1";
    assert_eq!(psql(&cluster, sql), Ok("500".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_uuids_and_digests_work() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let sql = r#"create extension pgcrypto; create extension "uuid-ossp";
        select encode(digest('x', 'sha256'), 'hex') like '2d711642%', uuid_generate_v5(uuid_ns_url(), 'x') is not null,
               xpath('/a/text()', '<a>7</a>'::xml)::text, crypt('x', gen_salt('bf')) like '$2a$%'"#;
    assert_eq!(psql(&cluster, sql), Ok("t|t|{7}|t".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn initdb_gives_each_cluster_an_identifier_of_its_own_and_a_template_does_not() {
    let identifier = "select system_identifier from pg_control_system()";
    let mut seen = Vec::new();
    for seed in [Seed::Initdb, Seed::Initdb, options(&scratch()).await.seed, options(&scratch()).await.seed] {
        let folder = scratch();
        let mut options = Options::new(folder.path());
        options.seed = seed;
        options.ephemeral = true;
        let cluster = Cluster::start(&engine(), options).await.unwrap();
        seen.push(psql(&cluster, identifier).unwrap());
        cluster.stop().await;
    }
    assert_ne!(seen[0], seen[1]);
    assert_eq!(seen[2], seen[3]);
}

#[test]
fn every_part_of_the_engine_has_its_licence_with_it() {
    for part in embedded_postgres::licenses::parts() {
        let text = part.text(&engine()).unwrap_or_else(|| panic!("{} has no text", part.name));
        assert!(text.contains("Copyright") || text.contains("public domain"), "{}: {text}", part.name);
    }
}
