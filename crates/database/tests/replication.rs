//! A slot and its stream against real servers, over a unix socket, TCP and TLS.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use database::replication::pgoutput::{Datum, Decoder, Message, OldTuple, Tuple};
use database::replication::{Lsn, ReplicationConnection, ReplicationEvent, ReplicationStream, SlotSnapshot};
use database::{ConnectConfig, Connection, Error, SslMode};
use support::{Cluster, TRUST, pipe_as_postgres};

/// Clusters with logical decoding, of both versions, with TLS.
fn clusters() -> Vec<Cluster> {
    let settings = ["wal_level=logical", "max_wal_senders=4", "max_replication_slots=4"];
    [support::debian(), support::embedded()]
        .into_iter()
        .flatten()
        .map(|bin| {
            let mut cluster = Cluster::start(&bin, &settings, TRUST);
            let data = cluster.folder.join("data");
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            for (name, text) in
                [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())]
            {
                let path = data.join(name);
                pipe_as_postgres(&format!("umask 077; cat > '{}'", path.display()), text.as_bytes());
            }
            let lines = format!("ssl = on\n{}\n", settings.map(|line| line.to_owned()).join("\n"));
            pipe_as_postgres(
                &format!("cat >> '{}'", data.join("postgresql.conf").display()),
                lines.as_bytes(),
            );
            cluster.restart();
            cluster
        })
        .collect()
}

async fn stream(config: &ConnectConfig, slot: &str) -> ReplicationStream {
    let mut connection = ReplicationConnection::connect(config).await.unwrap();
    let made = connection.create_temporary_slot(slot, "pgoutput", SlotSnapshot::Nothing).await.unwrap();
    assert_eq!((made.name.as_str(), made.snapshot.as_deref()), (slot, None));
    connection
        .start(slot, made.consistent_point, &[("proto_version", "1"), ("publication_names", "everything")])
        .await
        .unwrap()
}

async fn message(stream: &mut ReplicationStream, decoder: &mut Decoder) -> Message {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.unwrap().unwrap();
        match next.unwrap() {
            ReplicationEvent::Data { body, .. } => return decoder.decode(body).unwrap(),
            ReplicationEvent::Keepalive { .. } => {}
        }
    }
}

fn texts(values: &[Option<&'static str>]) -> Tuple {
    let value = |text: &Option<&'static str>| match text {
        Some(text) => Datum::Text(Bytes::from_static(text.as_bytes())),
        None => Datum::Null,
    };
    Tuple(values.iter().map(value).collect())
}

/// Reads one transaction: what is between its begin and its commit, relations left out.
async fn transaction(stream: &mut ReplicationStream, decoder: &mut Decoder) -> (Vec<Message>, Lsn) {
    assert!(matches!(message(stream, decoder).await, Message::Begin { .. }));
    let mut changes = Vec::new();
    loop {
        match message(stream, decoder).await {
            Message::Commit { end_lsn, .. } => return (changes, end_lsn),
            Message::Relation(relation) => assert_eq!(&*relation.name, "note"),
            change => changes.push(change),
        }
    }
}

