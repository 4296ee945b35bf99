//! Mails on their way out.
//!
//! A mail is written into the outbox by the transaction that causes it, and handed to the mail server after the commit, while no
//! connection is held. The request waits for this first try: like the original it answers 500 when the mail server does not
//! take the mail. Unlike there the mail is not lost then; it is tried again until its code expires, by any process that shares
//! the database, also after a crash. At least once: a crash between the server's yes and our delete sends it twice, under one
//! `Message-ID`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::Utc;
use database::{Connection, Pool};
use mail::{Carrier, SmtpError};
use tokio::sync::{Notify, OnceCell, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::error::{Cause, Error, Result};
use crate::store::outbox::{self as store, Waiting};

/// How often the outbox is looked into.
const PAUSE: Duration = Duration::from_secs(10);
/// Mails taken at a time.
const BATCH: i64 = 20;
/// Mails handed over at a time, those that requests wait for included.
const PARALLEL: usize = 16;
/// Mails kept in memory where the database has no outbox.
const MOST_IN_MEMORY: usize = 10_000;
/// How long a stop waits for mails on their way.
const GRACE: Duration = Duration::from_secs(10);

/// A mail that was written, and what its request answers if it cannot be sent.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) mail: Waiting,
    pub(crate) failure: &'static str,
}

/// The outbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Inner>);

struct Inner {
    pool: Pool,
    carrier: RwLock<Option<Arc<dyn Carrier>>>,
    /// Whether the database keeps the mails.
    durable: OnceCell<bool>,
    /// Where it does not: those whose first try failed, with the time of the next.
    waiting: Mutex<VecDeque<(tokio::time::Instant, Waiting)>>,
    places: Semaphore,
    stopped: watch::Sender<bool>,
    under_way: Arc<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    count: Mutex<usize>,
    done: Notify,
}

/// Counts a mail that is being handed over, until it is dropped.
struct Handing(Arc<UnderWay>);

impl Drop for Handing {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.done.notify_waiters();
    }
}

/// How a try ended.
enum Outcome {
    Sent,
    Refused(SmtpError),
    Later(SmtpError),
}

impl Outbox {
    pub(crate) fn new(pool: Pool, carrier: Option<Arc<dyn Carrier>>) -> Self {
        Self(Arc::new(Inner {
            pool,
            carrier: RwLock::new(carrier),
            durable: OnceCell::new(),
            waiting: Mutex::default(),
            places: Semaphore::new(PARALLEL),
            stopped: watch::Sender::new(false),
            under_way: Arc::default(),
        }))
    }

    /// Whether mails go anywhere at all.
    pub(crate) fn is_connected(&self) -> bool {
        self.carrier().is_some()
    }

    /// Another way out from now on.
    pub(crate) fn reconnect(&self, carrier: Option<Arc<dyn Carrier>>) {
        *self.0.carrier.write().unwrap_or_else(PoisonError::into_inner) = carrier;
    }

    fn carrier(&self) -> Option<Arc<dyn Carrier>> {
        self.0.carrier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a mail in the caller's transaction.
    pub(crate) async fn write(&self, db: &mut Connection, mail: &Waiting) -> crate::store::Result<()> {
        let durable = match self.0.durable.get() {
            Some(durable) => *durable,
            None => {
                let found = store::exists(db).await?;
                // Everybody finds the same.
                let _ = self.0.durable.set(found);
                found
            }
        };
        if durable { store::insert(db, mail).await } else { Ok(()) }
    }

    /// Hands over what a request has written, after its commit. Goes on when the request is given up.
    pub(crate) async fn deliver(&self, written: Vec<Written>) -> Result<()> {
        let tries: Vec<_> = written
            .into_iter()
            .map(|Written { mail, failure }| {
                let outbox = self.clone();
                let handing = self.hand_over();
                let task = tokio::spawn(async move {
                    let _handing = handing;
                    outbox.first_try(mail).await
                });
                (task, failure)
            })
            .collect();
        let mut outcome = Ok(());
        for (task, failure) in tries {
            let error = match task.await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => Cause::Other(error.into()),
                Err(error) => Cause::Other(error.into()),
            };
            outcome = Err(Error::internal(failure).because(error));
        }
        outcome
    }

    fn hand_over(&self) -> Handing {
        *self.0.under_way.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Handing(self.0.under_way.clone())
    }

    async fn first_try(&self, mail: Waiting) -> Result<(), SmtpError> {
        let outcome = self.hand(&mail).await;
        let answer = match &outcome {
            Outcome::Sent => Ok(()),
            Outcome::Refused(error) | Outcome::Later(error) => Err(error.to_string()),
        };
        self.settle(mail, outcome).await;
        answer.map_err(SmtpError::Later)
    }

