//! What the role `postgres` may do to the services' schemas, and what it may not.

use testkit::{Cluster, database_on, servers};

use crate::{error, options, value};

#[tokio::test]
async fn policies_triggers_indexes_comments_and_grants_are_allowed() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        for statement in [
            "create function public.f() returns trigger language plpgsql as 'begin return new; end'",
            "create trigger t before update on auth.users for each row execute function public.f()",
            "drop trigger t on auth.users",
            "create table public.profiles (id uuid references auth.users (id))",
            "alter table only public.profiles add constraint again foreign key (id) references auth.users (id) not valid",
            "alter table public.profiles validate constraint again",
            "alter publication supabase_realtime add table public.profiles",
            "create materialized view public.counts as select count(*) from auth.users",
            "drop table public.profiles cascade",
            "create policy p on storage.objects for select using (true)",
            "alter policy p on storage.objects using (false)",
            "drop policy p on storage.objects",
            "create policy p on realtime.messages for select using (true)",
            "create index users_created on auth.users (created_at)",
            "comment on table auth.users is 'people'",
            "grant select on auth.users to service_role",
            "create view public.people as select id, email from auth.users",
            "insert into auth.users (id) values (gen_random_uuid())",
            "insert into storage.buckets (id, name) values ('b', 'b')",
        ] {
            postgres.simple_query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

#[tokio::test]
async fn everything_else_is_refused_in_the_platforms_words() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        for (statement, refusal) in [
            ("alter table auth.users add column x int", "must be owner of table users"),
            ("alter table auth.users owner to postgres", "must be owner of table users"),
            ("alter table auth.users set schema public", "must be owner of table users"),
            ("alter table auth.users rename to people", "must be owner of table people"),
            ("alter table storage.objects disable row level security", "must be owner of table objects"),
            ("drop table auth.sessions cascade", "must be owner of table sessions"),
            ("create rule r as on delete to auth.users do instead nothing", "must be owner of table users"),
            ("create table auth.extra (id int)", "permission denied for schema auth"),
            ("create table storage.extra (id int)", "permission denied for schema storage"),
            (
                "create function auth.extra() returns int language sql return 1",
                "permission denied for schema auth",
            ),
            (
                "create or replace function auth.uid() returns uuid language sql return null::uuid",
                "permission denied for schema auth",
            ),
            ("drop function auth.email()", "must be owner of function auth.email()"),
            ("alter function auth.email() owner to postgres", "must be owner of function auth.email()"),
            ("drop schema auth cascade", "must be owner of schema auth"),
            ("create table _monobase.extra (id int)", "permission denied for schema _monobase"),
            ("alter event trigger monobase_guard disable", "must be owner of event trigger monobase_guard"),
            ("alter table auth.users drop column phone", "must be owner of table users"),
            ("alter table auth.users rename column phone to telephone", "must be owner of table users"),
            ("alter table auth.users drop constraint users_phone_key", "must be owner of table users"),
            ("delete from _monobase.install", "permission denied for table install"),
        ] {
            assert_eq!(error(&mut postgres, statement).await, format!("42501 {refusal}"), "{statement}");
        }
    }
}

#[tokio::test]
async fn there_is_no_way_around() {
    for server in servers() {
        let database = database_on(server).await;
        let mut postgres = database.connect("postgres").await;
        postgres
            .simple_query(
                "create function public.sneaky() returns void language sql security definer
                     as 'alter table auth.users add column x int';
                 create procedure public.as_owner() language plpgsql as $$
                 begin
                     set local role supabase_auth_admin;
                     alter table auth.users add column x int;
                 end $$",
            )
            .await
            .unwrap();
        for attempt in [
            "set session_replication_role = replica; alter table auth.users add column x int",
            "set role supabase_auth_admin; alter table auth.users add column x int",
            "select public.sneaky()",
            "call public.as_owner()",
            "drop owned by supabase_auth_admin cascade",
        ] {
            let refused = error(&mut postgres, attempt).await;
            assert!(refused.starts_with("42501 "), "{attempt}: {refused}");
            postgres.simple_query("reset role; reset session_replication_role").await.unwrap();
        }
        let mut rest = database.connect("authenticator").await;
        let refused = error(&mut rest, "set role service_role; select public.sneaky()").await;
        assert!(refused.starts_with("42501 "), "{refused}");
    }
}

#[tokio::test]
async fn the_services_and_other_superusers_pass() {
    for server in servers() {
        let database = database_on(server).await;
        for user in ["supabase_auth_admin", "supabase_admin"] {
            let mut connection = database.connect(user).await;
            connection
                .simple_query("begin; alter table auth.users add column x int; rollback")
                .await
                .unwrap_or_else(|error| panic!("{user}: {error}"));
        }
    }
}

#[tokio::test]
async fn the_guard_can_be_switched_off_and_on() {
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        let mut open = options();
        open.protect_internal_schemas = false;
        bootstrap::apply(&config, &open).await.unwrap();
        let mut postgres = cluster.connect("postgres", "postgres").await;
        postgres.simple_query("alter table auth.users add column x int").await.unwrap();

        let report = bootstrap::apply(&config, &options()).await.unwrap();
        assert_eq!((report.outcome, report.applied), (bootstrap::Outcome::Migrated, vec![]));
        assert_eq!(
            error(&mut postgres, "alter table auth.users drop column x").await,
            "42501 must be owner of table users"
        );
        let states =
            "select string_agg(evtenabled::text, '') from pg_event_trigger where evtname like 'monobase%'";
        assert_eq!(value(&mut postgres, states).await, "AA");
    }
}
