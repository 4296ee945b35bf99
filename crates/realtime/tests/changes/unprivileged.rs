//! Whatever runs for a subscriber — policies, casts, checks of domains — runs with less than the service has.

use serde_json::json;

use crate::service::{MARK, Service, authenticated, run, tables};

/// Raises if it runs as somebody who may do more than clients.
const POWERLESS: &str = "create function public.powerless() returns boolean language plpgsql as $$
    declare
        mine text := current_user;
    begin
        execute 'reset role';
        if current_setting('is_superuser') = 'on' or session_user <> 'authenticator' then
            raise exception 'it runs as % (%)', current_user, session_user;
        end if;
        perform set_config('role', mine, true);
        return true;
    end $$";

#[tokio::test]
async fn neither_policies_nor_types_run_with_the_rights_of_the_service() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(&mut admin, POWERLESS).await;
    run(
        &mut admin,
        "create function public.telling() returns boolean language plpgsql as $$ begin
             if session_user = 'authenticator' then return public.powerless(); end if;
             -- Whoever writes the rows.
             return true;
         end $$;
         create domain public.word as text check (public.telling());
         create type public.shade as enum ('dark');
         create function public.shade_json(public.shade) returns json language plpgsql as $$ begin
             perform public.powerless(); return json_build_array($1::text); end $$;
         create cast (public.shade as json) with function public.shade_json(public.shade);
         create table public.note (id int primary key, word public.word, shade public.shade);
         alter table public.note enable row level security;
         create policy p on public.note for select using (public.powerless());
         grant all on public.note to authenticated;
         alter publication supabase_realtime add table public.note",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    let mut entries = tables(&["note"]);
    entries[0]["filter"] = json!("word=like.w%");
    client.listen("room", entries).await;
    run(
        &mut admin,
        "insert into public.note values (1, 'word', 'dark'), (2, 'other', 'dark'); insert into public.mark default values",
    )
    .await;
    let heard = client.changes_until("mark").await;
    let records: Vec<_> = heard.iter().map(|change| change["data"]["record"].clone()).collect();
    assert_eq!(records, [json!({ "id": 1, "word": "word", "shade": ["dark"] })]);
    service.stop().await;
}
