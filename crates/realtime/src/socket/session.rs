//! The conversation on one socket: its channels, and what each message does to them.
//!
//! Everything that needs no database happens at once. What does becomes a [`Job`], and messages that come meanwhile wait
//! their turn, so that answers keep their order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use super::channel::{Channel, verify_at};
use super::join::JoinParams;
use crate::authorization::{Allowed, Failure, Subject};
use crate::claims::{self, Token};
use crate::hub::{Body, Fields, Hub, Item, Outbox};
use crate::protocol::{self, Inbound, Payload, Ref, Status, UserBroadcast, Version, quoted};
use crate::replay::Replayed;
use crate::service::Inner;

/// A question to the database that a message waits for.
pub(super) type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Its answer.
pub(super) enum Done {
    Joined(Box<Joining>, Result<Admission, String>),
    /// Which messages a channel may send, and the message that wanted to know.
    Write(u64, Result<Allowed, Failure>, Sending),
    /// A new token was shown to a private channel.
    Refreshed(u64, Token, Result<Allowed, Failure>),
}

/// A join that was let in.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pub(super) reads: Allowed,
    pub(super) replayed: Vec<Replayed>,
}

/// A join under way.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) reference: Ref,
    pub(super) join_ref: Ref,
    pub(super) named: bool,
    pub(super) topic: Arc<str>,
    pub(super) params: JoinParams,
    pub(super) token: Token,
    /// The channel that this one takes the place of: closed after the answer.
    pub(super) replaced: Option<Ref>,
}

/// A message that needs permission.
#[derive(Debug)]
pub(super) enum Sending {
    Broadcast { reference: Ref, body: Body },
    Presence { reference: Ref, fields: Fields },
}

/// One socket's state.
pub(super) struct Session {
    pub(super) service: Arc<Inner>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) version: Version,
    /// Of the connection itself.
    pub(super) token: Token,
    pub(super) headers: Arc<str>,
    pub(super) channels: Vec<Channel>,
    /// Counts as a user.
    pub(super) counted: bool,
    /// Since when no channel is left.
    pub(super) emptied: Option<Instant>,
    /// Something may fall due sooner than before.
    pub(super) stirred: bool,
}

impl Session {
    pub(super) fn new(
        service: Arc<Inner>,
        outbox: Arc<Outbox>,
        version: Version,
        token: Token,
        headers: Arc<str>,
    ) -> Self {
        Self {
            service,
            outbox,
            version,
            token,
            headers,
            channels: Vec::new(),
            counted: false,
            emptied: None,
            stirred: false,
        }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.service.hub
    }

    pub(super) fn reply(&self, join_ref: &Ref, reference: &Ref, topic: &str, status: Status, response: &str) {
        self.outbox.send(protocol::reply(self.version, join_ref, reference, topic, status, response));
    }

    pub(super) fn refuse(&self, join_ref: &Ref, reference: &Ref, topic: &str, reason: &str) {
        let response = format!("{{\"reason\":{}}}", quoted(reason));
        self.reply(join_ref, reference, topic, Status::Error, &response);
    }

    fn position(&self, topic: &str) -> Option<usize> {
        self.channels.iter().position(|channel| *channel.member.topic == *topic)
    }

    /// Takes one message in.
    pub(super) fn receive(&mut self, message: Inbound<'_>) -> Option<Job> {
        let Inbound { join_ref, reference, topic, event, payload } = message;
        if topic == "phoenix" {
            if event == "heartbeat" {
                self.reply(&Ref::NULL, &reference, "phoenix", Status::Ok, "{}");
            } else {
                self.refuse(&Ref::NULL, &reference, "phoenix", "unmatched topic");
            }
            return None;
        }
        let joined = self.position(&topic);
        match (&*event, joined) {
            ("phx_join", _) => {
                let text = match &payload {
                    Payload::Json(payload) => payload.get(),
                    Payload::User(_) => "{}",
                };
                self.join(join_ref, reference, &topic, text, joined)
            }
            ("phx_leave", None) => {
                self.reply(&join_ref, &reference, &topic, Status::Ok, "{}");
                None
            }
            (_, None) => {
                self.refuse(&Ref::NULL, &reference, &topic, "unmatched topic");
                None
            }
            ("phx_leave", Some(at)) => {
                let channel = &self.channels[at];
                if channel.named && channel.member.join_ref != join_ref {
                    // Of a channel that was closed before.
                    return None;
                }
                let own = channel.member.join_ref.clone();
                self.reply(&own, &reference, &topic, Status::Ok, "{}");
                self.close(at);
                None
            }
            (_, Some(at)) => {
                let began = Instant::now();
                let job = self.handle(at, &event, reference, payload);
                self.hub().handled(began.elapsed());
                job
            }
        }
    }

