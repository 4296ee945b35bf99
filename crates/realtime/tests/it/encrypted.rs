//! A database that takes nothing but TLS from outside, reached as `serve` reaches it.

use std::net::Ipv4Addr;
use std::path::Path;

use database::{ConnectConfig, Connection};
use realtime::{Config, Environment};
use testkit::{Cluster, PASSWORD, SUPERUSER, Server};

use crate::service::{SECRET, http, node_on, sign};

type Issuer = rcgen::Issuer<'static, rcgen::KeyPair>;

/// A certificate authority of our own, its certificate at `path`.
fn authority(path: &Path) -> Issuer {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, path.display().to_string());
    std::fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
    rcgen::Issuer::new(params, key)
}

/// PostgreSQL 15 with a certificate of `issuer` for `name`, else for its address.
async fn database(issuer: &Issuer, name: Option<&str>) -> (Cluster, Ipv4Addr) {
    // Everything under 127 is this machine; its usual address may be taken.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, if name.is_some() { 71 } else { 72 }, high, low);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec![name.map_or_else(|| address.to_string(), str::to_owned)];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, issuer).unwrap();
    let mut cluster = Cluster::bootstrapped(Server::Debian15).await;
    cluster.encrypt(address, &certificate.pem(), &key.serialize_pem()).await;
    (cluster, address)
}

/// What the service says about its health under these variables, or why it does not come so far.
async fn health(database: Ipv4Addr, variables: &[(&str, &str)]) -> Result<String, String> {
    let host = database.to_string();
    let own = [("DB_HOST", host.as_str()), ("DB_USER", SUPERUSER), ("API_JWT_SECRET", SECRET)];
    let lookup = |wanted: &str| {
        own.iter().chain(variables).find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
    };
    let environment = Environment::from_env(lookup).map_err(|error| error.to_string())?;
    let login: ConnectConfig = environment.database_url.parse().unwrap();
    Connection::connect(&login).await.map_err(|error| error.to_string())?;
    let roles = |user: &str| login.clone().with_user(user).with_password(Some(PASSWORD));
    let (realtime, address, ring) = node_on(&roles, Config::default()).await;
    let bearer = format!("Bearer {}", sign(&ring, "service_role", 60, serde_json::json!({})));
    let headers = [("authorization", bearer.as_str())];
    let (status, body) = http(address, "GET", "/api/tenants/realtime-dev/health", &headers, b"").await;
    realtime.stop().await;
    assert_eq!(status, 200, "{body}");
    Ok(body)
}

#[tokio::test]
async fn a_database_is_believed_under_the_named_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ours, other, none) = (path("our authority.crt"), path("other.crt"), path("none.crt"));
    let issuer = authority(ours.as_ref());
    authority(other.as_ref());
    let (_cluster, address) = database(&issuer, None).await;
    for trusted in [&[("DB_SSL", "true"), ("DB_SSL_CA_CERT", ours.as_str())][..], &[("DB_SSL", "1")]] {
        let body = health(address, trusted).await.unwrap();
        assert!(body.contains("\"db_connected\":true"), "{body}");
    }
    for (authority, reason) in [(&other, "UnknownIssuer"), (&none, "cannot read")] {
        let error = health(address, &[("DB_SSL", "true"), ("DB_SSL_CA_CERT", authority)]).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    let error = health(address, &[("DB_SSL", "perhaps")]).await.unwrap_err();
    assert_eq!(error, "DB_SSL must be true or false");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("authority.crt");
    let issuer = authority(&ours);
    let (_cluster, address) = database(&issuer, Some("database.test")).await;
    let variables = [("DB_SSL", "true"), ("DB_SSL_CA_CERT", ours.to_str().unwrap())];
    let error = health(address, &variables).await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
}
