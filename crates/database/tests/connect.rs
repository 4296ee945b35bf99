//! Opening connections: ways to sign in, TLS, several hosts, cancelling.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use database::{ChannelBinding, ConnectConfig, Connection, Error, Host, SslMode, SslRoots, TargetSession};
use support::{Cluster, PASSWORD, pipe_as_postgres};

/// A server whose rules ask every user for another way to sign in, with TLS.
struct Guarded {
    cluster: Cluster,
    authority: PathBuf,
    other_authority: PathBuf,
}

const RULES: &str = "\
local all all trust
host all u_trust 127.0.0.1/32 trust
host all u_password 127.0.0.1/32 password
host all u_md5 127.0.0.1/32 md5
host all u_scram 127.0.0.1/32 scram-sha-256
hostssl all u_tls_only 127.0.0.1/32 scram-sha-256
hostnossl all u_plain_only 127.0.0.1/32 scram-sha-256
hostssl all u_cert 127.0.0.1/32 cert
";

/// The same on both servers, each started once.
fn guarded_servers() -> Vec<&'static Guarded> {
    static DEBIAN: OnceLock<Option<Guarded>> = OnceLock::new();
    static EMBEDDED: OnceLock<Option<Guarded>> = OnceLock::new();
    let debian = DEBIAN.get_or_init(|| support::debian().map(|bin| start_guarded(&bin)));
    let embedded = EMBEDDED.get_or_init(|| support::embedded().map(|bin| start_guarded(&bin)));
    [debian, embedded].into_iter().flatten().collect()
}

fn start_guarded(bin: &Path) -> Guarded {
    let mut cluster = Cluster::start(bin, &[], RULES);
    let folder = cluster.folder.clone();
    let (authority, issuer) = make_authority(&folder, "authority");
    let (other_authority, _) = make_authority(&folder, "other");
    let (certificate, key) = issue(&issuer, &["localhost"], None);
    let data = folder.join("data");
    for (name, text) in [("server.crt", &certificate), ("server.key", &key)] {
        let path = data.join(name);
        pipe_as_postgres(&format!("umask 077; cat > '{}'", path.display()), text.as_bytes());
    }
    std::fs::write(folder.join("pinned.crt"), certificate).unwrap();
    let (certificate, key) = issue(&issuer, &[], Some("u_cert"));
    std::fs::write(folder.join("client.crt"), certificate).unwrap();
    std::fs::write(folder.join("client.key"), key).unwrap();
    let settings = format!("ssl = on\nssl_ca_file = '{}'\n", authority.display());
    pipe_as_postgres(&format!("cat >> '{}'", data.join("postgresql.conf").display()), settings.as_bytes());
    cluster.restart();
    create_users(&cluster);
    support::stop_at_exit(&cluster);
    Guarded { cluster, authority, other_authority }
}

impl Guarded {
    fn as_user(&self, user: &str) -> ConnectConfig {
        self.cluster.tcp(user).with_password(Some(PASSWORD))
    }
}

fn create_users(cluster: &Cluster) {
    let config = cluster.config();
    let quoted = database::ident::quote_literal(PASSWORD);
    let sql: String = ["trust", "password", "scram", "tls_only", "plain_only", "cert"]
        .iter()
        .map(|name| format!("create role u_{name} login password {quoted};"))
        .collect();
    let sql = format!("{sql} set password_encryption = 'md5'; create role u_md5 login password {quoted};");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Connection::connect(&config).await.unwrap().simple_query(&sql).await.unwrap()
        });
    })
    .join()
    .unwrap();
}

type Issuer = rcgen::Issuer<'static, rcgen::KeyPair>;

fn make_authority(folder: &Path, name: &str) -> (PathBuf, Issuer) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&key).unwrap();
    let path = folder.join(format!("{name}.crt"));
    std::fs::write(&path, certificate.pem()).unwrap();
    (path, rcgen::Issuer::new(params, key))
}

fn issue(issuer: &Issuer, names: &[&str], common_name: Option<&str>) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    if let Some(name) = common_name {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
    }
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

async fn signs_in(config: &ConnectConfig) -> Result<bool, Error> {
    let mut connection = Connection::connect(config).await?;
    let results = connection.simple_query("select current_user").await?;
    assert_eq!(results[0].scalar(), Some(config.user()));
    Ok(connection.is_encrypted())
}

