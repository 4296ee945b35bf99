#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> ConnectConfig {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    text.parse::<ConnectConfig>().unwrap_err().to_string()
}

#[test]
fn a_url_names_user_password_host_port_database_and_parameters() {
    let config = parse(
        "postgresql://postgres.abc:p%40ss%3Aword@db.example.com:6543/app?sslmode=require&application_name=x%20y&connect_timeout=3",
    );
    assert_eq!(config.user(), "postgres.abc");
    assert_eq!(config.password(), Some("p@ss:word"));
    assert_eq!(config.database(), "app");
    assert_eq!(config.hosts(), [Host::Tcp { name: "db.example.com".into(), address: None, port: 6543 }]);
    assert_eq!(config.ssl_mode(), SslMode::Require);
    assert_eq!(config.application_name.as_deref(), Some("x y"));
    assert_eq!(config.connect_timeout, Duration::from_secs(3));
}

#[test]
fn several_hosts_keep_their_ports_and_order() {
    let expected = [
        Host::Tcp { name: "a".into(), address: None, port: 1 },
        Host::Tcp { name: "::1".into(), address: None, port: 5432 },
        Host::Unix { folder: "/run/pg".into(), port: 3 },
    ];
    assert_eq!(parse("postgres://u@a:1,[::1],%2Frun%2Fpg:3/db").hosts(), expected);
    assert_eq!(parse("host=a,::1,/run/pg port=1,,3 user=u").hosts(), expected);
    assert_eq!(refusal("host=a,b port=1,2,3"), "2 hosts but 3 ports");
}

#[test]
fn an_address_is_dialled_and_the_name_is_verified() {
    let config = parse("host=db.example.com hostaddr=10.0.0.7 user=u");
    let address = Some("10.0.0.7".parse().unwrap());
    assert_eq!(config.hosts(), [Host::Tcp { name: "db.example.com".into(), address, port: 5432 }]);
}

#[test]
fn the_keyword_form_quotes_and_escapes() {
    let config = parse(r"user = 'it\'s me' password=a\ b\\c dbname='' host=h");
    assert_eq!((config.user(), config.password(), config.database()), ("it's me", Some(r"a b\c"), "it's me"));
}

#[test]
fn a_zero_byte_is_refused_in_both_forms() {
    for text in ["user=a\0database\0b", "setting.x=\0", "postgres://a\0@h/db"] {
        let error = ConnectConfig::parse_with(text, |_| None).unwrap_err();
        assert_eq!(error.to_string(), "the connection string contains a zero byte");
    }
}

#[test]
fn a_raw_at_sign_in_a_password_is_forgiven() {
    assert_eq!(parse("postgres://u:p@ss@h/db").password(), Some("p@ss"));
}

#[test]
fn mistakes_are_named() {
    for (text, message) in [
        ("mysql://u@h/db", "a connection URL begins with postgresql://, not with mysql://"),
        ("host=h colour=red", "unknown connection parameter \"colour\""),
        ("host", "missing \"=\" after \"host\" in the connection string"),
        ("host=h password='open", "unterminated quoted string in the connection string"),
        (
            "postgres://u@h:port/db",
            "invalid port \"port\" in the connection URL (special characters of a password must be percent-encoded)",
        ),
        ("postgres://u@h:0/db", "invalid port \"0\""),
        ("postgres://u:%zz@h/db", "invalid percent-encoding in the connection URL"),
        ("postgres://u@[::1/db", "missing \"]\" in \"[::1\" of the connection URL"),
        ("host=h sslmode=maybe", "invalid value \"maybe\" for connection parameter \"sslmode\""),
        (
            "host=h sslrootcert=system sslmode=require",
            "sslrootcert=system needs sslmode=verify-full, not require",
        ),
        ("host=h sslcert=a", "sslcert and sslkey must be given together"),
        ("host=h sslnegotiation=direct", "sslnegotiation=direct needs sslmode=require or stronger"),
        ("host=h client_encoding=LATIN1", "client_encoding must be UTF8, not LATIN1"),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn parameters_of_other_drivers_are_accepted() {
    let config = parse("postgres://u@h:6543/db?pgbouncer=true&connection_limit=1&schema=public");
    assert!(config.names_transaction_pooler());
    assert_eq!(parse("postgres://u@h/db?ssl=true").ssl_mode(), SslMode::Require);
}

#[test]
fn the_environment_fills_what_the_string_leaves_out() {
    let lookup = |name: &str| {
        let value = match name {
            "PGHOST" => "envhost",
            "PGPORT" => "99",
            "PGUSER" => "envuser",
            "PGPASSWORD" => "envpw",
            "PGSSLMODE" => "disable",
            "PGTZ" => "UTC",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = ConnectConfig::parse_with("dbname=d", lookup).unwrap();
    assert_eq!(config.hosts(), [Host::Tcp { name: "envhost".into(), address: None, port: 99 }]);
    assert_eq!(
        (config.user(), config.password(), config.ssl_mode()),
        ("envuser", Some("envpw"), SslMode::Disable)
    );
    assert_eq!(config.settings, [("timezone".to_owned(), "UTC".to_owned())]);
    let config = ConnectConfig::parse_with("postgres://me:mine@here/d?sslmode=require", lookup).unwrap();
    assert_eq!((config.user(), config.password(), config.ssl_mode()), ("me", Some("mine"), SslMode::Require));
    assert!(matches!(&config.hosts()[0], Host::Tcp { name, .. } if name == "here"));
}

#[test]
fn a_password_file_is_read_when_only_its_owner_can() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgpass");
    std::fs::write(&path, "# comment\nother:*:*:*:no\nh:5432:d\\:b:u:se\\:cret:x\n*:*:*:*:any\n").unwrap();
    let read =
        |text: &str| parse(&format!("{text} passfile={}", path.display())).password().map(str::to_owned);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read("host=h user=u dbname=d:b"), None);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read("host=h user=u dbname=d:b").as_deref(), Some("se:cret:x"));
    assert_eq!(read("host=h user=v dbname=d").as_deref(), Some("any"));
    assert_eq!(read("host=h user=v dbname=d password=own").as_deref(), Some("own"));
}

#[test]
fn keepalives_are_taken_and_written_back() {
    let text = "postgresql://u@h:5432?keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=1500";
    let config = parse(text);
    let expected = Keepalive {
        on: true,
        idle: Duration::from_secs(5),
        interval: Some(Duration::from_secs(2)),
        count: Some(3),
        unacknowledged: Some(Duration::from_millis(1500)),
    };
    assert_eq!(config.keepalive, expected);
    assert_eq!(config.to_url(), text);
    assert!(!parse("host=h keepalives=0").keepalive.on);
}

#[test]
fn a_service_is_looked_up_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services");
    std::fs::write(
        &file,
        "[other]\nhost=no\n\n# mine\n[mine]\nhost = there\nport=7\nuser=me\n[last]\nuser=no\n",
    )
    .unwrap();
    let lookup = |name: &str| match name {
        "PGSERVICEFILE" => Some(file.display().to_string()),
        "PGUSER" => Some("env".to_owned()),
        _ => None,
    };
    let config = ConnectConfig::parse_with("service=mine port=8", lookup).unwrap();
    assert_eq!(config.hosts(), [Host::Tcp { name: "there".into(), address: None, port: 8 }]);
    assert_eq!(config.user(), "me");
    let error = ConnectConfig::parse_with("service=none", lookup).unwrap_err();
    assert_eq!(error.to_string(), "definition of service \"none\" not found");
}

