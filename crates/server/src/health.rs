//! The state of the whole, as `/health` and `monobase status` tell it.

use std::sync::{Mutex, OnceLock, PoisonError};

use config::Service;
use embedded_postgres::State as Engine;
use gateway::{Health, Report, State};
use rest::Rest;
use tokio::sync::watch;

/// Written by the start and the stop, read by every probe.
#[derive(Default)]
pub(crate) struct Board {
    engine: Mutex<Option<watch::Receiver<Engine>>>,
    /// The state while there is no engine to ask: before the start, and with an outside database.
    database: Mutex<Option<State>>,
    services: Mutex<Vec<(Service, State)>>,
    /// Asked whether it has a catalogue, without which it answers nothing.
    rest: OnceLock<Rest>,
}

impl Board {
    /// Follows the embedded PostgreSQL from here on.
    pub(crate) fn watch(&self, engine: watch::Receiver<Engine>) {
        *lock(&self.engine) = Some(engine);
    }

    /// An outside database answered.
    pub(crate) fn database_is(&self, state: State) {
        *lock(&self.database) = Some(state);
    }

    /// Follows the rest service from here on.
    pub(crate) fn ask(&self, rest: Rest) {
        // There is one start, and one service.
        let _ = self.rest.set(rest);
    }

    pub(crate) fn service_is(&self, service: Service, state: State) {
        let mut services = lock(&self.services);
        match services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, known)) => *known = state,
            None => services.push((service, state)),
        }
    }
}

impl Health for Board {
    fn report(&self) -> Report {
        let database = match lock(&self.engine).as_ref().map(|engine| *engine.borrow()) {
            Some(Engine::Running) => lock(&self.database).unwrap_or(State::Up),
            Some(Engine::Restarting) => State::Restarting,
            Some(Engine::Stopped) => State::Down,
            None => lock(&self.database).unwrap_or(State::Starting),
        };
        let state = |service, state| match self.rest.get() {
            Some(rest) if service == Service::Rest && state == State::Up && !rest.is_ready() => {
                State::Starting
            }
            _ => state,
        };
        let services = lock(&self.services)
            .iter()
            .map(|(service, noted)| (service.as_str(), state(*service, *noted)))
            .collect();
        Report { database, services }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