#[tokio::test]
async fn changes_arrive_over_every_kind_of_socket() {
    for cluster in clusters() {
        let mut admin = cluster.connect().await;
        admin
            .simple_query("create table note (id int primary key, body text); create publication everything for all tables")
            .await
            .unwrap();
        let oid: u32 = admin.simple_query("select 'note'::regclass::oid").await.unwrap()[0]
            .scalar()
            .unwrap()
            .parse()
            .unwrap();

        let plain = cluster.tcp("postgres").with_ssl_mode(SslMode::Disable);
        let encrypted = cluster.tcp("postgres").with_ssl_mode(SslMode::Require);
        for (name, config) in [("unix", cluster.config()), ("tcp", plain), ("tls", encrypted)] {
            let config = config.with_database("postgres");
            let mut probe = ReplicationConnection::connect(&config).await.unwrap();
            assert_eq!(probe.is_encrypted(), name == "tls");
            let identity = probe.identify_system().await.unwrap();
            assert!(identity.flushed > Lsn(0) && identity.timeline == 1, "{identity:?}");
            drop(probe);

            let mut stream = stream(&config, "changes").await;
            let mut decoder = Decoder::new();
            admin.simple_query("insert into note values (1, 'a')").await.unwrap();
            let (changes, first_end) = transaction(&mut stream, &mut decoder).await;
            assert_eq!(changes, [Message::Insert { relation: oid, new: texts(&[Some("1"), Some("a")]) }]);

            admin
                .simple_query("begin; update note set id = 2, body = null; delete from note; commit")
                .await
                .unwrap();
            let (changes, second_end) = transaction(&mut stream, &mut decoder).await;
            let key = |id| OldTuple::Key(texts(&[Some(id), None]));
            assert_eq!(
                changes,
                [
                    Message::Update { relation: oid, old: Some(key("1")), new: texts(&[Some("2"), None]) },
                    Message::Delete { relation: oid, old: key("2") },
                ]
            );
            assert!(second_end > first_end);

            stream.confirm(second_end).await.unwrap();
            let confirmed = wait_for(
                &mut admin,
                "select confirmed_flush_lsn from pg_replication_slots",
                &second_end.to_string(),
            )
            .await;
            assert!(confirmed, "the server has not heard of {second_end}");
            drop(stream);
            assert!(wait_for(&mut admin, "select count(*) from pg_replication_slots", "0").await);
        }
    }
}

async fn wait_for(admin: &mut Connection, sql: &str, wanted: &str) -> bool {
    for _ in 0..100 {
        if admin.simple_query(sql).await.unwrap()[0].scalar() == Some(wanted) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn a_stream_lives_through_silence_and_ends_with_its_backend() {
    for cluster in clusters() {
        let mut admin = cluster.connect().await;
        admin
            .simple_query("create table note (id int primary key, body text); create publication everything for all tables")
            .await
            .unwrap();
        // The server asks for a sign of life after half of this.
        let config = cluster.config().with_database("postgres").with_setting("wal_sender_timeout", "1s");
        let mut stream = stream(&config, "changes").await;
        let mut decoder = Decoder::new();
        let begun = std::time::Instant::now();
        let mut asked = 0;
        while begun.elapsed() < Duration::from_millis(2500) {
            match tokio::time::timeout(Duration::from_millis(100), stream.next()).await {
                Ok(Ok(Some(ReplicationEvent::Keepalive { reply, .. }))) => asked += usize::from(reply),
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
        assert!(asked >= 2, "asked {asked} times");
        admin.simple_query("insert into note values (1, repeat('x', 300000))").await.unwrap();
        let (changes, _) = transaction(&mut stream, &mut decoder).await;
        assert!(
            matches!(&changes[..], [Message::Insert { new, .. }] if matches!(&new.0[1], Datum::Text(text) if text.len() == 300_000))
        );

        admin.simple_query(&format!("select pg_terminate_backend({})", stream.process_id())).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Err(error) = stream.next().await {
                    return error;
                }
            }
        });
        let error = ended.await.unwrap();
        assert!(matches!(&error, Error::Db(report) if report.code == *"57P01"), "{error}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    for cluster in clusters() {
        let config = cluster.config().with_database("postgres");
        let connection = ReplicationConnection::connect(&config).await.unwrap();
        let refused = connection.start("missing", Lsn(0), &[("proto_version", "1")]).await;
        assert!(matches!(refused, Err(Error::Db(report)) if report.code == *"42704"));

        let mut first = ReplicationConnection::connect(&config).await.unwrap();
        first.create_temporary_slot("taken", "pgoutput", SlotSnapshot::Nothing).await.unwrap();
        let mut second = ReplicationConnection::connect(&config).await.unwrap();
        let refused = second.create_temporary_slot("taken", "pgoutput", SlotSnapshot::Nothing).await;
        assert!(matches!(refused, Err(Error::Db(report)) if report.code == *"42710"));
    }
}
