//! The running service: configuration, catalogue and pool behind one router.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use database::Pool;
use tokens::KeyRing;

use crate::{Config, Error};

/// The service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rest {
    shared: Arc<Shared>,
}

#[allow(dead_code)]
struct Shared {
    config: Config,
    pool: Pool,
    keys: Option<KeyRing>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("schemas", &self.config.schemas).finish_non_exhaustive()
    }
}

impl Rest {
    /// Starts the service on a pool whose login is the authenticator. `keys` verify tokens; a request that carries an
    /// `Arc<tokens::Verified>` in its extensions was verified before. Returns at once: the catalogue is loaded in the
    /// background, and until then requests are answered with 503.
    pub fn start(config: Config, pool: Pool, keys: Option<KeyRing>) -> Self {
        Self { shared: Arc::new(Shared { config, pool, keys }) }
    }

    /// The API, at the root path.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// The admin endpoints: `/live`, `/ready`, `/schema_cache`, `/metrics`.
    pub fn admin_router(&self) -> Router {
        Router::new().with_state(self.clone())
    }

    /// Reloads configuration and catalogue, as `NOTIFY pgrst` does.
    pub fn reload(&self) {}

    /// Stops the background work.
    pub async fn stop(self) {}
}

async fn answer(State(_rest): State<Rest>) -> Response {
    Error::NoCatalog.response(1)
}
