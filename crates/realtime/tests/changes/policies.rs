use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::service::{Client, MARK, Service, authenticated, run, tables};

fn ids(changes: &[Value]) -> Vec<(String, i64)> {
    let id = |change: &Value| {
        let data = &change["data"];
        let row = if data["type"] == "DELETE" { &data["old_record"] } else { &data["record"] };
        (data["type"].as_str().unwrap().to_owned(), row["id"].as_i64().unwrap())
    };
    changes.iter().map(id).collect()
}

fn insertions(numbers: &[i64]) -> Vec<(String, i64)> {
    numbers.iter().map(|number| ("INSERT".to_owned(), *number)).collect()
}

#[tokio::test]
async fn each_user_hears_of_the_rows_that_its_policies_show() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut admin = database.admin().await;
        run(&mut admin, MARK).await;
        run(
            &mut admin,
            "create table public.note (id int primary key, owner text, body text); alter table public.note enable row level security; \
             create policy own on public.note for select to authenticated using ((select auth.jwt() ->> 'sub') = owner); \
             alter table public.note replica identity full; grant all on public.note to anon, authenticated, service_role; \
             alter publication supabase_realtime add table public.note",
        )
        .await;
        let service = Service::start(database.config(testkit::SUPERUSER)).await;
        let mut one = service.client(authenticated("1")).await;
        let mut two = service.client(authenticated("2")).await;
        let mut guest = service.client(json!({"role": "anon"})).await;
        let mut master = service.client(json!({"role": "service_role"})).await;
        for client in [&mut one, &mut two, &mut guest, &mut master] {
            client.listen("room", tables(&["note"])).await;
        }
        run(
            &mut admin,
            "insert into public.note values (1, '1', 'a'), (2, '2', 'b'), (3, '1', 'c'); \
             insert into public.note values (4, '1', 'gone'); delete from public.note where id = 4; \
             insert into public.mark default values",
        )
        .await;
        // Of the row that is gone before it is looked at, the deletion alone is heard, by everybody.
        let deletion = ("DELETE".to_owned(), 4);
        let heard = async |client: &mut Client| ids(&client.changes_until("mark").await);
        let with_deletion = |numbers: &[i64]| [insertions(numbers), vec![deletion.clone()]].concat();
        assert_eq!(heard(&mut one).await, with_deletion(&[1, 3]));
        assert_eq!(heard(&mut two).await, with_deletion(&[2]));
        assert_eq!(heard(&mut guest).await, with_deletion(&[]));
        assert_eq!(heard(&mut master).await, with_deletion(&[1, 2, 3]));

        // A row that moves out of sight is not told to its former owner; of a deleted one the key alone.
        run(&mut admin, "update public.note set owner = '2' where id = 1; delete from public.note where id = 1; insert into public.mark default values").await;
        let changes = one.changes_until("mark").await;
        assert_eq!(ids(&changes), [("DELETE".to_owned(), 1)]);
        assert_eq!(changes[0]["data"]["old_record"], json!({"id": 1}));
        service.stop().await;
    }
}

