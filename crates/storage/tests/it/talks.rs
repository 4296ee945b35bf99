//! Conversations: requests one after the other, and the whole answer to each.
//!
//! The files in `talks/` were had with the original, too; where an answer of ours differs, `docs/differences.md` says so.
//! `TALKS=write` puts the answers of today into the files.
//!
//! A file is a list of talks: `=== its name`, lines that prepare the database (`sql: …`), then turns. A turn is `>>> METHOD
//! path`, headers, an empty line, a body; then `<<< status`, the headers that clients read, an empty line, the body. Lines
//! like headers that are none: `as:` who asks (`service`, `anon`, `anna`, `bert`, `expired`, `s3`), `keep:` a value of the
//! answer under a name (`{{name}}` later on; a member of JSON, `@header` or `<Tag>`), `lines: crlf`, `size:` a body of so
//! many bytes. What differs from run to run is written as `<uuid>`, `<time>`, `<date>`, `<token>`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use http::HeaderMap;
use serde_json::{Value, json};
use storage::Config;
use storage::sigv4::Signer;

use crate::service::{ANNA, Answer, BERT, Service, config};

const SHOWN: [&str; 29] = [
    "content-type",
    "content-length",
    "cache-control",
    "etag",
    "last-modified",
    "content-range",
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "location",
    "upload-offset",
    "upload-length",
    "upload-defer-length",
    "upload-expires",
    "upload-metadata",
    "tus-resumable",
    "tus-version",
    "tus-extension",
    "tus-max-size",
    "tus-complete",
    "x-amz-bucket-region",
    "x-amz-meta-color",
    "x-amz-missing-meta",
    "x-amz-mp-parts-count",
    "x-transformations",
    "allow",
    "access-control-allow-origin",
];

#[derive(Default)]
struct Talk {
    name: String,
    prepare: Vec<String>,
    turns: Vec<Turn>,
}

#[derive(Default)]
struct Turn {
    method: String,
    path: String,
    head: Vec<(String, String)>,
    body: Option<Vec<String>>,
    answer: Vec<String>,
}

fn read(text: &str) -> Vec<Talk> {
    let mut talks: Vec<Talk> = Vec::new();
    let mut part = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            talks.push(Talk { name: name.to_owned(), ..Talk::default() });
            part = "prepare";
            continue;
        }
        let talk = talks.last_mut().unwrap();
        if let Some(request) = line.strip_prefix(">>> ") {
            let (method, path) = request.split_once(' ').unwrap();
            talk.turns.push(Turn { method: method.into(), path: path.into(), ..Turn::default() });
            part = "head";
            continue;
        }
        if line.starts_with("<<< ") {
            part = "answer";
        }
        if part == "prepare" {
            talk.prepare.push(line.to_owned());
            continue;
        }
        let turn = talk.turns.last_mut().unwrap();
        match part {
            "head" if line.is_empty() => {
                turn.body = Some(Vec::new());
                part = "body";
            }
            "head" => {
                let (name, value) = line.split_once(':').unwrap();
                turn.head.push((name.to_owned(), value.trim().to_owned()));
            }
            "body" => turn.body.get_or_insert_default().push(line.to_owned()),
            _ => turn.answer.push(line.to_owned()),
        }
    }
    for turn in talks.iter_mut().flat_map(|talk| &mut talk.turns) {
        let lines = turn.body.get_or_insert_default();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        while turn.answer.last().is_some_and(String::is_empty) {
            turn.answer.pop();
        }
        turn.body = turn.body.take().filter(|lines| !lines.is_empty());
    }
    talks
}

