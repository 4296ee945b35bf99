//! What happened, told to whoever wants to hear it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{Domain, UploadKind};
use crate::Context;

/// The kinds of events, by the names that webhooks carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub enum EventKind {
    #[serde(rename = "ObjectCreated:Put")]
    CreatedPut,
    #[serde(rename = "ObjectCreated:Post")]
    CreatedPost,
    #[serde(rename = "ObjectCreated:Copy")]
    CreatedCopy,
    #[serde(rename = "ObjectCreated:Move")]
    CreatedMove,
    #[serde(rename = "ObjectRemoved:Delete")]
    RemovedDelete,
    #[serde(rename = "ObjectRemoved:Move")]
    RemovedMove,
    #[serde(rename = "ObjectUpdated:Metadata")]
    UpdatedMetadata,
    #[serde(rename = "Bucket:Created")]
    BucketCreated,
    #[serde(rename = "Bucket:Deleted")]
    BucketDeleted,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The bucket's id.
    pub bucket: String,
    /// The key; a bucket's name in its own events.
    pub name: String,
    /// The object's version.
    pub version: Option<String>,
    /// `objects.metadata`.
    pub metadata: Option<Value>,
    /// By which door content came.
    pub upload: Option<UploadKind>,
    /// Bucket, key and version of where a moved object was.
    pub old: Option<(String, String, Option<String>)>,
    /// Which request did it.
    pub request_id: Option<String>,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl Event {
    /// The event as a webhook carries it.
    #[must_use]
    pub fn to_json(&self, region: &str, tenant: &str) -> Value {
        let mut payload = Map::new();
        let mut set = |name: &str, value: Value| payload.insert(name.to_owned(), value);
        set("bucketId", self.bucket.as_str().into());
        set("name", self.name.as_str().into());
        if let Some(version) = &self.version {
            set("version", version.as_str().into());
        }
        if let Some(metadata) = &self.metadata {
            set("metadata", metadata.clone());
        }
        if let Some(upload) = self.upload {
            set("uploadType", upload.as_str().into());
        }
        if let Some((bucket, name, version)) = &self.old {
            set(
                "oldObject",
                json!({ "bucketId": bucket, "name": name, "version": version, "reqId": self.request_id }),
            );
        }
        set("reqId", self.request_id.as_deref().map_or(Value::Null, Value::from));
        set("tenant", json!({ "ref": tenant, "host": "" }));
        json!({
            "type": "Webhook",
            "event": {
                "type": self.kind,
                "region": region,
                "$version": "v1",
                "applyTime": self.at,
                "payload": payload,
            },
            "sentAt": super::object::timestamp(chrono::Utc::now()),
            "tenant": { "ref": tenant, "host": "" },
        })
    }
}

/// Where events go: a bounded queue towards whoever posts them, or nowhere.
#[derive(Debug, Clone, Default)]
pub struct Events(Option<mpsc::Sender<Event>>);

impl Events {
    /// Into a queue. When it is full, events are dropped and counted: they are a courtesy, uploads are not.
    #[must_use]
    pub fn into_queue(queue: mpsc::Sender<Event>) -> Self {
        Self(Some(queue))
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn tell(
        &self,
        _domain: &Domain,
        context: &Context,
        kind: EventKind,
        bucket: &str,
        name: &str,
        version: Option<&str>,
        complete: impl FnOnce(&mut Event),
    ) {
        let Some(queue) = &self.0 else { return };
        let mut event = Event {
            kind,
            bucket: bucket.to_owned(),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            metadata: None,
            upload: None,
            old: None,
            request_id: context.request_id.as_deref().map(str::to_owned),
            at: chrono::Utc::now().timestamp_millis(),
        };
        complete(&mut event);
        if queue.try_send(event).is_err() {
            metrics::counter!("storage_events_dropped_total").increment(1);
            tracing::warn!(kind = ?kind, "the queue of events is full: one was dropped");
        }
    }
}