/// A commit is in the log before others see it: for as long as a synchronous standby is away, here.
#[tokio::test]
async fn a_row_is_not_judged_before_it_can_be_seen() {
    for server in testkit::servers() {
        let cluster = testkit::Cluster::bootstrapped(server).await;
        let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
        run(&mut admin, MARK).await;
        run(
            &mut admin,
            "create table public.note (id int primary key); alter table public.note enable row level security; \
             create policy all_of_it on public.note using (true); grant all on public.note to authenticated; \
             alter publication supabase_realtime add table public.note",
        )
        .await;
        let service = Service::start(cluster.config(testkit::SUPERUSER, "postgres")).await;
        let mut client = service.client(authenticated("1")).await;
        client.listen("room", tables(&["note"])).await;
        for setting in ["synchronous_commit to local", "synchronous_standby_names to 'nobody'"] {
            run(&mut admin, &format!("alter system set {setting}")).await;
        }
        run(&mut admin, "select pg_reload_conf()").await;
        let mut writer = cluster.connect(testkit::SUPERUSER, "postgres").await;
        let process = writer.process_id();
        let writing = tokio::spawn(async move {
            run(&mut writer, "set synchronous_commit to on").await;
            run(&mut writer, "insert into public.note values (1)").await;
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(!writing.is_finished(), "it waits for a standby");
        // Cancelled, it waits no more: the row was committed before.
        run(&mut admin, &format!("select pg_cancel_backend({process})")).await;
        writing.await.unwrap();
        assert_eq!(client.change().await["data"]["record"], json!({ "id": 1 }));
        service.stop().await;
    }
}

#[tokio::test]
async fn policies_that_raise_concern_their_own_claims_alone() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create table public.note (id int primary key); alter table public.note enable row level security; \
         create policy odd on public.note for select using (10 / (auth.jwt() ->> 'divisor')::int > 0); \
         grant all on public.note to authenticated; alter publication supabase_realtime add table public.note",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut clients = Vec::new();
    for number in 0..80 {
        let divisor = if number % 3 == 0 { "0" } else { "1" };
        let claims = json!({"role": "authenticated", "sub": number.to_string(), "divisor": divisor});
        let mut client = service.client(claims).await;
        client.listen("room", tables(&["note"])).await;
        clients.push(client);
    }
    run(&mut admin, "insert into public.note values (1); insert into public.mark default values").await;
    for (number, client) in clients.iter_mut().enumerate() {
        let heard = client.changes_until("mark").await.len();
        assert_eq!(heard, usize::from(number % 3 != 0), "client {number}");
    }
    service.stop().await;
}

#[tokio::test]
async fn keys_of_any_form_are_looked_up() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut admin = database.admin().await;
        run(&mut admin, MARK).await;
        let keys = [
            ("smallint", "7"),
            ("int", "-7"),
            ("bigint", "9007199254740993"),
            ("uuid", "'639F86B1-738B-43ED-BB09-C8D3F3BAFA30'"),
            ("text", "'a\"b\\,{}'"),
            ("varchar(9)", "''"),
            ("char(5)", "'ab'"),
            ("numeric", "1.50"),
            ("timestamptz", "'2024-01-02 03:04:05.678+02'"),
            ("date", "'2024-02-29'"),
            ("boolean", "true"),
            ("bytea", "'\\x00ff'"),
            ("inet", "'10.0.0.1'"),
            ("float8", "0.1"),
            ("public.shade", "'dark red'"),
            ("public.word", "'w'"),
        ];
        run(&mut admin, "create type public.shade as enum ('dark red'); create domain public.word as text")
            .await;
        let mut names = Vec::new();
        for (number, (kind, _)) in keys.iter().enumerate() {
            let name = format!("t{number}");
            run(
                &mut admin,
                &format!(
                    "create table public.{name} (\"the key\" {kind}, part int, primary key (\"the key\"{})); \
                     alter table public.{name} enable row level security; create policy all_of_it on public.{name} using (true); \
                     grant all on public.{name} to authenticated; alter publication supabase_realtime add table public.{name}",
                    if number % 2 == 1 { ", part" } else { "" }
                ),
            )
            .await;
            names.push(name);
        }
        let service = Service::start(database.config(testkit::SUPERUSER)).await;
        let mut client = service.client(authenticated("1")).await;
        let listed: Vec<&str> = names.iter().map(String::as_str).collect();
        client.listen("room", tables(&listed)).await;
        for (name, (_, value)) in names.iter().zip(&keys) {
            run(&mut admin, &format!("insert into public.{name} values ({value}, 1)")).await;
        }
        run(&mut admin, "insert into public.mark default values").await;
        let heard: Vec<Value> = client
            .changes_until("mark")
            .await
            .iter_mut()
            .map(|change| change["data"]["table"].take())
            .collect();
        assert_eq!(heard, listed, "on {}", server.name());
        service.stop().await;
    }
}

