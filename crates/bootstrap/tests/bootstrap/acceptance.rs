//! What migrations of real projects do, as the role `postgres`.

use testkit::{database_on, servers};

use crate::{error, rows, value};

const PROFILES: &str = "
    create table public.profiles (
        id uuid primary key references auth.users (id) on delete cascade,
        email text not null,
        name text
    );
    create function public.handle_new_user() returns trigger
    language plpgsql security definer set search_path = ''
    as $$
    begin
        insert into public.profiles (id, email, name) values (new.id, new.email, new.raw_user_meta_data ->> 'name');
        return new;
    end
    $$;
    create trigger on_auth_user_created after insert on auth.users
        for each row execute function public.handle_new_user();
";

#[tokio::test]
async fn a_trigger_on_users_fills_a_table_of_the_application() {
    for server in servers() {
        let database = database_on(server).await;
        database.connect("postgres").await.simple_query(PROFILES).await.unwrap();

        let mut auth = database.connect("supabase_auth_admin").await;
        auth.simple_query(
            "insert into auth.users (id, email, raw_user_meta_data)
             values ('00000000-0000-4000-8000-000000000001', 'ada@example.org', '{\"name\": \"Ada\"}')",
        )
        .await
        .unwrap();

        let mut postgres = database.connect("postgres").await;
        let profiles = "select * from public.profiles";
        assert_eq!(
            rows(&mut postgres, profiles).await,
            ["00000000-0000-4000-8000-000000000001|ada@example.org|Ada"]
        );
        postgres.simple_query("delete from auth.users").await.unwrap();
        assert_eq!(rows(&mut postgres, profiles).await, [""; 0], "the foreign key cascades");
    }
}

#[tokio::test]
async fn a_failing_trigger_leaves_no_user() {
    for server in servers() {
        let database = database_on(server).await;
        database.connect("postgres").await.simple_query(PROFILES).await.unwrap();

        let mut auth = database.connect("supabase_auth_admin").await;
        assert_eq!(
            error(&mut auth, "insert into auth.users (id) values ('00000000-0000-4000-8000-000000000001')")
                .await,
            "23502 null value in column \"email\" of relation \"profiles\" violates not-null constraint"
        );
        assert_eq!(value(&mut auth, "select count(*) from auth.users").await, "0");
    }
}

#[tokio::test]
async fn auth_roles_do_not_find_tables_of_public_by_name_alone() {
    let database = testkit::database().await;
    let mut postgres = database.connect("postgres").await;
    postgres.simple_query("create table public.notes (id int)").await.unwrap();
    let mut auth = database.connect("supabase_auth_admin").await;
    assert_eq!(error(&mut auth, "select from notes").await, "42P01 relation \"notes\" does not exist");
}

#[tokio::test]
async fn postgres_writes_policies_on_storage_objects() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        postgres
            .simple_query(
                "create policy \"own files\" on storage.objects for select to authenticated
                     using ((select auth.uid()) = owner and (storage.foldername(name))[1] = 'private');
                 alter policy \"own files\" on storage.objects to authenticated, anon;
                 create policy \"a bucket\" on storage.buckets for select using (true);
                 drop policy \"a bucket\" on storage.buckets",
            )
            .await
            .unwrap();
        assert_eq!(
            rows(
                &mut postgres,
                "select policyname, roles from pg_policies where schemaname = 'storage' and tablename = 'objects'"
            )
            .await,
            ["own files|{anon,authenticated}"]
        );
    }
}