#[test]
fn the_password_is_never_displayed() {
    let config = parse("postgres://u:s3cret@h/db");
    assert_eq!(config.to_string(), "postgresql://u:***@h:5432/db");
    assert_eq!(format!("{config:?}"), "postgresql://u:***@h:5432/db");
    assert_eq!(config.to_url(), "postgresql://u:s3cret@h:5432/db");
}

#[test]
fn another_user_keeps_the_database() {
    let config = ConnectConfig::unix("/run", 5432, "first").with_user("second");
    assert_eq!((config.user(), config.database()), ("second", "first"));
}

fn text() -> impl Strategy<Value = String> {
    "[^\0]{1,12}"
        .prop_filter("libpq trims nothing, an empty value is no value", |text| !text.trim().is_empty())
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        ("[a-z][a-z0-9.-]{0,12}", 1..=u16::MAX).prop_map(|(name, port)| Host::Tcp {
            name,
            address: None,
            port
        }),
        any::<(std::net::Ipv6Addr, u16)>().prop_map(|(address, port)| Host::Tcp {
            name: address.to_string(),
            address: None,
            port: port.max(1)
        }),
        ("/[a-z/ %]{0,12}[a-z]", 1..=u16::MAX)
            .prop_map(|(folder, port)| Host::Unix { folder: PathBuf::from(folder), port }),
    ]
}

proptest! {
    #[test]
    fn a_rendered_url_parses_to_the_same(
        hosts in prop::collection::vec(host(), 1..4),
        user in text(),
        password in prop::option::of(text()),
        database in prop::option::of(text()),
        application in prop::option::of(text()),
        options in prop::option::of(text()),
        setting in prop::option::of(("[a-z_.]{1,9}", text())),
        mode in prop::sample::select(vec![SslMode::Disable, SslMode::Prefer, SslMode::Require, SslMode::VerifyFull]),
    ) {
        let mut config = ConnectConfig::new(hosts[0].clone(), &user).with_ssl_mode(mode);
        config.hosts = hosts;
        config.password = password;
        config.database = database;
        config.application_name = application;
        config.options = options;
        config.settings.extend(setting);
        prop_assert_eq!(config.to_url().parse::<ConnectConfig>().map(|parsed| parsed.to_url()), Ok(config.to_url()));
        prop_assert_eq!(config.to_url().parse::<ConnectConfig>(), Ok(config));
    }

    #[test]
    fn a_quoted_keyword_value_comes_back(user in text(), password in text()) {
        let quote = |text: &str| format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"));
        let config = parse(&format!("host=h user={} password={}", quote(&user), quote(&password)));
        prop_assert_eq!(config.user(), user);
        prop_assert_eq!(config.password(), Some(password.as_str()));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), tail in any::<String>()) {
        let _ = text.parse::<ConnectConfig>();
        let _ = format!("postgres://{tail}").parse::<ConnectConfig>();
        let _ = format!("host={tail}").parse::<ConnectConfig>();
    }
}
