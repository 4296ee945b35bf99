//! A policy may call a function that gives its role back: it must find itself with less, not with more.

use serde_json::json;

use crate::service::Service;

const TOPIC: &str = "realtime:room";

/// True only if nothing that a policy can do makes it more than a client.
const POWERLESS: &str = "create function public.powerless() returns boolean language plpgsql as $$
    declare
        mine text := current_user;
    begin
        begin
            execute 'reset role';
            if current_setting('is_superuser') = 'on' or session_user <> 'authenticator' then
                return false;
            end if;
            execute 'create role conqueror superuser';
            return false;
        exception when insufficient_privilege then null;
        end;
        begin
            execute 'reset session authorization';
            execute 'set role supabase_admin';
            return false;
        exception when insufficient_privilege then null;
        end;
        begin
            execute 'set session authorization supabase_admin';
            return false;
        exception when insufficient_privilege then null;
        end;
        perform set_config('role', mine, true);
        return true;
    end $$";

#[tokio::test]
async fn a_policy_that_resets_its_role_gains_nothing() {
    let service = Service::start().await;
    service.sql(POWERLESS).await;
    service
        .sql(
            "create policy read on realtime.messages for select to authenticated using (public.powerless());
             create policy write on realtime.messages for insert to authenticated with check (public.powerless())",
        )
        .await;
    let mut socket = service.socket_as("2.0.0", &service.token("authenticated")).await;
    socket.join_quietly(TOPIC, json!({ "private": true, "broadcast": { "ack": true } })).await;
    socket
        .send("1", "2", TOPIC, "broadcast", json!({ "type": "broadcast", "event": "e", "payload": {} }))
        .await;
    assert_eq!(socket.json().await[4], json!({ "status": "ok", "response": {} }));
}

#[tokio::test]
async fn what_a_role_is_given_back_to_is_of_no_use_afterwards() {
    let service = Service::start().await;
    service
        .sql(
            "create function public.escape() returns boolean language plpgsql as $$
             begin
                 perform set_config('role', 'service_role', false);
                 perform set_config('request.jwt.claims', '{\"role\":\"service_role\"}', false);
                 return true;
             end $$;
             create policy read on realtime.messages for select to authenticated using (public.escape())",
        )
        .await;
    // Every connection of the pool has been through it.
    for _ in 0..20 {
        let mut socket = service.socket_as("2.0.0", &service.token("authenticated")).await;
        socket.join_quietly(TOPIC, json!({ "private": true })).await;
    }
    let mut socket = service.socket_as("2.0.0", &service.token("anon")).await;
    socket.send("1", "1", TOPIC, "phx_join", json!({ "config": { "private": true } })).await;
    assert_eq!(socket.json().await[4]["status"], "error");
}

#[tokio::test]
async fn partitions_are_made_when_the_first_needs_one() {
    let service = Service::start().await;
    service.sql("create policy read on realtime.messages for select to authenticated using (true)").await;
    service
        .sql(
            "do $$ declare partition regclass; begin
                 for partition in select inhrelid::regclass from pg_inherits where inhparent = 'realtime.messages'::regclass
                 loop execute 'drop table ' || partition; end loop;
             end $$",
        )
        .await;
    let mut socket = service.socket_as("2.0.0", &service.token("authenticated")).await;
    socket.join_quietly(TOPIC, json!({ "private": true })).await;
}
