//! Messages of the past, for who joins a private channel.

use std::time::Duration;

use database::{Error, Param, Pool, RequestContext, Statement};
use serde_json::Value;

use crate::hub::Body;
use crate::protocol::{Encoding, UserBroadcast, quoted};

/// The most messages that are replayed.
const MOST: i64 = 25;

/// What a client asked to be told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Milliseconds since 1970.
    since: i64,
    limit: i64,
}

/// A message of the past.
#[derive(Debug, Clone)]
pub(crate) struct Replayed {
    pub(crate) id: Box<str>,
    pub(crate) body: Body,
}

impl Replay {
    /// Reads `config.broadcast.replay`.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_i64().or_else(|| value.as_f64().map(|number| number as i64));
        let since = number(value.get("since")?)?;
        let limit = match value.get("limit") {
            None => MOST,
            Some(limit) => number(limit)?,
        };
        Some(Self { since, limit: limit.clamp(1, MOST) })
    }

    /// The newest of the messages wanted, oldest first. The caller may read the topic: that was decided before.
    pub(crate) async fn run(
        self,
        pool: &Pool,
        topic: &str,
        timeout: Duration,
    ) -> Result<Vec<Replayed>, Error> {
        let (since, limit) = (self.since.to_string(), self.limit.to_string());
        let values = [Param::Text(topic), Param::Text(&since), Param::Text(&limit)];
        let statement = Statement::new(
            // A database that knows no binary messages has no such column.
            "select id::text, event, payload::text, to_jsonb(m) ->> 'binary_payload'
            from realtime.messages m
            where topic = $1
                and private
                and extension = 'broadcast'
                and (payload is not null or to_jsonb(m) ->> 'binary_payload' is not null)
                and inserted_at >= to_timestamp($2::float8 / 1000) at time zone 'utc'
                and inserted_at < (now() at time zone 'utc') + interval '1 minute'
            order by inserted_at desc
            limit $3::bigint",
            &values,
        );
        let context =
            RequestContext::default().with("statement_timeout", timeout.as_millis().to_string()).read_only();
        let results = pool.request(&context, &[statement]).await?;
        let rows = results.first().map(|result| result.rows.as_slice()).unwrap_or_default();
        Ok(rows
            .iter()
            .rev()
            .filter_map(|row| {
                let id = row.text(0)?;
                let body = match (row.text(2), row.text(3)) {
                    (Some(payload), _) => {
                        let event = row.text(1).map_or_else(|| "null".to_owned(), quoted);
                        let text = format!(
                            "{{\"event\":{event},\"meta\":{{\"id\":\"{id}\",\"replayed\":true}},\"payload\":{payload},\"type\":\"broadcast\"}}"
                        );
                        Body::Map(text.into())
                    }
                    (None, hex) => Body::User(UserBroadcast {
                        event: row.text(1)?.into(),
                        metadata: format!("{{\"id\":\"{id}\",\"replayed\":true}}").into(),
                        encoding: Encoding::Opaque,
                        payload: bytes_of(hex?)?.into(),
                    }),
                };
                Some(Replayed { id: id.into(), body })
            })
            .collect())
    }
}

/// The bytes of a `bytea` as text.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let nibble = |digit: &u8| char::from(*digit).to_digit(16);
    digits.chunks(2).map(|pair| Some((nibble(pair.first()?)? * 16 + nibble(pair.get(1)?)?) as u8)).collect()
}