    /// Deals with a message for a channel that is joined.
    fn handle(&mut self, at: usize, event: &str, reference: Ref, payload: Payload<'_>) -> Option<Job> {
        match event {
            "broadcast" => self.broadcast(at, reference, payload),
            "presence" => self.presence(at, reference, payload),
            "access_token" => self.access_token(at, payload),
            _ => {
                self.hub().events.add(1);
                None
            }
        }
    }

    fn broadcast(&mut self, at: usize, reference: Ref, payload: Payload<'_>) -> Option<Job> {
        let body = match payload {
            Payload::Json(payload) if payload.get().starts_with('{') => Body::Map(payload.get().into()),
            Payload::Json(_) => return None,
            Payload::User(user) => Body::User(checked(user)?),
        };
        let channel = &self.channels[at];
        if channel.private && channel.write.is_none() {
            return Some(self.ask_to_write(at, Sending::Broadcast { reference, body }));
        }
        self.send(at, &reference, body);
        None
    }

    /// Hands a broadcast to everybody, if the channel may send it. Who may not gets no answer.
    fn send(&self, at: usize, reference: &Ref, body: Body) {
        let channel = &self.channels[at];
        if channel.private && !channel.write.is_some_and(|allowed| allowed.broadcast) {
            return;
        }
        let hub = self.hub();
        hub.events.add(1);
        let except = (!channel.echo).then_some(channel.member.channel);
        hub.send(&channel.topic.key.name, channel.private, body, None, except);
        if channel.ack {
            self.reply(&channel.member.join_ref, reference, &channel.member.topic, Status::Ok, "{}");
        }
    }

    fn presence(&mut self, at: usize, reference: Ref, payload: Payload<'_>) -> Option<Job> {
        let payload = match &payload {
            Payload::Json(payload) => PresencePayload::parse(payload.get()),
            Payload::User(_) => PresencePayload::Unknown,
        };
        self.hub().presence.add(1);
        if self.hub().presence.triggered() {
            self.shut(at, "Too many presence messages per second");
            return None;
        }
        match payload {
            PresencePayload::Nothing => self.answer_presence(at, &reference, Status::Ok),
            PresencePayload::Unknown => self.answer_presence(at, &reference, Status::Error),
            PresencePayload::Untrack => {
                self.untrack(at);
                self.answer_presence(at, &reference, Status::Ok);
            }
            PresencePayload::Track(fields) => {
                if self.channels[at].private && self.channels[at].write.is_none() {
                    return Some(self.ask_to_write(at, Sending::Presence { reference, fields }));
                }
                self.track(at, &reference, fields);
            }
        }
        None
    }

    fn answer_presence(&self, at: usize, reference: &Ref, status: Status) {
        let member = &self.channels[at].member;
        self.reply(&member.join_ref, reference, &member.topic, status, "{}");
    }

    fn track(&mut self, at: usize, reference: &Ref, fields: Fields) {
        let channel = &self.channels[at];
        if channel.private && !channel.write.is_some_and(|allowed| allowed.presence) {
            self.answer_presence(at, reference, Status::Error);
            return;
        }
        let hub = self.service.hub.clone();
        hub.track(&channel.topic, channel.member.channel, &channel.presence_key, fields);
        self.channels[at].tracked = true;
        self.answer_presence(at, reference, Status::Ok);
    }

