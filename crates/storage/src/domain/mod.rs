//! The operations that every door calls: what they ask of the database, in which order, and what they move.
//!
//! Stable: methods of [`Domain`] and the types they take and return. No method holds a database connection while bytes
//! stream.

mod bucket;
mod buckets;
mod copy;
mod delete;
mod events;
mod key;
mod list;
mod lookups;
mod mime;
mod object;
mod parts;
mod read;
mod sign;
mod small;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use database::Pool;
use tokens::KeyRing;
use tokio::sync::mpsc;

use crate::blob::{BlobName, Store};
use crate::config::Config;
use crate::render::Renderer;
use crate::sweeper::Chore;

pub(crate) use bucket::check_mime_types;
pub use bucket::{Bucket, BucketName, BucketQuery, BucketRow, BucketUpdate, NewBucket, SizeLimit};
pub use copy::{Copied, CopyRequest, MoveRequest, NewMetadata};
pub use events::{Event, EventKind, Events};
pub use key::ObjectKey;
pub use list::{
    Cursor, Entry, ListPage, ListedV1, Order, Page, SearchRequest, SortColumn, V2Page, V2Request,
};
pub(crate) use list::{folded, successor};
pub(crate) use lookups::{Found, Question};
pub use mime::{MimeRule, content_type_fits};
pub use object::{Object, ObjectRow, Times};
pub(crate) use object::{etag_of, timestamp};
pub(crate) use parts::{MOST_PART_CHECKSUMS, etag_of_parts};
pub use parts::{Part, PartWritten};
pub use read::Opened;
pub(crate) use sign::refused;
pub use sign::{Transformations, UploadGrant, UrlSigner};
pub use upload::{Condition, Mode, NewObject, Stored, Upload, UploadKind};

/// After so many new objects the database is asked whether it knows of them; again after ten times as many, and so on.
const COUNTED: u64 = 50;

fn is_power_of_ten(number: u64) -> bool {
    number.checked_ilog10().is_some_and(|power| number == 10_u64.pow(power))
}

/// The operations, over one database and one store. Cheap to clone.
#[derive(Clone)]
pub struct Domain(Arc<Inner>);

struct Inner {
    config: Config,
    pool: Pool,
    store: Arc<dyn Store>,
    adopts: bool,
    signer: UrlSigner,
    keys: KeyRing,
    chores: mpsc::Sender<Chore>,
    events: Events,
    renderer: Option<Renderer>,
    lookups: lookups::Lookups,
    /// Objects made since the start.
    made: AtomicU64,
    small: small::SmallBlobs,
}

impl Domain {
    pub(crate) fn new(
        config: Config,
        pool: Pool,
        store: Arc<dyn Store>,
        adopts: bool,
        keys: KeyRing,
        chores: mpsc::Sender<Chore>,
        events: Events,
    ) -> Self {
        let signer = UrlSigner::new(keys.clone(), config.url_signing_key.as_deref());
        let renderer = config.images.enabled.then(|| Renderer::open(&config.images));
        let small = small::SmallBlobs::new(config.memory_cache);
        Self(Arc::new(Inner {
            config,
            pool,
            store,
            adopts,
            signer,
            keys,
            chores,
            events,
            renderer,
            lookups: lookups::Lookups::default(),
            made: AtomicU64::new(0),
            small,
        }))
    }

    /// What makes pictures on the way out, if that is wanted.
    pub(crate) fn renderer(&self) -> Option<&Renderer> {
        self.0.renderer.as_ref()
    }

    /// The service's settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The database. Statements for a client belong into a transaction of its [`crate::Context`].
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// The keys that tokens verify under.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    /// What signs URLs.
    #[must_use]
    pub fn signer(&self) -> &UrlSigner {
        &self.0.signer
    }

    /// Where events go.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    pub(crate) fn search_path(&self) -> &str {
        &self.0.config.search_path
    }

    /// A key under this installation's rules.
    pub fn key(&self, key: &str) -> crate::Result<ObjectKey> {
        ObjectKey::parse(key, self.0.config.unicode_keys)
    }

    /// Where an object's bytes may lie: under its version, or where the original program put them.
    pub(crate) fn blobs_of(&self, bucket: &str, key: &str, version: Option<&str>) -> Vec<BlobName> {
        let ours = version.and_then(BlobName::of_version);
        let config = &self.0.config;
        let theirs =
            || BlobName::upstream(&config.tenant, bucket, key, version, config.tus.version_separator);
        ours.into_iter().chain(self.0.adopts.then(theirs).flatten()).collect()
    }

    /// Hands blobs that no row refers to any more to the sweeper, which removes them at once. When it has too much to do,
    /// it finds them by itself later.
    pub fn discard(&self, blobs: Vec<BlobName>) {
        self.leave(Chore::Replaced(blobs));
    }

    /// Hands blobs to the sweeper that never became an object or a part. One that did become one meanwhile (nobody knows,
    /// when a connection breaks at a commit) stays.
    pub fn abandon(&self, blobs: Vec<BlobName>) {
        self.leave(Chore::Unfinished(blobs));
    }

    /// Counts an object that was made.
    fn count_one(&self) {
        let made = self.0.made.fetch_add(1, Ordering::Relaxed) + 1;
        if made.is_multiple_of(COUNTED) && is_power_of_ten(made / COUNTED) {
            self.leave(Chore::Grown(made));
        }
    }

    /// Leaves something to be done by the sweeper, unless it has too much to do.
    fn leave(&self, chore: Chore) {
        if !chore.is_empty() && self.0.chores.try_send(chore).is_err() {
            tracing::debug!(
                "the sweeper is busy: blobs stay until it looks for orphans, statistics until autovacuum"
            );
        }
    }
}