#[tokio::test]
async fn row_level_security_reads_the_claims_of_the_request() {
    for server in servers() {
        let database = database_on(server).await;
        let mut connection = database.connect("postgres").await;
        connection
            .simple_query(
                "create table public.notes (owner uuid, body text);
                 alter table public.notes enable row level security;
                 create policy own on public.notes using (owner = auth.uid());
                 insert into public.notes values
                     ('00000000-0000-4000-8000-000000000001', 'hers'),
                     ('00000000-0000-4000-8000-000000000002', 'his')",
            )
            .await
            .unwrap();

        let mut rest = database.connect("authenticator").await;
        let claims =
            r#"{"sub": "00000000-0000-4000-8000-000000000001", "role": "authenticated", "email": "a@b.c"}"#;
        let context = format!(
            "begin; set local role authenticated; select set_config('request.jwt.claims', '{claims}', true);"
        );
        assert_eq!(rows(&mut rest, &format!("{context} select body from notes")).await, ["hers"]);
        assert_eq!(
            value(&mut rest, "select auth.uid() || ' ' || auth.role() || ' ' || auth.email() || ' ' || (auth.jwt() ->> 'sub')").await,
            "00000000-0000-4000-8000-000000000001 authenticated a@b.c 00000000-0000-4000-8000-000000000001"
        );
        rest.simple_query("rollback").await.unwrap();

        assert_eq!(rows(&mut rest, "begin; set local role anon; select body from notes").await, [""; 0]);
        assert_eq!(value(&mut rest, "select auth.uid() is null and auth.jwt() is null").await, "t");
        rest.simple_query("rollback").await.unwrap();
        assert_eq!(
            rows(&mut rest, "begin; set local role service_role; select body from notes order by 1").await,
            ["hers", "his"]
        );
        rest.simple_query("rollback").await.unwrap();
        assert_eq!(
            error(&mut rest, "select body from notes").await,
            "42501 permission denied for table notes",
            "the login role itself has no rights"
        );
    }
}

#[tokio::test]
async fn a_subject_that_is_no_uuid_is_an_error() {
    let database = testkit::database().await;
    let mut connection = database.connect("postgres").await;
    assert_eq!(
        error(
            &mut connection,
            "select set_config('request.jwt.claims', '{\"sub\": \"x\"}', false); select auth.uid()"
        )
        .await,
        "22P02 invalid input syntax for type uuid: \"x\""
    );
}

#[tokio::test]
async fn dumps_can_be_loaded_as_postgres() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        postgres.simple_query("set session_replication_role = replica").await.unwrap();
        postgres.simple_query("set log_min_messages = fatal; set track_io_timing = on").await.unwrap();
    }
}

#[tokio::test]
async fn postgres_sets_postgrests_in_database_configuration() {
    for server in servers() {
        // Role settings belong to the whole cluster.
        let cluster = testkit::Cluster::bootstrapped(server).await;
        let mut postgres = cluster.connect("postgres", "postgres").await;
        postgres
            .simple_query(
                "alter role authenticator set pgrst.db_schemas = 'public, api';
                 alter role authenticator in database postgres set pgrst.jwt_role_claim_key = '.role';
                 alter role anon set statement_timeout = '1s';
                 alter database postgres set app.settings.jwt_secret = 'another secret';
                 create role app_user login;
                 grant anon to app_user;
                 grant pg_monitor to app_user",
            )
            .await
            .unwrap();
        assert_eq!(
            rows(
                &mut cluster.connect("supabase_admin", "postgres").await,
                "select unnest(setconfig) from pg_db_role_setting where setrole = 'authenticator'::regrole order by 1"
            )
            .await,
            [
                "lock_timeout=8s",
                "pgrst.db_schemas=public, api",
                "pgrst.jwt_role_claim_key=.role",
                "statement_timeout=8s"
            ]
        );
    }
}

#[tokio::test]
async fn postgres_is_no_superuser_and_cannot_become_one() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        assert_eq!(
            value(&mut postgres, "select rolsuper from pg_roles where rolname = current_user").await,
            "f"
        );
        for attempt in [
            "alter role postgres superuser",
            "create role evil superuser",
            "alter role supabase_admin password 'x'",
            "set role supabase_admin",
            "grant supabase_admin to postgres",
        ] {
            let refused = error(&mut postgres, attempt).await;
            assert!(refused.starts_with("42501 "), "{attempt}: {refused}");
        }
    }
}