#[tokio::test]
async fn new_claims_are_looked_at_from_then_on() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create table public.note (id int primary key, owner text); alter table public.note enable row level security; \
         create policy own on public.note for select using (auth.jwt() ->> 'sub' = owner); \
         grant all on public.note to authenticated; alter publication supabase_realtime add table public.note",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    client.listen("room", tables(&["note"])).await;
    client
        .send("realtime:room", "access_token", json!({"access_token": service.token(authenticated("2"))}))
        .await;
    // The original announces the subscription once more.
    assert_eq!(client.system().await.1, "Subscribed to PostgreSQL");
    run(
        &mut admin,
        "insert into public.note values (1, '1'), (2, '2'); insert into public.mark default values",
    )
    .await;
    assert_eq!(ids(&client.changes_until("mark").await), insertions(&[2]));
    service.stop().await;
}

/// A small source of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a user can select: two numbers.
async fn selected(admin: &mut database::Connection, claims: &Value, query: &str) -> BTreeSet<(i64, i64)> {
    let sql = format!(
        "begin; select set_config('request.jwt.claims', {}, true); set local role authenticated; {query}; rollback",
        database::ident::quote_literal(&claims.to_string())
    );
    let results = admin.simple_query(&sql).await.unwrap();
    let number = |row: &database::Row, column| row.text(column).unwrap().parse().unwrap();
    results[3].rows.iter().map(|row| (number(row, 0), number(row, 1))).collect()
}

/// With random policies and users, whatever is delivered to a user is what that user can select at the end, since rows
/// only come.
#[tokio::test]
async fn nobody_hears_of_a_row_that_it_cannot_select() {
    const USERS: usize = 40;
    const ROWS: u64 = 120;
    let conditions = [
        "owner = (select auth.jwt() ->> 'sub')",
        "owner = auth.jwt() ->> 'sub' or team = (auth.jwt() ->> 'team')::int",
        "team = (select (auth.jwt() ->> 'team')::int) and id % 3 <> 0",
        "exists (select from public.member m where m.team = note.team and m.who = auth.jwt() ->> 'sub')",
        "public.cached_subject() = owner",
        "id % (auth.jwt() ->> 'team')::int = 0",
    ];
    for (number, condition) in conditions.iter().enumerate() {
        let database = testkit::database().await;
        let mut admin = database.admin().await;
        run(&mut admin, MARK).await;
        run(
            &mut admin,
            "create table public.note (id int primary key, owner text, team int); alter table public.note enable row level security; \
             create table public.member (team int, who text); \
             create function public.cached_subject() returns text stable language plpgsql as $$ begin \
               if coalesce(current_setting('app.subject', true), '') = '' then \
                 perform set_config('app.subject', auth.jwt() ->> 'sub', true); end if; \
               return current_setting('app.subject', true); end $$; \
             grant all on public.note, public.member to authenticated; alter publication supabase_realtime add table public.note; \
             insert into public.member select g % 7, (g % 40)::text from generate_series(1, 100) g where g % 3 = 0",
        )
        .await;
        run(
            &mut admin,
            &format!("create policy p on public.note for select to authenticated using ({condition})"),
        )
        .await;
        let service = Service::start(database.config(testkit::SUPERUSER)).await;
        let claims: Vec<Value> = (0..USERS)
            .map(|user| json!({"role": "authenticated", "sub": user.to_string(), "team": (user % 7 + 1).to_string()}))
            .collect();
        let mut clients = Vec::new();
        for claims in &claims {
            let mut client = service.client(claims.clone()).await;
            client.listen("room", tables(&["note"])).await;
            clients.push(client);
        }
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 + number as u64);
        let mut id = 0;
        while id < ROWS {
            let count = 1 + dice.roll(9);
            let rows: Vec<String> = (0..count)
                .map(|_| {
                    id += 1;
                    format!("({id}, '{}', {})", dice.roll(USERS as u64), dice.roll(7) + 1)
                })
                .collect();
            run(&mut admin, &format!("insert into public.note values {}", rows.join(", "))).await;
        }
        run(&mut admin, "insert into public.mark default values").await;
        let mut delivered = 0;
        for (client, claims) in clients.iter_mut().zip(&claims) {
            let heard: BTreeSet<i64> =
                ids(&client.changes_until("mark").await).into_iter().map(|(_, id)| id).collect();
            let selected: BTreeSet<i64> = selected(&mut admin, claims, "select id, 0 from public.note")
                .await
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            assert_eq!(heard, selected, "{condition} for {claims}");
            delivered += heard.len();
        }
        assert!(delivered > 0, "{condition}");
        service.stop().await;
    }
}

