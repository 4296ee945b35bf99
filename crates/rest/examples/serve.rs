//! The service alone, configured as PostgREST is. `cargo run -p rest --example serve`

use anyhow::Context as _;
use database::{ListenEvent, Listener, Pool};
use rest::{Config, Rest};
use tokens::KeyRing;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let config = Config::from_env(std::env::vars())?;
    let pool = Pool::new(config.connect()?, config.pool());
    let keys = config.keys()?.map(KeyRing::new);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", config.port)).await.context("listening")?;
    let admin = config.admin_port;
    let (channel, login) = (config.channel.clone(), pool.config().clone());
    let rest = Rest::start(config, pool, keys);
    if let Some(port) = admin {
        let entrance = rest::Entrance::Tcp(listener.local_addr()?);
        let router = rest.admin_router(rest::Surroundings { entrance, listening: None });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.context("listening")?;
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    let told = rest.clone();
    tokio::spawn(async move {
        let mut notifications = Listener::connect(login, &[&channel]).await?;
        loop {
            match notifications.recv().await {
                ListenEvent::Notification(notification) => told.notified(Some(&notification.payload)),
                ListenEvent::Reconnected => told.notified(None),
            }
        }
        #[allow(unreachable_code)]
        anyhow::Ok(())
    });
    axum::serve(listener, rest.router()).await?;
    Ok(())
}