fn written(talks: &[Talk]) -> String {
    let mut lines = Vec::new();
    for talk in talks {
        lines.push(format!("=== {}", talk.name));
        lines.extend(talk.prepare.iter().cloned());
        for turn in &talk.turns {
            lines.push(format!(">>> {} {}", turn.method, turn.path));
            lines.extend(
                turn.head.iter().map(|(name, value)| format!("{name}: {value}").trim_end().to_owned()),
            );
            if let Some(body) = &turn.body {
                lines.push(String::new());
                lines.extend(body.iter().cloned());
            }
            lines.push(String::new());
            lines.extend(turn.answer.iter().cloned());
            lines.push(String::new());
        }
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

fn filled(text: &str, kept: &HashMap<String, String>) -> String {
    kept.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

async fn ask(service: &Service, turn: &Turn, kept: &mut HashMap<String, String>) -> Vec<String> {
    let path = filled(&turn.path, kept);
    let mut request = service.request(&turn.method, &path);
    let (mut headers, mut keeps) = (HeaderMap::new(), Vec::new());
    let (mut who, mut line_end, mut size) = (String::new(), "\n", None);
    for (name, value) in &turn.head {
        let value = filled(value, kept);
        match name.as_str() {
            "as" => who = value,
            "lines" => line_end = "\r\n",
            "size" => size = value.parse::<usize>().ok(),
            "keep" => keeps.push(value),
            _ => {
                headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
                request = request.header(name, &value);
            }
        }
    }
    let token = |claims: Value| service.sign(claims);
    request = match who.as_str() {
        "" => request,
        "s3" => signed(request, &turn.method, &path, headers),
        "service" => request.admin(service),
        "anon" => request.anon(service),
        "anna" => request.bearer(service.user(ANNA)),
        "bert" => request.bearer(service.user(BERT)),
        "expired" => request.bearer(token(json!({ "role": "authenticated", "exp": 1 }))),
        other => panic!("who is {other}?"),
    };
    let body = match (size, &turn.body) {
        (Some(size), _) => "x".repeat(size),
        (None, Some(lines)) => filled(&lines.join(line_end), kept),
        (None, None) => String::new(),
    };
    if body.is_empty() && !matches!(turn.method.as_str(), "POST" | "PUT" | "PATCH") {
        request = request.bare();
    }
    let answer = request.body(body).send().await;
    for keep in keeps {
        let (name, from) = keep.split_once(' ').unwrap();
        kept.insert(name.to_owned(), found(&answer, from));
    }
    shown(service, &turn.method, &answer)
}

fn signed(
    mut request: crate::service::Request,
    method: &str,
    path: &str,
    mut headers: HeaderMap,
) -> crate::service::Request {
    let signer = Signer {
        access_key: "access-key".into(),
        secret: "access-secret".into(),
        session_token: None,
        region: "local".into(),
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = storage::sigv4::decode_query(query);
    let own: Vec<_> = headers.keys().cloned().collect();
    signer.sign(method, "storage", path, &query, &mut headers, "UNSIGNED-PAYLOAD", Utc::now());
    for (name, value) in &headers {
        if !own.contains(name) {
            request = request.header(name.as_str(), value.to_str().unwrap());
        }
    }
    request
}

fn found(answer: &Answer, from: &str) -> String {
    if let Some(name) = from.strip_prefix('@') {
        let value = answer.header(name);
        return value.strip_prefix("http://storage").unwrap_or(value).to_owned();
    }
    let text = answer.text();
    if from.starts_with('<') {
        let rest = text.split_once(from).map_or("", |(_, rest)| rest);
        return rest.split('<').next().unwrap_or_default().to_owned();
    }
    answer.json()[from].as_str().unwrap_or_default().to_owned()
}

fn shown(service: &Service, method: &str, answer: &Answer) -> Vec<String> {
    let mut lines = vec![format!("<<< {}", answer.status)];
    for name in SHOWN {
        if let Some(value) = answer.headers.get(name).filter(|_| name != "content-length" || method == "HEAD")
        {
            lines.push(format!("{name}: {}", plain(service, value)).trim_end().to_owned());
        }
    }
    let text = answer.text();
    if !text.is_empty() {
        lines.push(String::new());
        let text = if answer.header("content-type").contains("json") {
            let mut value = answer.json();
            sort(&mut value);
            serde_json::to_string_pretty(&value).unwrap()
        } else if text.starts_with('<') {
            text.replace("&quot;", "\"").replace("><", ">\n<")
        } else {
            text
        };
        lines.extend(plain(service, &text).lines().map(|line| line.trim_end().to_owned()));
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Members in the order of their names, whatever the order of the map is.
fn sort(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<_> = std::mem::take(members).into_iter().collect();
            pairs.sort_by(|one, other| one.0.cmp(&other.0));
            for (name, mut value) in pairs {
                sort(&mut value);
                members.insert(name, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

/// Text without what differs from run to run.
fn plain(service: &Service, text: &str) -> String {
    let text =
        text.replace(&service.address.to_string(), "storage").replace(ANNA, "<anna>").replace(BERT, "<bert>");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let boundary = !out.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
        let word = |allowed: fn(char) -> bool| rest.find(|c| !allowed(c)).unwrap_or(rest.len());
        let pieces: [(&str, usize, bool); 4] = [
            ("<token>", word(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), rest.starts_with("eyJ")),
            ("<uuid>", 36, is_uuid(rest)),
            ("<time>", word(|c| c.is_ascii_digit() || "-:.TZ".contains(c)), is_time(rest)),
            ("<date>", 29, is_date(rest)),
        ];
        match pieces.into_iter().find(|(_, _, fits)| *fits && boundary) {
            Some((name, length, _)) => {
                out.push_str(name);
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    for (tag, end) in [
        ("/upload/resumable/sign/", ""),
        ("/upload/resumable/", "sign/"),
        ("<UploadId>", "<"),
        ("<NextContinuationToken>", "<"),
        ("<ContinuationToken>", "<"),
        ("<RequestId>", "<"),
        ("\"nextCursor\": \"", "\""),
    ] {
        out = opaque(&out, tag, end);
    }
    out
}

/// Hides what follows a tag.
fn opaque(text: &str, tag: &str, not: &str) -> String {
    let mut parts = text.split(tag);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_-=+/:.<>".contains(c)) || c == '<')
            .unwrap_or(part.len());
        out.push_str(tag);
        if end == 0 || (not == "sign/" && part.starts_with("sign/")) {
            out.push_str(part);
        } else {
            out.push_str("(opaque)");
            out.push_str(&part[end..]);
        }
    }
    out
}

fn is_uuid(text: &str) -> bool {
    text.get(..36).is_some_and(|text| uuid::Uuid::try_parse(text).is_ok())
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 19
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[10] == b'T'
        && bytes[..4].iter().all(u8::is_ascii_digit)
}

fn is_date(text: &str) -> bool {
    text.get(..29).is_some_and(|text| text.ends_with("GMT") && text.as_bytes()[3] == b',')
}

async fn talk(file: &Path, write: bool) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut talks = read(&text);
    let mut wrong = Vec::new();
    for talk in &mut talks {
        let settings = config();
        let service = Service::start_with(Config {
            upload_url_lifetime: std::time::Duration::from_secs(60),
            s3: storage::config::S3 {
                region: "local".into(),
                access_key: Some(("access-key".into(), "access-secret".into())),
                ..settings.s3.clone()
            },
            ..settings
        })
        .await;
        for line in &talk.prepare {
            service.sql(line.strip_prefix("sql: ").unwrap()).await;
        }
        let mut kept = HashMap::new();
        for turn in &mut talk.turns {
            let answer = ask(&service, turn, &mut kept).await;
            if answer != turn.answer {
                let (before, now) = (turn.answer.join("\n"), answer.join("\n"));
                wrong.push(format!(
                    "{}: {} {}\n--- wanted\n{before}\n--- got\n{now}",
                    talk.name, turn.method, turn.path
                ));
                turn.answer = answer;
            }
        }
    }
    if write {
        std::fs::write(file, written(&talks)).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[rstest::rstest]
#[case::buckets("buckets")]
#[case::uploads("uploads")]
#[case::reads("reads")]
#[case::changes("changes")]
#[case::lists("lists")]
#[case::signed("signed")]
#[case::resumable("resumable")]
#[case::s3("s3")]
#[tokio::test]
async fn talks_go_as_they_did(#[case] name: &str) {
    let file = PathBuf::from(format!("tests/it/talks/{name}.txt"));
    talk(&file, std::env::var("TALKS").is_ok_and(|value| value == "write")).await;
}
