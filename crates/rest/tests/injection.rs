//! Whatever a client sends, wherever it sends it, nothing of it becomes SQL.
//!
//! Every text goes to every place. A statement that was broken by one of them would be a syntax error (42601), or worse,
//! would do what the text says.
#![allow(clippy::unwrap_used)]

mod shop;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use rest::Config;
use serde_json::json;
use shop::{Answer, Shop};

const EVIL: [&str; 22] = [
    "'; drop table canary; --",
    "\"; drop table canary; --",
    "\\'; drop table canary; --",
    "\\\"; drop table canary; --",
    "$1); drop table canary; --",
    "$$; drop table canary; --",
    "1) or 1=1; drop table canary; --",
    "\"),(select 1) --",
    "a\" from canary; drop table canary; --",
    "E'\\''; drop table canary; --",
    "/* */ union select * from canary",
    "}'; drop table canary; --",
    "{\"a\",\"b\\\"}'; drop table canary; --",
    "canary; reset role; drop table canary",
    "\u{2019}; drop table canary; --",
    "\u{ff07}; drop table canary; --",
    "x\n; drop table canary; --\n",
    "%27%3B drop table canary",
    "pg_sleep(5)",
    "::regclass",
    "\u{0}'; drop table canary; --",
    "''''''\"\"\"\"\"",
];

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// As a name or value in quotes.
fn quoted(text: &str) -> String {
    encoded(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

async fn open() -> Shop {
    let shop = Shop::open_with(|config| Config { aggregates_enabled: true, ..config }).await;
    shop.change("create table canary (n int); insert into canary values (1); grant select on canary to anon")
        .await;
    shop
}

impl Shop {
    /// Nothing of it was understood as SQL.
    fn unharmed(&self, answer: &Answer, sent: &str) {
        // A name ends at a NUL, and then there may be nothing left of it.
        if answer.body.contains("zero-length delimited identifier") {
            return;
        }
        // The name of a type is not quoted, so that `int` works. It is letters, digits, `_`, `$` and blanks: what is no
        // type is an error where the type should be, and nothing can follow it.
        let mut traces = vec!["cannot drop", "must be owner", "42P02"];
        if !sent.contains("::") {
            traces.push("42601");
        }
        for trace in traces {
            assert!(!answer.body.contains(trace), "{sent}\n{}", answer.body);
        }
        assert_ne!(answer.json_code(), Some("XX000".to_owned()), "{sent}\n{}", answer.body);
    }
}

trait Code {
    fn json_code(&self) -> Option<String>;
}

impl Code for Answer {
    fn json_code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get("code")?.as_str().map(str::to_owned)
    }
}

#[tokio::test]
async fn nothing_in_a_url_becomes_sql() {
    let shop = open().await;
    for evil in EVIL {
        let (bare, name) = (encoded(evil), quoted(evil));
        for line in [
            format!("GET /{bare}"),
            format!("GET /rpc/{bare}"),
            format!("GET /articles?select={bare}"),
            format!("GET /articles?select={name}"),
            format!("GET /articles?select={name}:code"),
            format!("GET /articles?select=code::{bare}"),
            format!("GET /articles?select=code.{bare}()"),
            format!("GET /articles?select=price.sum()::{bare}"),
            format!("GET /articles?select=code-%3E{name}-%3E%3E{name}"),
            format!("GET /articles?select={name}(*)"),
            format!("GET /articles?select={name}:lines!{name}({name})"),
            format!("GET /articles?select=...lines({name}:quantity)"),
            format!("GET /articles?{name}=eq.1"),
            format!("GET /articles?{bare}=eq.1"),
            format!("GET /articles?code-%3E{name}=eq.1"),
            format!("GET /articles?code={bare}"),
            format!("GET /articles?code=eq.{bare}"),
            format!("GET /articles?code=not.like.{bare}"),
            format!("GET /articles?code=in.({bare})"),
            format!("GET /articles?code=in.({name},{name})"),
            format!("GET /articles?code=eq(any).{bare}"),
            format!("GET /articles?code=is.{bare}"),
            format!("GET /articles?code=isdistinct.{bare}"),
            format!("GET /articles?name=fts({bare}).a"),
            format!("GET /articles?name=wfts(english).{bare}"),
            format!("GET /articles?name=match.{bare}"),
            format!("GET /customers?tags=cs.{bare}"),
            format!("GET /articles?and=(code.eq.{name},{name}.is.null)"),
            format!("GET /articles?or=({bare})"),
            format!("GET /articles?not.{name}.or=(code.eq.1)"),
            format!("GET /articles?order={bare}"),
            format!("GET /articles?order={name}.desc.nullslast"),
            format!("GET /articles?order=lines({name})"),
            format!("GET /articles?limit={bare}&offset={bare}"),
            format!("GET /articles?select=*,lines(*)&lines.{name}=eq.{bare}&lines.order={name}"),
            format!("GET /rpc/add_up?a=1&{bare}={bare}"),
            format!("GET /rpc/add_up?a={bare}&b={bare}"),
            format!("DELETE /articles?code=eq.{bare}"),
        ] {
            let answer = shop.send(&line, &[], "").await;
            shop.unharmed(&answer, &line);
        }
    }
    assert_eq!(shop.get("/canary").await.json(), json!([{"n": 1}]));
}

#[tokio::test]
async fn nothing_in_a_body_becomes_sql() {
    let shop = open().await;
    let representation = ("prefer", "return=representation, missing=default, resolution=merge-duplicates");
    for evil in EVIL {
        let (bare, name) = (encoded(evil), quoted(evil));
        let text = json!(evil).to_string();
        let bodies = [
            format!("{{{text}: 1}}"),
            format!("[{{\"code\": {text}, \"name\": {text}, \"price\": 1}}]"),
            format!("{{\"code\": {{{text}: {text}}}, \"price\": {text}}}"),
            evil.to_owned(),
        ];
        for body in &bodies {
            for line in [
                "POST /articles".to_owned(),
                format!("POST /articles?columns={name}"),
                format!("POST /articles?columns=code,name,price&on_conflict={name}&select={name}:code"),
                "PATCH /articles?code=eq.zz".to_owned(),
                format!("PUT /articles?code=eq.{bare}"),
                "POST /rpc/add_up".to_owned(),
                format!("POST /rpc/add_up?columns={name}"),
                "POST /rpc/echo".to_owned(),
            ] {
                let answer = shop.send(&line, &[representation], body).await;
                shop.unharmed(&answer, &format!("{line}\n{body}"));
            }
        }
        for kind in ["text/csv", "application/x-www-form-urlencoded", "text/plain"] {
            for body in [
                format!("{evil}\n{evil}"),
                format!("{bare}={bare}"),
                format!("code,name\n\"{}\",1", evil.replace('"', "\"\"")),
            ] {
                let answer = shop.send("POST /articles", &[("content-type", kind)], &body).await;
                shop.unharmed(&answer, &body);
            }
        }
    }
    assert_eq!(shop.get("/canary").await.json(), json!([{"n": 1}]));
}

#[tokio::test]
async fn nothing_in_a_header_becomes_sql() {
    let shop = open().await;
    // A header cannot carry these.
    for evil in EVIL.into_iter().filter(|evil| !evil.contains(['\n', '\0'])) {
        for name in [
            "prefer",
            "range",
            "accept",
            "content-type",
            "accept-profile",
            "content-profile",
            "cookie",
            "x-any",
            "user-agent",
        ] {
            for (line, body) in [("GET /articles?limit=1", ""), ("POST /rpc/add_up", "{\"a\":1}")] {
                let latin: String = evil.chars().filter(char::is_ascii).collect();
                let answer = shop.send(line, &[(name, &latin)], body).await;
                shop.unharmed(&answer, &format!("{line} {name}: {evil}"));
                let answer = shop
                    .send(line, &[("prefer", &format!("timezone={latin}, max-affected={latin}"))], body)
                    .await;
                shop.unharmed(&answer, evil);
            }
        }
        let token = shop.ring.sign(&json!({"role": evil, "sub": evil, evil: evil})).unwrap();
        let answer = shop.send("GET /articles", &[("authorization", &format!("Bearer {token}"))], "").await;
        assert!(answer.status.is_client_error(), "{evil}: {}", answer.body);
        shop.unharmed(&answer, evil);
        let token = shop.ring.sign(&json!({"role": "authenticated", "sub": evil, evil: evil})).unwrap();
        let answer = shop.send("GET /customers", &[("authorization", &format!("Bearer {token}"))], "").await;
        shop.unharmed(&answer, evil);
    }
    assert_eq!(shop.get("/canary").await.json(), json!([{"n": 1}]));
}

#[tokio::test]
async fn any_name_and_any_value_come_back_as_they_were_sent() {
    let shop = open().await;
    let mut runner = TestRunner::deterministic();
    let texts = proptest::collection::vec("[^\0]{1,30}", 60);
    let texts = texts.new_tree(&mut runner).unwrap().current();
    for (at, text) in texts.iter().enumerate() {
        // PostgreSQL cuts longer names.
        let name: String = text.chars().take(12).collect();
        let row = json!({"code": text, "name": "n", "price": at});
        let body = json!([row]).to_string();
        let prefer = [("prefer", "resolution=merge-duplicates, return=representation")];
        let select = format!("select={}:code", quoted(&name));
        let made = shop.send(&format!("POST /articles?{select}"), &prefer, &body).await;
        let expected = json!([{name.clone(): text}]);
        assert_eq!(made.json(), expected, "{text:?}");
        for filter in [
            format!("code=eq.{}", encoded(text)),
            format!("code=in.({})", quoted(text)),
            format!("or=(code.eq.{})", quoted(text)),
            format!("code=not.isdistinct.{}", encoded(text)),
        ] {
            let read = shop.get(&format!("/articles?{select}&{filter}")).await;
            assert_eq!(read.json(), expected, "{filter}");
        }
    }
}
