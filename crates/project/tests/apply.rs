//! A project's folder in a real database, on every server.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use database::Connection;
use project::{Error, ProjectOptions, Report, apply};
use testkit::TestDatabase;

/// A project with these files below `supabase/`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    write(project.path(), files);
    project
}

fn write(project: &Path, files: &[(&str, &str)]) {
    for (file, content) in files {
        let path = project.join("supabase").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

async fn run(database: &TestDatabase, project: &Path) -> Result<Report, Error> {
    apply(&database.config("postgres"), &ProjectOptions::new(project.join("supabase"))).await
}

/// The rows of a query, fields joined by a bar.
async fn rows(connection: &mut Connection, sql: &str) -> Vec<String> {
    let results = connection.simple_query(sql).await.unwrap();
    let last = results.last().unwrap();
    last.rows
        .iter()
        .map(|row| {
            let fields: Vec<&str> = (0..row.len()).map(|field| row.text(field).unwrap_or("null")).collect();
            fields.join("|")
        })
        .collect()
}

const HISTORY: &str =
    "select version, name, statements from supabase_migrations.schema_migrations order by 1";

/// Runs the body on each server.
macro_rules! on_every_server {
    (|$database:ident| $body:block) => {
        for server in testkit::servers() {
            let $database = testkit::database_on(server).await;
            $body
        }
    };
}

#[tokio::test]
async fn a_project_is_applied_once() {
    on_every_server!(|database| {
        let project = folder(&[
            (
                "roles.sql",
                "do $$ begin if not exists (select from pg_roles where rolname = 'project_reader') then create role project_reader; end if; end $$;",
            ),
            (
                "migrations/20240101000000_notes.sql",
                "-- notes\ncreate table notes (id int primary key, body text);\n\ninsert into notes values (1, 'a;\"b\\');\n",
            ),
            (
                "migrations/20240102000000_policy.sql",
                "alter table notes enable row level security;\ncreate policy own on notes to project_reader using (true);\nset search_path to '';",
            ),
            ("migrations/20240103000000_view.sql", "create view v as select * from notes;"),
            ("migrations/README.md", "no migration"),
            ("seed.sql", "insert into notes values (2, 'seed');"),
        ]);
        let report = run(&database, project.path()).await.unwrap();
        assert_eq!(
            report,
            Report {
                roles: true,
                applied: vec![
                    "20240101000000_notes.sql".into(),
                    "20240102000000_policy.sql".into(),
                    "20240103000000_view.sql".into(),
                ],
                already_applied: 0,
                skipped: report.skipped.clone(),
                seeded: vec!["supabase/seed.sql".into()],
                changed_seeds: vec![],
                patterns_without_files: vec![],
            }
        );
        assert_eq!(
            report.skipped.iter().map(|skipped| skipped.file.as_str()).collect::<Vec<_>>(),
            ["README.md"]
        );

        let mut admin = database.admin().await;
        assert_eq!(
            rows(&mut admin, HISTORY).await,
            [
                r#"20240101000000|notes|{"-- notes
create table notes (id int primary key, body text)","insert into notes values (1, 'a;\"b\\')"}"#,
                r#"20240102000000|policy|{"alter table notes enable row level security","create policy own on notes to project_reader using (true)","set search_path to ''"}"#,
                r#"20240103000000|view|{"create view v as select * from notes"}"#,
            ]
        );
        assert_eq!(
            rows(&mut admin, "select path, length(hash) from supabase_migrations.seed_files").await,
            ["supabase/seed.sql|64"]
        );
        // `postgres` owns what was made, so that the CLI can go on with it.
        assert_eq!(
            rows(&mut admin, "select relname, relowner::regrole from pg_class where relname in ('notes', 'schema_migrations') and relnamespace in ('public'::regnamespace, 'supabase_migrations'::regnamespace) order by 1").await,
            ["notes|postgres", "schema_migrations|postgres"]
        );

        let again = run(&database, project.path()).await.unwrap();
        assert_eq!((again.applied, again.already_applied, again.seeded), (vec![], 3, vec![]));
        assert_eq!(rows(&mut admin, "select count(*) from notes").await, ["2"]);
    });
}

#[tokio::test]
async fn a_changed_seed_is_noted_and_not_run_again() {
    on_every_server!(|database| {
        let project = folder(&[("seed.sql", "create table s (i int); insert into s values (1);")]);
        run(&database, project.path()).await.unwrap();
        write(project.path(), &[("seed.sql", "insert into s values (2);")]);
        let report = run(&database, project.path()).await.unwrap();
        assert_eq!((report.seeded, report.changed_seeds), (vec![], vec!["supabase/seed.sql".to_owned()]));
        let report = run(&database, project.path()).await.unwrap();
        assert_eq!((report.seeded, report.changed_seeds), (vec![], vec![]));
        assert_eq!(rows(&mut database.admin().await, "select i from s").await, ["1"]);
    });
}

#[tokio::test]
async fn a_failing_file_leaves_nothing_and_names_the_place() {
    on_every_server!(|database| {
        let project = folder(&[
            ("migrations/1_good.sql", "create table good (i int);"),
            (
                "migrations/2_bad.sql",
                "create table bad (i int);\n\ncreate table worse (\n  i int,\n  j ltree\n);\n",
            ),
            ("migrations/3_never.sql", "create table never (i int);"),
            ("seed.sql", "create table seeded (i int);"),
        ]);
        let error = run(&database, project.path()).await.unwrap_err();
        assert_eq!(error.to_string(), "2_bad.sql: ERROR: type \"ltree\" does not exist (SQLSTATE 42704)");
        assert_eq!(
            error.detail().unwrap(),
            "At statement: 1\ncreate table worse (\n  i int,\n  j ltree\n    ^"
        );
        assert!(error.hint().unwrap().ends_with("write extensions.ltree"), "{:?}", error.hint());
        let mut admin = database.admin().await;
        assert_eq!(
            rows(
                &mut admin,
                "select relname from pg_class where relname in ('good', 'bad', 'worse', 'never', 'seeded')"
            )
            .await,
            ["good"]
        );
        assert_eq!(
            rows(&mut admin, "select version from supabase_migrations.schema_migrations").await,
            ["1"]
        );

        // Mended, it goes on where it stopped.
        write(project.path(), &[("migrations/2_bad.sql", "create table bad (i int);")]);
        assert_eq!(run(&database, project.path()).await.unwrap().applied, ["2_bad.sql", "3_never.sql"]);
    });
}

#[tokio::test]
async fn a_deferred_constraint_fails_its_file() {
    on_every_server!(|database| {
        let project = folder(&[(
            "migrations/1_deferred.sql",
            "create table p (i int primary key);\n\
             create table c (i int references p deferrable initially deferred);\n\
             insert into c values (1);",
        )]);
        let error = run(&database, project.path()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Statement { error, .. } if error.error.code.as_str() == "23503"),
            "{error}"
        );
        assert_eq!(
            rows(&mut database.admin().await, "select relname from pg_class where relname in ('p', 'c')")
                .await,
            [""; 0]
        );
        assert_eq!(
            rows(&mut database.admin().await, "select version from supabase_migrations.schema_migrations")
                .await,
            [""; 0]
        );
    });
}

#[tokio::test]
async fn statements_that_refuse_a_transaction_are_sent_alone() {
    on_every_server!(|database| {
        let project = folder(&[(
            "migrations/1_index.sql",
            "create table t (i int);\ncreate index concurrently t_i on t (i);\ncomment on table t is 'x';\n",
        )]);
        run(&database, project.path()).await.unwrap();
        let mut admin = database.admin().await;
        assert_eq!(rows(&mut admin, "select obj_description('t'::regclass), indisvalid from pg_index where indrelid = 't'::regclass").await, ["x|t"]);
        assert_eq!(
            rows(&mut admin, "select cardinality(statements) from supabase_migrations.schema_migrations")
                .await,
            ["3"]
        );

        // What came before such a statement stays when something after it fails, without an entry.
        write(
            project.path(),
            &[(
                "migrations/2_half.sql",
                "create table kept (i int);\nvacuum t;\ncreate table lost (i int);\nselect 1/0;",
            )],
        );
        let error = run(&database, project.path()).await.unwrap_err();
        assert_eq!(error.to_string(), "2_half.sql: ERROR: division by zero (SQLSTATE 22012)");
        assert_eq!(error.detail().unwrap(), "At statement: 3\nselect 1/0");
        assert_eq!(
            rows(&mut admin, "select relname from pg_class where relname in ('kept', 'lost')").await,
            ["kept"]
        );
        assert_eq!(
            rows(&mut admin, "select version from supabase_migrations.schema_migrations").await,
            ["1"]
        );
    });
}

#[tokio::test]
async fn a_transaction_that_is_left_open_is_undone() {
    on_every_server!(|database| {
        let project = folder(&[("migrations/1_open.sql", "begin;\ncreate table t (i int);")]);
        let error = run(&database, project.path()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "1_open.sql: the file ends inside of a transaction block: add the missing `commit`"
        );
        assert_eq!(
            rows(&mut database.admin().await, "select relname from pg_class where relname = 't'").await,
            [""; 0]
        );
        write(project.path(), &[("migrations/1_open.sql", "begin;\ncreate table t (i int);\ncommit;")]);
        assert_eq!(run(&database, project.path()).await.unwrap().applied, ["1_open.sql"]);
    });
}

#[tokio::test]
async fn a_history_that_does_not_fit_is_refused() {
    on_every_server!(|database| {
        let project = folder(&[("migrations/2_b.sql", "select 1")]);
        run(&database, project.path()).await.unwrap();
        write(project.path(), &[("migrations/1_a.sql", "select 1")]);
        let error = run(&database, project.path()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Found local migration files to be inserted before the last migration on remote database: 1_a.sql"
        );
        fs::remove_file(project.path().join("supabase/migrations/1_a.sql")).unwrap();
        fs::remove_file(project.path().join("supabase/migrations/2_b.sql")).unwrap();
        let error = run(&database, project.path()).await.unwrap_err();
        assert_eq!(error.to_string(), "Remote migration versions not found in local migrations directory: 2");
        assert!(error.hint().unwrap().contains("--status reverted 2`"), "{:?}", error.hint());
    });
}

#[tokio::test]
async fn an_old_history_table_gets_its_columns() {
    on_every_server!(|database| {
        let mut postgres = database.connect("postgres").await;
        postgres
            .simple_query(
                "create schema supabase_migrations;
                 create table supabase_migrations.schema_migrations (version text primary key);
                 insert into supabase_migrations.schema_migrations values ('1')",
            )
            .await
            .unwrap();
        let project = folder(&[("migrations/1_a.sql", "select 1"), ("migrations/2_b.sql", "select 2;")]);
        assert_eq!(run(&database, project.path()).await.unwrap().applied, ["2_b.sql"]);
        assert_eq!(rows(&mut postgres, HISTORY).await, ["1|null|null", "2|b|{\"select 2\"}"]);
    });
}

#[tokio::test]
async fn the_patterns_of_supabase_projects_apply() {
    on_every_server!(|database| {
        let project = folder(&[(
            "migrations/20240101000000_app.sql",
            "create extension if not exists citext with schema extensions;\n\
             create table public.users (id uuid primary key references auth.users (id) on delete cascade, email text,\n  \
             handle extensions.citext);\n\
             create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = ''\n\
             as $$ begin insert into public.users (id, email) values (new.id, new.email); return new; end; $$;\n\
             create trigger on_auth_user_created after insert on auth.users\n  \
             for each row execute function public.handle_new_user();\n\
             alter table public.users enable row level security;\n\
             create policy own on public.users for select to authenticated using (auth.uid() = id);\n\
             insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true);\n\
             create policy avatars on storage.objects for insert to authenticated\n  \
             with check (bucket_id = 'avatars' and (storage.foldername(name))[1] = auth.uid()::text);\n\
             create policy listen on realtime.messages for select to authenticated using (realtime.topic() = 'room');\n\
             alter publication supabase_realtime add table public.users;\n\
             create function public.add(a int, b int) returns int begin atomic select a + b; end;\n",
        )]);
        assert_eq!(run(&database, project.path()).await.unwrap().applied, ["20240101000000_app.sql"]);
        let mut admin = database.admin().await;
        admin
            .simple_query(
                "insert into auth.users (id, email) values ('00000000-0000-0000-0000-000000000001', 'a@example.com')",
            )
            .await
            .unwrap();
        assert_eq!(rows(&mut admin, "select email from public.users").await, ["a@example.com"]);
    });
}

#[tokio::test]
async fn a_large_seed_is_one_batch() {
    on_every_server!(|database| {
        let mut seed = String::from("create table big (i int, t text);\n");
        for i in 0..20_000 {
            seed.push_str(&format!(
                "insert into big values ({i}, 'a row of the seed; number {i}') returning *;\n"
            ));
        }
        let project = folder(&[("seed.sql", &seed)]);
        run(&database, project.path()).await.unwrap();
        assert_eq!(rows(&mut database.admin().await, "select count(*) from big").await, ["20000"]);
    });
}

#[tokio::test]
async fn two_starts_at_once_apply_a_project_once() {
    on_every_server!(|database| {
        let project = folder(&[
            ("migrations/1_a.sql", "create table t (i int); select pg_sleep(0.2);"),
            ("seed.sql", "insert into t values (1);"),
        ]);
        let (one, other) = tokio::join!(run(&database, project.path()), run(&database, project.path()));
        let mut applied = one.unwrap().applied;
        applied.extend(other.unwrap().applied);
        assert_eq!(applied, ["1_a.sql"]);
        assert_eq!(rows(&mut database.admin().await, "select i from t").await, ["1"]);
    });
}

#[tokio::test]
async fn files_that_are_no_text_are_refused() {
    on_every_server!(|database| {
        let project = folder(&[("migrations/1_a.sql", "select 1")]);
        let path = project.path().join("supabase/migrations/1_a.sql");
        fs::write(&path, b"select '\xff'").unwrap();
        let error = run(&database, project.path()).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{} is not UTF-8 text: byte 8 cannot be part of a statement", path.display())
        );
        fs::write(&path, b"select 1\0").unwrap();
        assert!(matches!(run(&database, project.path()).await, Err(Error::Encoding { offset: 8, .. })));
    });
}