#[tokio::test]
async fn reaching_beyond_the_database_is_refused_where_the_server_can_and_reported_where_it_cannot() {
    for server in servers() {
        let cluster = testkit::Cluster::bootstrapped(server).await;
        let mut postgres = cluster.connect("postgres", "postgres").await;
        let grant = "grant pg_execute_server_program to postgres";
        if postgres.server_version() >= 160_000 {
            let refused = error(&mut postgres, grant).await;
            assert!(refused.starts_with("42501 "), "{refused}");
            continue;
        }
        postgres.simple_query(grant).await.unwrap();
        let config = cluster.config("supabase_admin", "postgres");
        let report = bootstrap::apply(&config, &crate::options()).await.unwrap();
        assert_eq!(
            report.warnings,
            [
                "role postgres is a member of pg_execute_server_program, which reaches beyond the database: revoke it"
            ]
        );
    }
}

#[tokio::test]
async fn new_tables_are_announced_to_the_rest_interface() {
    use database::ListenEvent;
    for server in servers() {
        let database = database_on(server).await;
        let mut listener =
            database::Listener::connect(database.config("authenticator"), &["pgrst"]).await.unwrap();
        let mut postgres = database.connect("postgres").await;
        for statement in [
            "create table public.things (id int)",
            "alter table public.things add column name text",
            "comment on table public.things is 'Things'",
            "create function public.f() returns int language sql return 1",
            "drop table public.things",
        ] {
            postgres.simple_query(statement).await.unwrap();
            let event = tokio::time::timeout(std::time::Duration::from_secs(5), listener.recv()).await;
            match event {
                Ok(ListenEvent::Notification(notification)) => {
                    assert_eq!((&*notification.channel, &*notification.payload), ("pgrst", "reload schema"));
                }
                other => panic!("{statement}: {other:?}"),
            }
        }
        postgres.simple_query("create temporary table hidden (id int)").await.unwrap();
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(200), listener.recv()).await;
        assert!(quiet.is_err(), "a temporary table is nobody's business: {quiet:?}");
    }
}

#[tokio::test]
async fn the_publication_takes_tables_of_users() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        postgres
            .simple_query("create table public.t (id int primary key); alter publication supabase_realtime add table public.t")
            .await
            .unwrap();
        assert_eq!(
            rows(&mut postgres, "select * from pg_publication_tables where pubname = 'supabase_realtime'")
                .await,
            ["supabase_realtime|public|t|{id}|∅"]
        );
    }
}

#[tokio::test]
async fn text_is_ordered_as_people_expect() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        assert_eq!(
            value(
                &mut postgres,
                "select string_agg(t, ' ' order by t) from unnest(array['b', 'é', 'C', 'a', '_x', 'A']) as t"
            )
            .await,
            "_x a A b C é"
        );
    }
}

#[tokio::test]
async fn new_tables_are_open_to_the_api_unless_the_project_says_otherwise() {
    for server in servers() {
        let cluster = testkit::Cluster::plain(server, "supabase_admin").await;
        let options = bootstrap::Options { auto_expose_new_tables: false, ..crate::options() };
        bootstrap::apply(&cluster.config("supabase_admin", "postgres"), &options).await.unwrap();
        let closed = "create table public.t (id serial primary key);
             select has_table_privilege('anon', 'public.t', 'select'),
                    has_table_privilege('service_role', 'public.t', 'insert'),
                    has_sequence_privilege('authenticated', 'public.t_id_seq', 'usage')";
        assert_eq!(rows(&mut cluster.connect("postgres", "postgres").await, closed).await, ["f|f|f"]);

        let open = database_on(server).await;
        assert_eq!(rows(&mut open.connect("postgres").await, closed).await, ["t|t|t"]);
    }
}
