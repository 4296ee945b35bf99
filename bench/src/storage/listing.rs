//! Listing a folder of a bucket of a million objects, by each way to list.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use serde_json::json;
use storage::sigv4::{Signer, presign};

use super::alone::{ACCESS_KEY, ACCESS_SECRET, Alone};
use crate::Arguments;
use crate::backend::Backend;
use crate::load::Http;
use crate::table::{head, line, median, note};

/// A thousand folders of a thousand objects. Triggers that keep the folders are left out for the million, their work done
/// in two statements.
const FILL: &str = "set session_replication_role = replica;
    insert into storage.objects (bucket_id, name, version, level, metadata)
      select 'million', format('folder-%s/object-%s', lpad(f::text, 4, '0'), lpad(o::text, 4, '0')),
             gen_random_uuid()::text, 2, '{\"size\": 1024, \"mimetype\": \"text/plain\", \"eTag\": \"\\\"e\\\"\"}'
        from generate_series(1, 1000) f, generate_series(1, 1000) o;
    insert into storage.prefixes (bucket_id, name)
      select 'million', format('folder-%s', lpad(f::text, 4, '0')) from generate_series(1, 1000) f;
    reset session_replication_role;
    create policy everyone on storage.objects to authenticated using (bucket_id = 'million');
    analyze storage.objects; analyze storage.prefixes;";

/// Requests of one run.
const TURNS: usize = 20;

pub(super) async fn measure(
    arguments: &Arguments,
    backend: &Backend,
    ours: &Alone,
    original: Option<&Alone>,
) -> Result<()> {
    ours.create_bucket("million").await?;
    backend.connect("supabase_admin").await?.simple_query(FILL).await?;
    let user = ours.asked_by(signed_in(backend).await?);
    let mut sides = vec![("service role", ours), ("signed in, by a policy", &user)];
    if let Some(original) = original {
        original.create_bucket("million").await?;
        let mut connection = backend.connect_to("supabase_admin", "original").await?;
        connection.simple_query(FILL).await?;
        sides.push(("the original, service role", original));
    }
    head("Listing in a bucket of 1,000,000 objects; limit: 20 ms");
    for (what, kind) in [("a folder of 1,000", Some("folder-0500")), ("the root of 1,000 folders", None)] {
        for (name, side) in &sides {
            let folder = kind.unwrap_or_default();
            let prefix = kind.map(|folder| format!("{folder}/")).unwrap_or_default();
            let v1 = json!({"prefix": folder, "limit": 100, "sortBy": {"column": "name", "order": "asc"}});
            let v2 = json!({"prefix": prefix, "limit": 100, "with_delimiter": true});
            let mut by_time = v2.clone();
            by_time["sortBy"] = json!({"column": "created_at", "order": "desc"});
            let ours = !name.contains("original");
            for (way, request) in [
                ("list", side.json("POST", "/object/list/million", &v1)),
                ("list-v2", side.json("POST", "/object/list-v2/million", &v2)),
                ("list-v2 by time", side.json("POST", "/object/list-v2/million", &by_time)),
                ("S3", listed_by_s3(side.address, &prefix)),
            ] {
                // A signature is the service's own, not a user's.
                if way == "S3" && name.contains("policy") {
                    continue;
                }
                let mut times = Vec::new();
                for _ in 0..arguments.runs {
                    times.push(one(side.address, &request).await?);
                }
                let name = format!("{way}, {what}, {name}");
                if ours {
                    line(&name, median(&times), 20.0, "ms", "< 1");
                } else {
                    note(&name, median(&times), "ms");
                }
            }
        }
    }
    Ok(())
}

/// Milliseconds of one request, the median of several.
async fn one(address: SocketAddr, request: &[u8]) -> Result<f64> {
    let mut http = Http::connect(address).await?;
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let began = Instant::now();
        let answer = http.request(request).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        ensure!(
            answer.body.len() > 1000,
            "a listing came back short: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(median(&times))
}

fn listed_by_s3(address: SocketAddr, prefix: &str) -> Vec<u8> {
    let signer = Signer {
        access_key: ACCESS_KEY.to_owned(),
        secret: ACCESS_SECRET.to_owned(),
        session_token: None,
        region: "local".to_owned(),
    };
    let pairs = [("list-type", "2"), ("delimiter", "/"), ("max-keys", "100"), ("prefix", prefix)];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let query = presign(&signer, "GET", &address.to_string(), "/s3/million", &pairs, 3600, Utc::now());
    format!("GET /s3/million?{query} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}

/// The token of somebody who has just signed up.
async fn signed_in(backend: &Backend) -> Result<String> {
    let api_key = backend.status()?["ANON_KEY"].as_str().context("ANON_KEY")?.to_owned();
    let body = json!({"email": "bench@example.com", "password": "correct horse battery"}).to_string();
    let request = format!(
        "POST /auth/v1/signup HTTP/1.1\r\nhost: {}\r\napikey: {api_key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        backend.address,
        body.len()
    );
    let answer = Http::connect(backend.address).await?.request(request.as_bytes()).await?;
    let session: serde_json::Value = serde_json::from_slice(&answer.body)?;
    Ok(session["access_token"].as_str().context("a session")?.to_owned())
}
