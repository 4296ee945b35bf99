//! Notifications, and connections that come back.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use database::{ListenEvent, Listener};

async fn next(listener: &mut Listener) -> ListenEvent {
    tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.expect("an event in time")
}

fn heard(event: ListenEvent) -> (String, String) {
    match event {
        ListenEvent::Notification(notification) => (notification.channel, notification.payload),
        ListenEvent::Reconnected => panic!("reconnected"),
    }
}

each_server! {

async fn notifications_arrive_on_each_channel(cluster) {
    let mut listener = Listener::connect(cluster.config(), &["pgrst", "Odd \"name\""]).await.unwrap();
    let mut sender = cluster.connect().await;
    sender.simple_query("notify pgrst, 'reload schema'; notify \"Odd \"\"name\"\"\"; notify unheard").await.unwrap();
    assert_eq!(heard(next(&mut listener).await), ("pgrst".into(), "reload schema".into()));
    assert_eq!(heard(next(&mut listener).await), ("Odd \"name\"".into(), String::new()));
    // A receive that was given up loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(30), listener.recv()).await.is_err());
    sender.simple_query("notify pgrst, 'later'").await.unwrap();
    assert_eq!(heard(next(&mut listener).await), ("pgrst".into(), "later".into()));
}

async fn a_lost_connection_comes_back_and_says_so(cluster) {
    let config = cluster.config().with_application_name("to be cut");
    let mut listener = Listener::connect(config, &["again"]).await.unwrap();
    let mut sender = cluster.connect().await;
    let cut = "select pg_terminate_backend(pid, 1000) from pg_stat_activity where application_name = 'to be cut'";
    sender.simple_query(cut).await.unwrap();
    assert_eq!(next(&mut listener).await, ListenEvent::Reconnected);
    sender.simple_query("notify again, 'here'").await.unwrap();
    assert_eq!(heard(next(&mut listener).await), ("again".into(), "here".into()));
}

}