/// The same with a thousand users at once, each listening to tables under policies drawn at random, all changes in a hurry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_users_hear_of_what_they_can_select_and_of_nothing_else() {
    const USERS: u64 = 1000;
    const TABLES: u64 = 4;
    const ROWS: u64 = 150;
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create table public.member (team int, who text); grant all on public.member to authenticated; \
         insert into public.member select g % 13, (g * 7 % 1000)::text from generate_series(1, 2000) g",
    )
    .await;
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let conditions = [
        "owner = (select auth.jwt() ->> 'sub')",
        "team = (auth.jwt() ->> 'team')::int",
        "(select (auth.jwt() ->> 'team')::int) = team and id % 2 = 0",
        "exists (select from public.member m where m.team = note.team and m.who = (select auth.jwt() ->> 'sub'))",
        "owner < (auth.jwt() ->> 'sub') and team = 3",
        "((auth.jwt() ->> 'sub')::int + id) % 5 = 1 and team = 2",
        "auth.role() = 'authenticated' and id % 50 = (auth.jwt() ->> 'team')::int",
    ];
    let mut names = Vec::new();
    for table in 0..TABLES {
        let name = format!("note{table}");
        let mut draw =
            || conditions[dice.roll(conditions.len() as u64) as usize].replace("note.", &format!("{name}."));
        let (one, other) = (draw(), draw());
        run(
            &mut admin,
            &format!(
                "create table public.{name} (id int primary key, owner text, team int); \
                 alter table public.{name} enable row level security; grant all on public.{name} to authenticated; \
                 create policy one on public.{name} for select to authenticated using ({one}); \
                 create policy other on public.{name} for select to authenticated using ({other}); \
                 alter publication supabase_realtime add table public.{name}"
            ),
        )
        .await;
        names.push(name);
    }
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let listed: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut clients = Vec::new();
    for user in 0..USERS {
        let claims =
            json!({"role": "authenticated", "sub": user.to_string(), "team": (user % 13).to_string()});
        let mut client = service.client(claims.clone()).await;
        client.join("room", tables(&listed)).await;
        clients.push((client, claims));
    }
    for (client, _) in &mut clients {
        assert_eq!(client.system().await.0, "ok");
    }
    let mut id = 0;
    while id < ROWS {
        let table = dice.roll(TABLES);
        let rows: Vec<String> = (0..=dice.roll(9))
            .map(|_| {
                id += 1;
                format!("({id}, '{}', {})", dice.roll(USERS), dice.roll(13))
            })
            .collect();
        run(&mut admin, &format!("insert into public.note{table} values {}", rows.join(", "))).await;
    }
    run(&mut admin, "insert into public.mark default values").await;
    let query: Vec<String> =
        names.iter().enumerate().map(|(at, name)| format!("select id, {at} from public.{name}")).collect();
    let query = query.join(" union all ");
    let mut delivered = 0;
    for (client, claims) in &mut clients {
        let changes = client.changes_until("mark").await;
        let heard: BTreeSet<(i64, i64)> = changes
            .iter()
            .map(|change| {
                let table = change["data"]["table"].as_str().unwrap().trim_start_matches("note");
                (change["data"]["record"]["id"].as_i64().unwrap(), table.parse().unwrap())
            })
            .collect();
        assert_eq!(heard.len(), changes.len(), "each once");
        assert_eq!(heard, selected(&mut admin, claims, &query).await, "{claims}");
        delivered += heard.len();
    }
    assert!(delivered > 1000, "{delivered}");
    service.stop().await;
}
