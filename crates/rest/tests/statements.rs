//! The SQL that requests become.

mod common;

use common::sql;

const REPRESENTATION: (&str, &str) = ("prefer", "return=representation");

macro_rules! becomes {
    ($name:ident, $line:expr) => {
        becomes!($name, $line, &[], "");
    };
    ($name:ident, $line:expr, $headers:expr, $body:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), sql($line, $headers, $body), $line);
        }
    };
}

becomes!(read_by_primary_key, "GET /projects?id=eq.1");
becomes!(
    read_with_everything,
    "GET /projects?select=id,n:name::varchar&name=like.*x*&id=in.(1,2)&order=id.desc.nullslast,name&limit=5&offset=2"
);
becomes!(
    logic_trees,
    "GET /projects?or=(id.eq.1,not.and(name.is.null,id.gt.2))&and=(name.not.in.(\"a,b\",c))"
);
becomes!(json_paths, "GET /clients?select=data->a->>b,x:name->0&data->>a=eq.1&order=data->a->1");
becomes!(full_text, "GET /projects?name=fts(english).a&name=not.wfts.b");
becomes!(quantifiers, "GET /projects?id=eq(any).{1,2}&name=ilike(all).{a*,*b}");
becomes!(
    exact_count,
    "GET /projects?select=*,tasks!inner(id)&id=gt.1&limit=1",
    &[("prefer", "count=exact")],
    ""
);
becomes!(exact_count_of_everything, "GET /projects?id=gt.1", &[("prefer", "count=exact")], "");
becomes!(
    to_one_and_to_many,
    "GET /projects?select=name,clients(name),tasks(name)&tasks.order=id&tasks.limit=3&clients.name=eq.x"
);
becomes!(many_to_many, "GET /tasks?select=name,users(email)");
becomes!(self_reference, "GET /family?select=id,parent(id),children:family(id)");
becomes!(computed_relationship, "GET /clients?select=name,latest_project(name)");
becomes!(
    spreads,
    "GET /projects?select=name,...clients(client:name),...tasks(id,name)&tasks.order=name.desc"
);
becomes!(aggregates, "GET /projects?select=client_id,id.sum(),count()");
becomes!(hoisted_aggregates, "GET /projects?select=name,...clients(id.max())");
becomes!(
    embed_filters,
    "GET /clients?select=name,projects()&projects=not.is.null&or=(id.eq.1,projects.is.null)"
);
becomes!(related_order, "GET /projects?select=*,clients(*)&order=clients(name).desc");
becomes!(quoted_names, "GET /odd%20%22name?select=%22a,b%22,%22c.d%22&%22c.d%22=eq.1");
becomes!(comma_separated, "GET /projects", &[("accept", "text/csv")], "");
becomes!(
    one_object,
    "GET /projects?id=eq.1",
    &[("accept", "application/vnd.pgrst.object+json;nulls=stripped")],
    ""
);
becomes!(insert_minimal, "POST /clients", &[], r#"{"name":"x"}"#);
becomes!(
    insert_many,
    "POST /projects?select=id,clients(name)",
    &[REPRESENTATION],
    r#"[{"name":"x"},{"name":"y"}]"#
);
becomes!(
    insert_defaults,
    "POST /projects?columns=name,created_at",
    &[("prefer", "missing=default, return=headers-only")],
    r#"[{"name":"x"}]"#
);
becomes!(insert_nothing_but_defaults, "POST /clients", &[], "{}");
becomes!(
    upsert,
    "POST /clients?on_conflict=name",
    &[("prefer", "resolution=merge-duplicates")],
    r#"[{"id":1,"name":"x"}]"#
);
becomes!(ignore_duplicates, "POST /clients", &[("prefer", "resolution=ignore-duplicates")], r#"[{"id":1}]"#);
becomes!(put, "PUT /clients?id=eq.1", &[], r#"{"id":1,"name":"x"}"#);
becomes!(update, "PATCH /clients?id=eq.1&or=(name.eq.a,name.is.null)", &[REPRESENTATION], r#"{"name":"x"}"#);
becomes!(update_nothing, "PATCH /clients?select=name", &[REPRESENTATION], "{}");
becomes!(delete, "DELETE /clients?id=lt.5", &[REPRESENTATION], "");
becomes!(call_by_get, "GET /rpc/add?a=1&b=2");
becomes!(call_by_post, "POST /rpc/add", &[], r#"{"b":2,"a":1}"#);
becomes!(
    call_and_embed,
    "POST /rpc/search?select=name,clients(name)&id=gt.1&order=id&limit=2",
    &[],
    r#"{"words":"x"}"#
);
becomes!(call_with_whole_body, "POST /rpc/take", &[], r#"[1,2]"#);
becomes!(
    plan_of_a_read,
    "GET /projects",
    &[("accept", "application/vnd.pgrst.plan+json; options=analyze|buffers")],
    ""
);

#[test]
fn refusals_name_their_code() {
    for (line, headers, body, code) in [
        ("GET /project", &[][..], "", "PGRST205"),
        ("GET /projects?select=id,users(*)", &[], "", "PGRST200"),
        ("GET /projects?tasks.id=eq.1", &[], "", "PGRST108"),
        ("GET /projects?select=*,tasks(*)&order=tasks(id)", &[], "", "PGRST118"),
        ("GET /projects?id=nope.1", &[], "", "PGRST100"),
        ("GET /projects?limit=-1", &[], "", "PGRST103"),
        ("GET /projects", &[("range", "5-2")], "", "PGRST103"),
        ("GET /projects", &[("accept", "undefined")], "", "PGRST107"),
        ("GET /projects", &[("accept-profile", "other")], "", "PGRST106"),
        ("GET /projects", &[("prefer", "handling=strict, nonsense")], "", "PGRST122"),
        ("GET /projects?select=...tasks(id.sum())", &[], "", "PGRST127"),
        ("GET /a/b/c", &[], "", "PGRST125"),
        ("TRACE /projects", &[], "", "PGRST117"),
        ("DELETE /rpc/add", &[], "", "PGRST101"),
        ("POST /projects", &[], "{", "PGRST102"),
        ("POST /projects", &[], r#"{"nope":1}"#, "PGRST204"),
        ("PUT /projects?id=gt.1", &[], r#"{"id":1}"#, "PGRST105"),
        ("PUT /projects?id=eq.1&limit=1", &[], r#"{"id":1}"#, "PGRST114"),
        ("GET /rpc/add?a=1", &[], "", "PGRST202"),
        ("POST /rpc/add", &[("prefer", "handling=strict, max-affected=1")], r#"{"a":1,"b":2}"#, "PGRST128"),
    ] {
        let Err(error) = common::statement(line, headers, body, &common::catalog(), &common::config()) else {
            panic!("{line} was accepted");
        };
        let response = error.response(1);
        let status = response.headers()["proxy-status"].to_str().unwrap_or_default();
        assert_eq!(status, format!("PostgREST; error={code}"), "{line}");
    }
}
