//! Whole sequences of requests with what is answered to each: `sequences/*.txt`.
//!
//! ```text
//! POST /signup {"email":"ann@example.com"}    a request, a body behind it
//! 400 {"code":"validation_failed", …}         its answer
//! keep t=access_token u=user.id               what later lines call $t and $u
//! GET /user as t                              with a kept token, or that of an administrator
//! ~POST /x                                    an answer of which only the status is the same each time
//! ```
//!
//! Each was compared with GoTrue 2.180.0 beside us. `UPDATE_SEQUENCES=1` writes the answers anew.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::service::{Answer, Service, config, redact};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Plays a sequence; the same text with the answers that came.
async fn play(service: &Service, text: &str) -> String {
    let mut kept = HashMap::from([("admin".to_owned(), service.admin())]);
    let mut last: Option<Answer> = None;
    let mut played = String::new();
    for line in text.lines() {
        if line.starts_with(|char: char| char.is_ascii_digit()) {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        let (hidden, request) = match line.strip_prefix('~') {
            Some(request) => (true, request),
            None => (false, line),
        };
        if let Some(names) = line.strip_prefix("keep ") {
            let answer = last.as_ref().unwrap().json();
            for pair in names.split(' ') {
                let (name, path) = pair.split_once('=').unwrap();
                let found = answer.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str);
                kept.insert(name.to_owned(), found.unwrap_or_default().to_owned());
            }
        } else if METHODS.iter().any(|method| request.starts_with(&format!("{method} "))) {
            let answer = send(service, request, &kept).await;
            played.push_str(&shown(&answer, hidden));
            played.push('\n');
            last = Some(answer);
        }
    }
    played
}

async fn send(service: &Service, line: &str, kept: &HashMap<String, String>) -> Answer {
    let mut line = line.to_owned();
    for (name, value) in kept {
        line = line.replace(&format!("${name}\""), &format!("{value}\""));
        line = line.replace(&format!("/${name}"), &format!("/{value}"));
    }
    let (method, rest) = line.split_once(' ').unwrap();
    let (path, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (token, body) = match rest.strip_prefix("as ") {
        Some(rest) => rest.split_once(' ').map_or((Some(rest), ""), |(token, body)| (Some(token), body)),
        None => (None, rest),
    };
    let request = service.request(method, path).newer().body(body.to_owned());
    match token {
        Some(token) => request.bearer(kept.get(token).map_or(token, String::as_str)).send().await,
        None => request.send().await,
    }
}

fn shown(answer: &Answer, hidden: bool) -> String {
    if hidden {
        return answer.status.to_string();
    }
    let place = answer.headers.get("location").map(|place| format!(" to {place}")).unwrap_or_default();
    // Pages behind redirects repeat the address.
    let body = if place.is_empty() { redact(&answer.body).replace('\n', " ") } else { String::new() };
    format!("{}{place} {}", answer.status, body.trim_end()).trim_end().to_owned()
}

#[tokio::test]
async fn accounts_from_their_beginning_to_their_end() {
    let path = Path::new("tests/it/sequences/accounts.txt");
    let expected = std::fs::read_to_string(path).unwrap();
    let mut config = config();
    config.smtp.max_frequency = std::time::Duration::from_secs(60);
    let service = Service::start_with(config).await;
    let played = play(&service, &expected).await;
    if std::env::var_os("UPDATE_SEQUENCES").is_some() {
        std::fs::write(path, &played).unwrap();
        return;
    }
    for (number, (ours, theirs)) in played.lines().zip(expected.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", number + 1);
    }
    assert_eq!(played.lines().count(), expected.lines().count());
}