#[tokio::test]
async fn every_password_method_signs_in_and_refuses_a_wrong_password() {
    for guarded in guarded_servers() {
        for user in ["u_trust", "u_password", "u_md5", "u_scram"] {
            for mode in [SslMode::Disable, SslMode::Require] {
                let config = guarded.as_user(user).with_ssl_mode(mode);
                assert_eq!(signs_in(&config).await.unwrap(), mode == SslMode::Require, "{user}");
                if user != "u_trust" {
                    let error = signs_in(&config.clone().with_password(Some("wrong"))).await.unwrap_err();
                    assert_eq!(error.sqlstate().unwrap().as_str(), "28P01", "{user}");
                    let error = signs_in(&config.with_password(None)).await.unwrap_err();
                    assert!(matches!(error, Error::Authentication(_)), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn channel_binding_can_be_required_and_refused() {
    for guarded in guarded_servers() {
        let scram = guarded.as_user("u_scram").with_ssl_mode(SslMode::Require);
        for binding in [ChannelBinding::Disable, ChannelBinding::Prefer, ChannelBinding::Require] {
            assert!(signs_in(&scram.clone().with_channel_binding(binding)).await.unwrap());
        }
        let required = ChannelBinding::Require;
        for config in [
            scram.with_ssl_mode(SslMode::Disable),
            guarded.as_user("u_md5"),
            guarded.as_user("u_password"),
            guarded.as_user("u_trust"),
        ] {
            let error = signs_in(&config.with_channel_binding(required)).await.unwrap_err();
            assert!(error.to_string().starts_with("authentication: channel_binding=require, but"), "{error}");
        }
    }
}

#[tokio::test]
async fn each_sslmode_encrypts_when_it_should() {
    for guarded in guarded_servers() {
        use SslMode::{Allow, Disable, Prefer, Require};
        let refused = "28000";
        for (user, mode, expected) in [
            ("u_scram", Disable, Ok(false)),
            ("u_scram", Allow, Ok(false)),
            ("u_scram", Prefer, Ok(true)),
            ("u_scram", Require, Ok(true)),
            ("u_tls_only", Disable, Err(refused)),
            ("u_tls_only", Allow, Ok(true)),
            ("u_tls_only", Prefer, Ok(true)),
            ("u_plain_only", Prefer, Ok(false)),
            ("u_plain_only", Require, Err(refused)),
        ] {
            let outcome = signs_in(&guarded.as_user(user).with_ssl_mode(mode)).await;
            let outcome = outcome.as_ref().map_err(|error| error.sqlstate().unwrap().as_str());
            assert_eq!(outcome.copied(), expected, "{user} {mode:?}");
        }
    }
}

#[tokio::test]
async fn certificates_are_verified_as_far_as_the_mode_says() {
    for guarded in guarded_servers() {
        let base = guarded.as_user("u_scram");
        let Host::Tcp { port, .. } = base.hosts()[0] else { unreachable!() };
        let by_address: ConnectConfig =
            format!("host=127.0.0.1 port={port} dbname=postgres user=u_scram").parse().unwrap();
        let by_address = by_address.with_password(Some(PASSWORD));
        let good = SslRoots::File(guarded.authority.clone());
        let bad = SslRoots::File(guarded.other_authority.clone());
        use SslMode::{Require, VerifyCa, VerifyFull};
        for (config, mode, roots, works) in [
            (&base, VerifyFull, &good, true),
            (&base, VerifyCa, &good, true),
            (&base, Require, &good, true),
            (&base, VerifyFull, &bad, false),
            (&base, VerifyCa, &bad, false),
            (&base, Require, &bad, false),
            (&by_address, VerifyCa, &good, true),
            (&by_address, VerifyFull, &good, false),
            (&base, VerifyFull, &SslRoots::System, false),
        ] {
            let config = config.clone().with_ssl_mode(mode).with_ssl_roots(roots.clone());
            match signs_in(&config).await {
                Ok(encrypted) => assert!(works && encrypted, "{config}"),
                Err(error) => assert!(!works && matches!(error, Error::Tls(_)), "{config}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_servers_own_certificate_serves_as_its_root() {
    for guarded in guarded_servers() {
        // What `openssl req -x509` makes: self-signed, and an authority by its own word.
        let copy = guarded.cluster.folder.join("pinned.crt");
        let config = guarded
            .as_user("u_scram")
            .with_ssl_mode(SslMode::VerifyFull)
            .with_ssl_roots(SslRoots::File(copy));
        assert!(signs_in(&config).await.unwrap());
    }
}

#[tokio::test]
async fn a_client_certificate_signs_in() {
    for guarded in guarded_servers() {
        let folder = &guarded.cluster.folder;
        let (certificate, key) = (folder.join("client.crt"), folder.join("client.key"));
        let port = guarded.cluster.port;
        let text = format!(
            "host=localhost port={port} dbname=postgres user=u_cert sslmode=require sslcert={} sslkey={} \
             keepalives_idle=5 keepalives_interval=5 keepalives_count=2 tcp_user_timeout=20000",
            certificate.display(),
            key.display()
        );
        assert!(signs_in(&text.parse().unwrap()).await.unwrap());
    }
}

#[tokio::test]
async fn hosts_are_tried_in_turn_until_one_is_acceptable() {
    for guarded in guarded_servers() {
        let cluster = &guarded.cluster;
        let (folder, port) = (cluster.folder.display(), cluster.port);
        let text = format!(
            "host=127.0.0.1,no-such-host.invalid,{folder} port=1,{port},{port} user=postgres dbname=postgres connect_timeout=3"
        );
        let config: ConnectConfig = text.parse().unwrap();
        signs_in(&config).await.unwrap();
        for target in [TargetSession::ReadWrite, TargetSession::Primary, TargetSession::PreferStandby] {
            signs_in(&config.clone().with_target(target)).await.unwrap();
        }
        let error = signs_in(&config.with_target(TargetSession::Standby)).await.unwrap_err().to_string();
        assert!(
            error.contains("127.0.0.1:1: ") && error.contains("cannot resolve \"no-such-host.invalid\""),
            "{error}"
        );
        assert!(error.contains("the server is no standby"), "{error}");
        let read_only = cluster.config().with_setting("default_transaction_read_only", "on");
        assert!(signs_in(&read_only.clone().with_target(TargetSession::ReadOnly)).await.is_ok());
        assert!(signs_in(&read_only.with_target(TargetSession::ReadWrite)).await.is_err());
    }
}

#[tokio::test]
async fn a_statement_is_cancelled_over_plain_tls_and_unix_sockets() {
    for guarded in guarded_servers() {
        for config in [
            guarded.cluster.config(),
            guarded.as_user("u_scram").with_ssl_mode(SslMode::Disable),
            guarded
                .as_user("u_scram")
                .with_ssl_mode(SslMode::VerifyFull)
                .with_ssl_roots(SslRoots::File(guarded.authority.clone())),
        ] {
            let mut connection = Connection::connect(&config).await.unwrap();
            let token = connection.cancel_token();
            let cancel = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    token.cancel().await.unwrap();
                }
            };
            // Again and again: a request that comes before the statement has begun is lost.
            let outcome = tokio::select! {
                outcome = connection.simple_query("select pg_sleep(60)") => outcome,
                () = cancel => unreachable!(),
            };
            assert_eq!(outcome.unwrap_err().sqlstate().unwrap().as_str(), "57014");
            assert_eq!(connection.simple_query("select 1").await.unwrap()[0].scalar(), Some("1"));
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for mode in [SslMode::Disable, SslMode::Require] {
        let config = ConnectConfig::tcp("127.0.0.1", port, "x")
            .with_ssl_mode(mode)
            .with_connect_timeout(Duration::from_millis(200));
        let error = Connection::connect(&config).await.err().unwrap();
        assert!(error.to_string().contains("connecting to PostgreSQL took longer than 200ms"), "{error}");
        assert!(error.is_unavailable());
    }
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_an_error() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for answer in
        ["HTTP/1.1 400 Bad Request\r\n\r\n", "R\0\0\0\0", "E\0\0\0\x05x", "Z\x7f\u{7f}\u{7f}\u{7f}I"]
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 64];
            let _ = stream.read(&mut greeting).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
        let config = ConnectConfig::tcp("127.0.0.1", port, "x").with_ssl_mode(SslMode::Disable);
        assert!(Connection::connect(&config).await.is_err(), "{answer:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn tls_can_begin_at_once_where_the_server_knows_that() {
    for guarded in guarded_servers() {
        let port = guarded.cluster.port;
        let text = format!(
            "host=localhost port={port} dbname=postgres user=u_scram sslmode=require sslnegotiation=direct"
        );
        let config = text.parse::<ConnectConfig>().unwrap().with_password(Some(PASSWORD));
        let since_17 = guarded.cluster.connect().await.server_version() >= 170_000;
        assert_eq!(signs_in(&config).await.is_ok(), since_17);
    }
}

#[tokio::test]
async fn a_batch_larger_than_the_socket_buffers_does_not_stall_under_tls() {
    for guarded in guarded_servers() {
        let config = guarded.as_user("u_scram").with_ssl_mode(SslMode::Require);
        let mut connection = Connection::connect(&config).await.unwrap();
        let text = "z".repeat(3_000_000);
        let params = [database::Param::Text(&text)];
        let statements = [database::Statement::new("select $1::text", &params); 6];
        let run = tokio::time::timeout(Duration::from_secs(60), connection.run(&statements));
        let results = run.await.unwrap().unwrap();
        assert!(results.iter().all(|result| result.scalar().map(str::len) == Some(3_000_000)));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_place_is_said_once() {
    let error = Connection::connect(&ConnectConfig::unix("/nowhere", 5432, "x")).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "could not connect to PostgreSQL: /nowhere/.s.PGSQL.5432: No such file or directory (os error 2)"
    );
}