    fn untrack(&mut self, at: usize) {
        let hub = self.service.hub.clone();
        let channel = &mut self.channels[at];
        if std::mem::take(&mut channel.tracked) {
            hub.untrack(&channel.topic, channel.member.channel);
        }
    }

    fn subject(&self, token: &Token, name: &Arc<str>) -> Subject {
        Subject { token: token.clone(), topic: name.clone(), headers: self.headers.clone() }
    }

    fn ask_to_write(&self, at: usize, sending: Sending) -> Job {
        let channel = &self.channels[at];
        let number = channel.member.channel;
        let subject = self.subject(&channel.token, channel.name());
        let service = self.service.clone();
        Box::pin(async move {
            let allowed = service.may_write(&subject).await;
            Done::Write(number, allowed, sending)
        })
    }

    fn access_token(&mut self, at: usize, payload: Payload<'_>) -> Option<Job> {
        let Payload::Json(payload) = payload else { return None };
        let payload: serde_json::Value = serde_json::from_str(payload.get()).unwrap_or_default();
        let text = payload.get("access_token").and_then(serde_json::Value::as_str)?;
        let channel = &self.channels[at];
        if text.starts_with("sb_") || *text == *channel.token.text {
            return None;
        }
        let token = match claims::verify(&self.service.ring, &self.service.config.claim_validators, text) {
            Ok(token) => token,
            Err(error) => {
                self.shut(at, &error.to_string());
                return None;
            }
        };
        let number = channel.member.channel;
        if !channel.private {
            self.refreshed(number, token, Ok(channel.reads));
            return None;
        }
        let subject = self.subject(&token, channel.name());
        let service = self.service.clone();
        Some(Box::pin(async move {
            let reads = service.may_read(&subject).await;
            Done::Refreshed(number, token, reads)
        }))
    }

    fn refreshed(&mut self, number: u64, token: Token, reads: Result<Allowed, Failure>) {
        let Some(at) = self.channels.iter().position(|channel| channel.member.channel == number) else {
            return;
        };
        let channel = &mut self.channels[at];
        match reads {
            Ok(reads) if reads.broadcast => {
                if channel.private {
                    channel
                        .member
                        .sees_presence
                        .fetch_and(reads.presence, std::sync::atomic::Ordering::Relaxed);
                }
                channel.reads = reads;
                channel.write = None;
                channel.verify_at = verify_at(&token);
                self.stirred = true;
                if let Some(subscription) = &channel.subscription {
                    subscription.claims(token.claims.clone());
                }
                channel.token = token;
            }
            Ok(_) | Err(Failure::Policy) => {
                let message = format!(
                    "You do not have permissions to read from this Channel topic: {}",
                    channel.topic.key.name
                );
                self.shut(at, &message);
            }
            Err(Failure::TooLong) => self.shut(at, "Query was cancelled, please try again"),
            Err(_) => self.shut(at, "Realtime was unable to connect to the project database"),
        }
    }

    /// Goes on where a job has answered.
    pub(super) fn complete(&mut self, done: Done) {
        match done {
            Done::Joined(joining, outcome) => self.joined(*joining, outcome),
            Done::Refreshed(number, token, reads) => self.refreshed(number, token, reads),
            Done::Write(number, allowed, sending) => {
                let Some(at) = self.channels.iter().position(|channel| channel.member.channel == number)
                else {
                    return;
                };
                let failed = allowed.is_err();
                // A failure is not remembered: the next message asks again.
                self.channels[at].write = allowed.ok();
                match sending {
                    Sending::Broadcast { reference, body } if !failed => self.send(at, &reference, body),
                    Sending::Broadcast { .. } => {}
                    Sending::Presence { reference, fields } => self.track(at, &reference, fields),
                }
            }
        }
    }

    /// Does what the socket was ordered to do.
    pub(super) fn obey(&mut self, channel: u64, message: &str) {
        if let Some(at) = self.channels.iter().position(|known| known.member.channel == channel) {
            self.shut(at, message);
        }
    }

