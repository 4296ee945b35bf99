//! What a client wants when it joins.

use serde_json::{Map, Value};

use crate::changes::Binding;

/// The payload of `phx_join`, read as leniently as the original does.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct JoinParams {
    pub(crate) ack: bool,
    pub(crate) echo: bool,
    pub(crate) private: bool,
    pub(crate) replay: Option<Value>,
    pub(crate) presence_key: Option<String>,
    pub(crate) presence: bool,
    /// The entries of `postgres_changes`.
    pub(crate) entries: Vec<Value>,
    /// Joined without `config`.
    pub(crate) legacy: bool,
    pub(crate) token: Option<String>,
    /// The client waits for the word that messages of the database arrive.
    pub(crate) replication_ready: bool,
}

/// Anything but null and false.
fn truthy(value: Option<&Value>) -> bool {
    !matches!(value, None | Some(Value::Null | Value::Bool(false)))
}

impl JoinParams {
    pub(crate) fn parse(payload: &str, name: &str) -> Self {
        let payload: Map<String, Value> = serde_json::from_str(payload).unwrap_or_default();
        let string = |name: &str| payload.get(name).and_then(Value::as_str);
        let token = string("user_token")
            .or_else(|| string("access_token"))
            // An API key stands for the token of the connection.
            .filter(|token| !token.starts_with("sb_"))
            .map(str::to_owned);
        let Some(config) = payload.get("config") else {
            return Self {
                presence: true,
                legacy: true,
                token,
                entries: vec![legacy_entry(name)],
                ..Self::default()
            };
        };
        let broadcast = config.get("broadcast");
        let presence = config.get("presence");
        let entries = match config.get("postgres_changes") {
            Some(Value::Array(entries)) => entries.iter().filter(|entry| !entry.is_null()).cloned().collect(),
            _ => Vec::new(),
        };
        Self {
            ack: truthy(broadcast.and_then(|broadcast| broadcast.get("ack"))),
            echo: truthy(broadcast.and_then(|broadcast| broadcast.get("self"))),
            private: truthy(config.get("private")),
            replay: broadcast
                .and_then(|broadcast| broadcast.get("replay"))
                .filter(|replay| !replay.is_null())
                .cloned(),
            presence_key: presence
                .and_then(|presence| presence.get("key"))
                .and_then(Value::as_str)
                .filter(|key| !key.is_empty())
                .map(str::to_owned),
            presence: presence
                .and_then(|presence| presence.get("enabled"))
                .and_then(Value::as_bool)
                .unwrap_or(true),
            entries,
            legacy: false,
            token,
            replication_ready: truthy(broadcast.and_then(|broadcast| broadcast.get("replication_ready"))),
        }
    }

    /// The entries with their ids.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        self.entries
            .iter()
            .map(|entry| Binding { id: id_of(entry), params: entry.as_object().cloned().unwrap_or_default() })
            .collect()
    }

    /// The answer's `response`.
    pub(crate) fn response(&self) -> String {
        let entries: Vec<Value> = if self.legacy { Vec::new() } else { self.entries.clone() }
            .into_iter()
            .map(|entry| {
                let id = id_of(&entry);
                match entry {
                    Value::Object(mut entry) => {
                        entry.insert("id".to_owned(), id.into());
                        Value::Object(entry)
                    }
                    other => other,
                }
            })
            .collect();
        format!("{{\"postgres_changes\":{}}}", Value::Array(entries))
    }
}

/// The topic of the first protocol is itself the subscription: `schema[:table[:filter]]`.
fn legacy_entry(name: &str) -> Value {
    let mut parts = name.splitn(3, ':');
    let names = ["schema", "table", "filter"];
    let mut entry: Map<String, Value> =
        names.into_iter().zip(parts.by_ref()).map(|(name, value)| (name.to_owned(), value.into())).collect();
    entry.insert("event".to_owned(), "*".into());
    Value::Object(entry)
}

/// Equal entries have equal ids: 27 bits of FNV-1a over the entry as JSON with sorted keys.
fn id_of(entry: &Value) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in entry.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ (hash >> 27)) & 0x7ff_ffff
}
