//! What query strings mean, and what they come to be against a catalogue.
#![allow(clippy::unwrap_used)]

mod common;

use rest::parse::query::Query;

macro_rules! means {
    ($name:ident, $query:expr) => {
        #[test]
        fn $name() {
            let query = Query::parse($query, stringify!($name).starts_with("call")).unwrap();
            insta::assert_debug_snapshot!(stringify!($name), query);
        }
    };
}

macro_rules! plans {
    ($name:ident, $line:expr, $body:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), common::planned($line, &[], $body), $line);
        }
    };
}

means!(
    select_of_everything,
    "select=*,n:name::text,data->a->>-1,count(),t:id.sum()::int,c:clients!fk!inner(id,...users(*))"
);
means!(
    filters_with_paths,
    "a.b.c=not.eq.x&id=in.(1,\"a,b\",)&name=like(any).{a*,b}&d->>k=is.not_null&t=wfts(english).x%20y"
);
means!(trees_of_conditions, "or=(a.eq.1,not.and(b.gt.2,c.is.null),d.cs.{1,2})&not.c.and=(x.isdistinct.1)");
means!(orders_and_windows, "order=a.desc.nullslast,b->c,rel(d).asc&c.order=e&limit=5&offset=2&c.limit=1");
means!(columns_and_conflicts, "columns=a,\"b,c\"&on_conflict=d,e");
means!(call_with_arguments, "a=1&b=eq.2&select=c&a=3");

plans!(
    plan_of_a_read_with_embeds,
    "GET /projects?select=name,clients(name),tasks(id)&tasks.id=gt.1&order=clients(name)&limit=3",
    ""
);
plans!(plan_of_an_upsert, "POST /clients?on_conflict=name", r#"[{"id":1,"name":"x"}]"#);
plans!(plan_of_an_update, "PATCH /clients?id=eq.1", r#"{"name":"x"}"#);
plans!(plan_of_a_call, "GET /rpc/add?a=1&b=2", "");
