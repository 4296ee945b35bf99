//! `create extension ... with schema extensions`, as migrations of users write it, as the role `postgres`.

use testkit::{Server, database_on, servers};

use crate::{rows, value};

/// What the platform lets `postgres` create, as far as it is contrib or pgvector. The rest of contrib reads files or memory
/// of the server.
const FOR_POSTGRES: &[&str] = &[
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

#[tokio::test]
async fn postgres_creates_every_extension_that_the_platform_offers() {
    let database = database_on(Server::Embedded).await;
    let mut postgres = database.connect("postgres").await;
    for name in FOR_POSTGRES {
        postgres
            .simple_query(&format!(
                "create extension if not exists \"{name}\" with schema extensions cascade"
            ))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let elsewhere = "select extname from pg_extension
        where extnamespace::regnamespace::text <> 'extensions' and extname <> 'plpgsql'";
    assert_eq!(rows(&mut postgres, elsewhere).await, [""; 0]);
    let not_ours = "select extname from pg_extension where extowner::regrole::text <> 'postgres' and extname <> 'plpgsql'";
    assert_eq!(rows(&mut postgres, not_ours).await, [""; 0]);
    for name in FOR_POSTGRES.iter().rev().filter(|name| !["pgcrypto", "uuid-ossp"].contains(name)) {
        postgres
            .simple_query(&format!("drop extension if exists \"{name}\" cascade"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The rest of contrib, as far as every supported version has it.
const FOR_SUPERUSERS: &[&str] = &[
    "amcheck",
    "file_fdw",
    "intagg",
    "lo",
    "pageinspect",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_surgery",
    "pg_visibility",
    "xml2",
];

#[tokio::test]
async fn on_somebodys_server_postgres_creates_what_postgresql_trusts() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        let trusted = rows(
            &mut postgres,
            "select name from pg_available_extension_versions where trusted and not installed and name not like '%plperl%'
                 and name not in ('plperl', 'pltcl') and name <> 'plpgsql' order by 1",
        )
        .await;
        for contrib in ["citext", "hstore", "ltree", "pg_trgm", "unaccent"] {
            assert!(trusted.iter().any(|name| name == contrib), "{contrib} is not in {trusted:?}");
        }
        for name in trusted {
            postgres
                .simple_query(&format!(
                    "create extension if not exists \"{name}\" with schema extensions cascade"
                ))
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[tokio::test]
async fn pgjwt_is_an_extension_where_the_servers_files_are_ours() {
    let database = database_on(Server::Embedded).await;
    let mut postgres = database.connect("postgres").await;
    let installed = "select extversion, extnamespace::regnamespace from pg_extension where extname = 'pgjwt'";
    assert_eq!(rows(&mut postgres, installed).await, ["0.2.0|extensions"]);
    postgres
        .simple_query(
            "drop extension pgjwt; create extension pgjwt with schema extensions;
             create extension if not exists pgjwt with schema extensions",
        )
        .await
        .unwrap();
    assert_eq!(rows(&mut postgres, installed).await, ["0.2.0|extensions"]);
}

#[tokio::test]
async fn a_superuser_creates_everything_in_contrib() {
    for server in servers() {
        let database = database_on(server).await;
        let mut admin = database.admin().await;
        // pgvector is not part of contrib, and Debian 12 has no package of it.
        let vector = rows(&mut admin, "select name from pg_available_extensions where name = 'vector'").await;
        assert!(server != Server::Embedded || vector == ["vector"]);
        for name in
            FOR_POSTGRES.iter().chain(FOR_SUPERUSERS).filter(|name| **name != "vector" || !vector.is_empty())
        {
            admin
                .simple_query(&format!(
                    "create extension if not exists \"{name}\" with schema extensions cascade"
                ))
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[tokio::test]
async fn the_usual_extensions_are_there_and_work_without_being_qualified() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        assert_eq!(
            rows(
                &mut postgres,
                "select extname, extnamespace::regnamespace from pg_extension where extname <> 'plpgsql' order by 1"
            )
            .await,
            match server {
                Server::Embedded => {
                    &["pg_stat_statements|extensions", "pgcrypto|extensions", "pgjwt|extensions", "uuid-ossp|extensions"]
                        as &[&str]
                }
                Server::Debian15 => &["pg_stat_statements|extensions", "pgcrypto|extensions", "uuid-ossp|extensions"],
            }
        );
        assert_eq!(value(&mut postgres, "select length(uuid_generate_v4()::text)").await, "36");
        assert_eq!(value(&mut postgres, "select crypt('pw', gen_salt('bf', 4)) like '$2a$04$%'").await, "t");
        assert_eq!(
            value(&mut postgres, "select encode(digest('abc', 'sha256'), 'hex')").await,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(value(&mut postgres, "select count(*) >= 0 from pg_stat_statements").await, "t");
    }
}

#[tokio::test]
async fn tokens_are_made_and_checked_in_sql() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        // The example of jwt.io, key order and all.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
             eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.\
             TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ";
        let payload = r#"{"sub":"1234567890","name":"John Doe","admin":true}"#;
        assert_eq!(value(&mut postgres, &format!("select sign('{payload}', 'secret')")).await, token);
        assert_eq!(
            rows(&mut postgres, &format!("select * from verify('{token}', 'secret')")).await,
            [format!(r#"{{"alg":"HS256","typ":"JWT"}}|{payload}|t"#)]
        );
        for (expression, valid) in [
            (format!("'{token}', 'another secret'"), "f"),
            (format!("'{token}', 'secret', 'HS512'"), "f"),
            (format!("'{}', 'secret'", token.replace("TJVA", "TJVB")), "f"),
            ("sign('{\"a\": \"ü…\"}', 's', 'HS512'), 's', 'HS512'".into(), "t"),
            ("sign('{\"exp\": 1}', 's'), 's'".into(), "f"),
            ("sign('{\"exp\": 99999999999}', 's'), 's'".into(), "t"),
            ("sign('{\"nbf\": 99999999999}', 's'), 's'".into(), "f"),
            ("sign('{\"exp\": \"soon\"}', 's'), 's'".into(), "t"),
        ] {
            let sql = format!("select valid from verify({expression})");
            assert_eq!(value(&mut postgres, &sql).await, valid, "{expression}");
        }
        assert_eq!(value(&mut postgres, "select sign('{}', 's', 'none') is null").await, "t");
    }
}

#[tokio::test]
async fn a_vector_column_with_an_hnsw_index_finds_its_neighbours() {
    let database = testkit::database().await;
    let mut postgres = database.connect("postgres").await;
    postgres
        .simple_query(
            "create extension vector with schema extensions;
             create table public.documents (id int primary key, embedding vector(3));
             insert into public.documents
                 select i, array[cos(i / 100.0), sin(i / 100.0), i / 1000.0]::vector from generate_series(1, 600) as i;
             create index on public.documents using hnsw (embedding vector_cosine_ops)",
        )
        .await
        .unwrap();
    assert_eq!(
        value(
            &mut postgres,
            "set enable_seqscan = off; set enable_sort = off;
             select id from public.documents
             order by embedding <=> (select embedding from public.documents where id = 42) limit 1"
        )
        .await,
        "42"
    );
    assert_eq!(
        rows(&mut postgres, "select extversion is not null, extnamespace::regnamespace from pg_extension where extname = 'vector'").await,
        ["t|extensions"]
    );
}

#[tokio::test]
async fn graphql_says_that_it_is_not_enabled() {
    for server in servers() {
        let database = database_on(server).await;
        let mut rest = database.connect("authenticator").await;
        assert_eq!(
            value(&mut rest, "set role anon; select graphql_public.graphql(query => '{ __typename }')").await,
            r#"{"errors": [{"message": "pg_graphql extension is not enabled."}]}"#
        );
    }
}