    /// Closes a channel after telling it why.
    pub(super) fn shut(&mut self, at: usize, message: &str) {
        let channel = &self.channels[at];
        system(channel, Status::Error, message);
        metrics::counter!("realtime_channel_error", "code" => "ChannelShutdown").increment(1);
        self.close(at);
    }

    /// Ends a channel and says so.
    fn close(&mut self, at: usize) {
        let member = self.forget(at);
        self.outbox.send(protocol::closing(self.version, &member.join_ref, &member.topic, "phx_close"));
    }

    /// Ends a channel.
    pub(super) fn forget(&mut self, at: usize) -> Arc<crate::hub::Member> {
        self.untrack(at);
        let channel = self.channels.swap_remove(at);
        self.service.hub.leave(&channel.topic, channel.member.channel);
        if self.channels.is_empty() {
            self.channels = Vec::new();
            self.emptied = Some(Instant::now());
            self.stirred = true;
        }
        channel.member
    }

    /// Ends everything: the socket is gone.
    pub(super) fn end(&mut self) {
        self.outbox.close();
        while !self.channels.is_empty() {
            self.forget(0);
        }
        if std::mem::take(&mut self.counted) {
            self.service.hub.remove_user();
        }
    }

    /// Closes the channels whose tokens have expired; answers when to look again.
    pub(super) fn verify_tokens(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.channels.len() {
            let channel = &mut self.channels[at];
            if channel.verify_at <= now {
                match channel.token.check() {
                    Ok(()) => channel.verify_at = verify_at(&channel.token),
                    Err(error) => {
                        self.shut(at, &error.to_string());
                        continue;
                    }
                }
            }
            at += 1;
        }
    }

    /// When the next token is to be looked at.
    pub(super) fn next_verification(&self) -> Option<Instant> {
        self.channels.iter().map(|channel| channel.verify_at).min()
    }

    /// Every channel is told that the tenant has changed.
    pub(super) fn disconnect(&mut self) {
        while !self.channels.is_empty() {
            system(&self.channels[0], Status::Ok, "Server requested disconnect");
            self.close(0);
        }
        // After what was just queued.
        self.outbox.order(Item::Close);
    }
}

/// A message about the channel itself.
pub(super) fn system(channel: &Channel, status: Status, message: &str) {
    let payload = format!(
        "{{\"channel\":{},\"extension\":\"system\",\"message\":{},\"status\":\"{}\"}}",
        quoted(&channel.topic.key.name),
        quoted(message),
        status.as_str()
    );
    channel.member.push("system", &payload);
}

/// A binary broadcast whose JSON parts are JSON; others would break whoever reads them.
fn checked(user: UserBroadcast) -> Option<UserBroadcast> {
    use serde_json::value::RawValue;
    let json = |text: &[u8]| serde_json::from_slice::<&RawValue>(text).is_ok();
    let payload = user.encoding == protocol::Encoding::Opaque || json(&user.payload);
    let metadata =
        user.metadata.is_empty() || (user.metadata.starts_with('{') && json(user.metadata.as_bytes()));
    (payload && metadata).then_some(user)
}

/// What a client asks of its presence.
enum PresencePayload {
    Track(Fields),
    Untrack,
    /// No event: nothing happens, successfully.
    Nothing,
    Unknown,
}

impl PresencePayload {
    fn parse(payload: &str) -> Self {
        #[derive(serde::Deserialize)]
        struct Form<'a> {
            event: Option<serde_json::Value>,
            #[serde(borrow)]
            payload: Option<&'a serde_json::value::RawValue>,
        }
        let Ok(Form { event, payload }) = serde_json::from_str(payload) else { return Self::Unknown };
        let Some(event) = event else { return Self::Nothing };
        match event.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("track") => match Fields::parse(payload.map_or("{}", serde_json::value::RawValue::get)) {
                Some(fields) => Self::Track(fields),
                None => Self::Unknown,
            },
            Some("untrack") => Self::Untrack,
            _ => Self::Unknown,
        }
    }
}
