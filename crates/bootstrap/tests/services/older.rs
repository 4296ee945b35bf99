//! Databases that an older service left behind.

use bootstrap::{Class, Options, Outcome, Passwords};
use testkit::Cluster;

use crate::catalogue::differences;
use crate::rows;

/// Undoes things until the schemas are as an older release left them, applies what is missing, and returns a connection.
async fn brought_forward(cluster: &Cluster, undo: &str) -> database::Connection {
    let mut admin = cluster.connect("supabase_admin", "postgres").await;
    admin.simple_query(undo).await.unwrap_or_else(|error| panic!("{error}"));
    admin.simple_query("update _monobase.install set fingerprint = 'older'").await.unwrap();
    let options =
        Options { class: Class::Embedded, passwords: Passwords::shared("a password"), ..Options::default() };
    let report = bootstrap::apply(&cluster.config("supabase_admin", "postgres"), &options).await.unwrap();
    assert_eq!(report.outcome, Outcome::Migrated);
    admin
}

#[tokio::test]
async fn users_of_2022_get_identities() {
    for server in testkit::servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let mut admin = brought_forward(
            &cluster,
            "set role supabase_auth_admin;
             delete from auth.schema_migrations where version >= '20221114143122';
             drop table auth.oauth_authorizations, auth.oauth_consents, auth.one_time_tokens, auth.oauth_client_states,
                 auth.custom_oauth_providers, auth.webauthn_credentials, auth.webauthn_challenges;
             alter table auth.sessions drop column not_after, drop column refreshed_at, drop column user_agent,
                 drop column ip, drop column tag, drop column oauth_client_id;
             drop table auth.oauth_clients;
             drop type auth.oauth_client_type, auth.oauth_registration_type, auth.oauth_response_type,
                 auth.oauth_authorization_status, auth.one_time_token_type;
             alter table auth.saml_relay_states drop column flow_state_id;
             alter table auth.saml_relay_states add column from_ip_address inet;
             alter table auth.saml_providers drop column name_id_format;
             alter table auth.sso_providers drop column disabled;
             drop table auth.flow_state;
             drop type auth.code_challenge_method;
             alter table auth.identities drop column email, drop column id,
                 drop constraint identities_provider_id_provider_unique;
             alter table auth.identities rename column provider_id to id;
             alter table auth.identities add constraint identities_pkey primary key (provider, id);
             drop index auth.users_email_partial_key;
             alter table auth.users drop column is_sso_user, drop column deleted_at, drop column is_anonymous,
                 alter column phone type varchar(15), alter column phone_change type varchar(15),
                 add constraint users_email_key unique (email);
             alter table auth.mfa_factors drop column phone, drop column last_challenged_at,
                 drop column web_authn_credential, drop column web_authn_aaguid,
                 drop column last_webauthn_challenge_data;
             alter table auth.mfa_challenges drop column otp_code, drop column web_authn_session_data;
             create index refresh_tokens_token_idx on auth.refresh_tokens (token);
             alter table auth.refresh_tokens
                 add constraint refresh_tokens_parent_fkey foreign key (parent) references auth.refresh_tokens (token);
             insert into auth.users (id, email, encrypted_password, invited_at) values
                 ('00000000-0000-4000-8000-000000000001', 'Password@example.org', 'hash', null),
                 ('00000000-0000-4000-8000-000000000002', 'invited@example.org', '', now()),
                 ('00000000-0000-4000-8000-000000000003', 'neither@example.org', '', null);
             reset role",
        )
        .await;
        assert_eq!(
            rows(&mut admin, "select right(user_id::text, 1), provider_id = user_id::text, provider, email from auth.identities order by 1").await,
            ["1|t|email|password@example.org", "2|t|email|invited@example.org"]
        );
        assert_eq!(differences(&mut admin).await, [""; 0], "on {}", server.name());
    }
}

#[tokio::test]
async fn objects_of_2024_get_folders_and_keep_their_times() {
    for server in testkit::servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let mut admin = brought_forward(
            &cluster,
            "set role supabase_storage_admin;
             delete from storage.migrations where id >= 26;
             drop table storage.prefixes, storage.iceberg_tables, storage.iceberg_namespaces, storage.buckets_analytics;
             drop trigger objects_insert_create_prefix on storage.objects;
             drop trigger objects_update_create_prefix on storage.objects;
             drop trigger objects_delete_delete_prefix on storage.objects;
             alter table storage.objects drop column level;
             alter table storage.buckets drop column type;
             drop type storage.buckettype;
             insert into storage.buckets (id, name) values ('b', 'b');
             insert into storage.objects (bucket_id, name, updated_at)
             values ('b', 'x/y/z', '2024-01-01'), ('b', 'top', '2024-01-01');
             reset role",
        )
        .await;
        assert_eq!(
            rows(&mut admin, "select name, level, updated_at::date from storage.objects order by name").await,
            ["top|1|2024-01-01", "x/y/z|3|2024-01-01"]
        );
        assert_eq!(
            rows(&mut admin, "select name, level from storage.prefixes order by name").await,
            ["x|1", "x/y|2"]
        );
        assert_eq!(differences(&mut admin).await, [""; 0], "on {}", server.name());
    }
}

#[tokio::test]
async fn policies_on_messages_outlive_their_partitioning() {
    for server in testkit::servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let mut admin = brought_forward(
            &cluster,
            "delete from realtime.schema_migrations where version >= 20241030150047;
             drop table realtime.messages;
             create table realtime.messages (id bigserial primary key, topic text not null, extension text not null,
                 inserted_at timestamp(0) not null default now(), updated_at timestamp(0) not null default now());
             alter table realtime.messages owner to supabase_realtime_admin;
             alter table realtime.messages enable row level security;
             create policy \"My listeners\" on realtime.messages for select to authenticated, anon
                 using (realtime.topic() = 'room');
             create policy nobody on realtime.messages as restrictive for insert with check (false);
             create publication realtime_messages_1 for table realtime.messages",
        )
        .await;
        assert_eq!(
            rows(&mut admin, "select policyname, permissive, cmd, roles, qual, with_check from pg_policies where schemaname = 'realtime' order by 1").await,
            [
                "My listeners|PERMISSIVE|SELECT|{anon,authenticated}|(realtime.topic() = 'room'::text)|∅",
                "nobody|RESTRICTIVE|INSERT|{public}|∅|false",
            ]
        );
        assert_eq!(
            rows(&mut admin, "select pubname from pg_publication where pubname ~ 'messages'").await,
            [""; 0]
        );
        assert_eq!(
            differences(&mut admin).await,
            [
                "realtime: only ours: policy messages.\"My listeners\"",
                "realtime: only ours: policy messages.nobody"
            ],
            "on {}",
            server.name()
        );
    }
}
