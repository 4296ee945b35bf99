//! A service that runs for long: its configuration can be replaced, and its mails are sent until it stops.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use database::Pool;
use mail::Carrier;
use tokens::KeyRing;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::State;
use crate::config::{Config, ConfigError};
use crate::http::front;
use crate::routes;

/// How often templates are looked at that are fetched before they are needed.
const LOOK_AT_TEMPLATES: Duration = Duration::from_secs(10);

/// What answers at the moment. Requests under way keep what they began with.
#[derive(Clone)]
pub(crate) struct Live(Arc<ArcSwap<(State, Router)>>);

impl Live {
    pub(crate) fn new(state: State) -> Self {
        let routes = routes::table(state.clone());
        Self(Arc::new(ArcSwap::from_pointee((state, routes))))
    }

    pub(crate) fn router(&self) -> Router {
        let live = self.clone();
        front(move || {
            let current = live.0.load();
            (current.0.clone(), current.1.clone())
        })
    }
}

/// A running service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    live: Live,
    stopped: watch::Sender<bool>,
    tasks: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>,
}

impl Service {
    /// Starts a service on a database whose `auth` schema exists; the pool logs in as `supabase_auth_admin`.
    ///
    /// `carrier` takes mails while no mail server is configured. Without either, mails are dropped as the original drops them.
    pub fn start(
        config: Config,
        pool: Pool,
        keys: KeyRing,
        carrier: Option<Arc<dyn Carrier>>,
    ) -> Result<Self, ConfigError> {
        let state = State::new(config, pool, keys, carrier)?;
        let mail = state.outbox().work();
        let live = Live::new(state);
        let stopped = watch::Sender::new(false);
        let templates = tokio::spawn(keep_templates(live.clone(), stopped.subscribe()));
        let cleaning = tokio::spawn(clean(live.clone(), stopped.subscribe()));
        Ok(Self { live, stopped, tasks: Arc::new(std::sync::Mutex::new(vec![mail, templates, cleaning])) })
    }

    /// Every route, at the root path.
    pub fn router(&self) -> Router {
        self.live.router()
    }

    /// Goes on with another configuration. Requests under way end with the one they began with; keys, database and what rate
    /// limiters have counted stay.
    pub fn reload(&self, config: Config) -> Result<(), ConfigError> {
        let current = self.live.0.load();
        let state = current.0.reconfigured(config)?;
        let routes = routes::table(state.clone());
        self.live.0.store(Arc::new((state, routes)));
        tracing::info!("the configuration of auth was reloaded");
        Ok(())
    }

    /// Ends background work; waits a moment for mails on their way.
    pub async fn stop(self) {
        self.stopped.send_replace(true);
        let outbox = self.live.0.load().0.outbox().clone();
        outbox.stop().await;
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        for task in tasks {
            task.abort();
            // It was told to end; that it was cut is no news.
            let _ = task.await;
        }
    }
}

async fn keep_templates(live: Live, mut stopped: watch::Receiver<bool>) {
    loop {
        let state = live.0.load().0.clone();
        if state.config().mailer.template_reloading {
            state.templates().refresh().await;
        }
        drop(state);
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = tokio::time::sleep(LOOK_AT_TEMPLATES) => {}
        }
    }
}

/// Takes the turns of cleaning up that changes ask for.
async fn clean(live: Live, mut stopped: watch::Receiver<bool>) {
    let turns = live.0.load().0.cleanup().turns();
    let Some(mut turns) = turns else { return };
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            Some(()) = turns.recv() => {}
        }
        let state = live.0.load().0.clone();
        state.cleanup().run(state.config(), state.pool()).await;
    }
}