    async fn hand(&self, mail: &Waiting) -> Outcome {
        let Some(carrier) = self.carrier() else {
            return Outcome::Later(SmtpError::Settings("there is no mail server any more".into()));
        };
        let place = self.0.places.acquire().await;
        let outcome = carrier.carry(&mail.letter).await;
        drop(place);
        let (result, outcome) = match outcome {
            Ok(()) => ("sent", Outcome::Sent),
            Err(error) if error.is_temporary() => ("postponed", Outcome::Later(error)),
            Err(error) => ("refused", Outcome::Refused(error)),
        };
        metrics::counter!("auth_mails_total", "result" => result).increment(1);
        match &outcome {
            Outcome::Sent => tracing::info!(kind = mail.kind, id = %mail.id, "mail sent"),
            Outcome::Refused(error) => {
                tracing::error!(kind = mail.kind, id = %mail.id, %error, "a mail was refused")
            }
            Outcome::Later(error) => {
                tracing::warn!(kind = mail.kind, id = %mail.id, attempts = mail.attempts + 1, %error, "a mail has to wait");
            }
        }
        outcome
    }

    /// Writes down how a try ended.
    async fn settle(&self, mail: Waiting, outcome: Outcome) {
        let attempts = mail.attempts + 1;
        let expired = mail.expires_at <= Utc::now();
        let seconds = pause(attempts);
        let durable = self.0.durable.get().copied().unwrap_or(false);
        if !durable && !expired && matches!(outcome, Outcome::Later(_)) {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let newer = |other: &Waiting| {
                other.user_id == mail.user_id && other.kind == mail.kind && other.letter.to == mail.letter.to
            };
            waiting.retain(|(_, other)| !newer(other));
            if waiting.len() >= MOST_IN_MEMORY {
                waiting.pop_front();
            }
            let due = tokio::time::Instant::now() + Duration::from_secs(seconds.unsigned_abs().into());
            waiting.push_back((due, Waiting { attempts, ..mail }));
            return;
        }
        let settled = async {
            let mut db = self.0.pool.acquire().await?;
            match outcome {
                Outcome::Later(_) if !expired => store::postpone(&mut db, mail.id, attempts, seconds).await,
                Outcome::Refused(_) => {
                    store::forget_sending(&mut db, mail.user_id, &mail.kind).await?;
                    if durable { store::delete(&mut db, mail.id).await } else { Ok(()) }
                }
                _ if durable => store::delete(&mut db, mail.id).await,
                _ => Ok(()),
            }
        };
        if let Err(error) = settled.await {
            tracing::error!(id = %mail.id, %error, "the outbox cannot be written: a mail may be sent twice");
        }
    }

    /// Tries what waits, now and then, until [`Outbox::stop`].
    pub(crate) fn work(&self) -> JoinHandle<()> {
        let outbox = self.clone();
        let mut stopped = self.0.stopped.subscribe();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
                if !outbox.is_connected() {
                    continue;
                }
                if let Err(error) = outbox.look().await {
                    tracing::warn!(%error, "the outbox cannot be read");
                }
            }
        })
    }

    async fn look(&self) -> Result<(), database::Error> {
        let due: Vec<Waiting> = {
            let now = tokio::time::Instant::now();
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let (due, later): (VecDeque<_>, VecDeque<_>) = waiting.drain(..).partition(|(at, _)| *at <= now);
            *waiting = later;
            due.into_iter().map(|(_, mail)| mail).collect()
        };
        self.try_again(due).await;
        loop {
            let mut db = self.0.pool.acquire().await?;
            let durable = match self.0.durable.get() {
                Some(durable) => *durable,
                None => {
                    let found = store::exists(&mut db).await?;
                    let _ = self.0.durable.set(found);
                    found
                }
            };
            if !durable {
                return Ok(());
            }
            let taken = store::take(&mut db, BATCH).await?;
            drop(db);
            let full = taken.len() as i64 == BATCH;
            self.try_again(taken).await;
            if !full || *self.0.stopped.borrow() {
                return Ok(());
            }
        }
    }

    async fn try_again(&self, mails: Vec<Waiting>) {
        let tries = mails.into_iter().map(|mail| async move {
            let _handing = self.hand_over();
            let outcome = if mail.expires_at <= Utc::now() {
                tracing::error!(kind = mail.kind, id = %mail.id, "a mail was never taken, and its code has expired");
                Outcome::Sent
            } else {
                self.hand(&mail).await
            };
            self.settle(mail, outcome).await;
        });
        futures_util::future::join_all(tries).await;
    }

    /// Takes nothing up any more, and waits a moment for mails on their way; what is left is sent by the next start.
    pub(crate) async fn stop(&self) {
        self.0.stopped.send_replace(true);
        let finished = async {
            loop {
                let done = self.0.under_way.done.notified();
                if *self.0.under_way.count.lock().unwrap_or_else(PoisonError::into_inner) == 0 {
                    return;
                }
                done.await;
            }
        };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            tracing::warn!("mails are still on their way: the outbox keeps them");
        }
    }
}

/// Seconds between a failed try and the next.
fn pause(attempts: i32) -> i32 {
    match attempts {
        ..=1 => 10,
        2 => 30,
        3 => 120,
        4 => 600,
        _ => 1800,
    }
}
