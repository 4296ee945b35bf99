//! Joining: the checks in the original's order, and what follows an admission.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::channel::{Channel, verify_at};
use super::join::JoinParams;
use super::session::{Admission, Done, Job, Joining, Session, system};
use crate::authorization::{Allowed, Failure, Subject};
use crate::changes::ChangeSink;
use crate::claims;
use crate::hub::{Body, Broadcast, Member, PREFIX, TopicKey};
use crate::protocol::{self, Ref, Status};
use crate::replay::Replay;
use crate::service::Inner;

impl Session {
    pub(super) fn join(
        &mut self,
        given: Ref,
        reference: Ref,
        topic: &str,
        payload: &str,
        joined: Option<usize>,
    ) -> Option<Job> {
        let Some(name) = topic.strip_prefix(PREFIX) else {
            self.refuse(&given, &reference, topic, "unmatched topic");
            return None;
        };
        let named = !given.is_null();
        let join_ref = if named { given } else { reference.clone() };
        let replaced = joined.map(|at| self.forget(at).join_ref.clone());
        let params = JoinParams::parse(payload, name);
        let mut joining = Joining {
            reference,
            join_ref,
            named,
            topic: topic.into(),
            params,
            token: self.token.clone(),
            replaced,
        };
        if let Err(reason) = self.check(name, &mut joining) {
            self.joined(joining, Err(reason));
            return None;
        }
        if !joining.params.private && joining.params.replay.is_none() {
            self.joined(
                joining,
                Ok(Admission { reads: Allowed { broadcast: true, presence: true }, ..Admission::default() }),
            );
            return None;
        }
        let subject =
            Subject { token: joining.token.clone(), topic: name.into(), headers: self.headers.clone() };
        let service = self.service.clone();
        Some(Box::pin(async move {
            let admission = admit(&service, &subject, &joining.params).await;
            Done::Joined(Box::new(joining), admission)
        }))
    }

    /// What needs no database.
    fn check(&mut self, name: &str, joining: &mut Joining) -> Result<(), String> {
        let config = &self.service.config;
        let hub = &self.service.hub;
        if self.service.stop.is_cancelled() {
            return Err("RealtimeRestarting: Realtime is restarting, please standby".to_owned());
        }
        if hub.limits.suspended() {
            return Err("RealtimeDisabledForTenant: Realtime disabled for this tenant".to_owned());
        }
        if name.is_empty() {
            return Err("TopicNameRequired: You must provide a topic name".to_owned());
        }
        if hub.limits.private_only() && !joining.params.private {
            return Err("PrivateOnly: This project only allows private channels".to_owned());
        }
        if hub.joins.triggered() {
            return Err("ClientJoinRateLimitReached: Too many joins per second".to_owned());
        }
        hub.joins.add(1);
        if self.channels.len() >= hub.limits.channels() {
            return Err("ChannelRateLimitReached: Too many channels".to_owned());
        }
        if hub.users() >= hub.limits.users() {
            return Err("ConnectionRateLimitReached: Too many connected users".to_owned());
        }
        joining.token = match joining.params.token.take() {
            Some(text) => claims::verify(&self.service.ring, &config.claim_validators, &text),
            None => self.token.check().map(|()| self.token.clone()),
        }
        .map_err(|error| error.join_reason())?;
        Ok(())
    }

    /// Answers a join, and begins what it asked for.
    pub(super) fn joined(&mut self, joining: Joining, outcome: Result<Admission, String>) {
        let Joining { reference, join_ref, named, topic, params, token, replaced } = joining;
        let admission = match outcome {
            Ok(admission) => admission,
            Err(reason) => {
                let code = reason.split(':').next().unwrap_or("").to_owned();
                tracing::info!(%topic, %reason, "a join was refused");
                metrics::counter!("realtime_channel_error", "code" => code).increment(1);
                count_join("error");
                self.refuse(&join_ref, &reference, &topic, &reason);
                self.say_replaced(&topic, replaced);
                return;
            }
        };
        count_join("ok");
        self.reply(&join_ref, &reference, &topic, Status::Ok, &params.response());
        self.say_replaced(&topic, replaced);
        let hub = self.service.hub.clone();
        let name = topic.strip_prefix(PREFIX).unwrap_or(&topic);
        let member = Arc::new(Member {
            channel: hub.number(),
            outbox: self.outbox.clone(),
            version: self.version,
            topic: topic.clone(),
            join_ref,
            legacy: params.legacy,
            replayed: admission.replayed.iter().map(|message| message.id.clone()).collect(),
            // With the state, if it is sent: no change is told before it.
            sees_presence: AtomicBool::new(admission.reads.presence && !params.presence),
        });
        let key = TopicKey { name: name.into(), private: params.private };
        let handle = hub.join(key, member.clone());
        if params.presence && admission.reads.presence {
            handle.send_state(&member);
        }
        for message in &admission.replayed {
            match &message.body {
                Body::Map(payload) => member.push("broadcast", payload),
                body => {
                    let broadcast = Broadcast::new(topic.clone(), body.clone(), None);
                    if let Some(frame) = broadcast.frame(member.version) {
                        member.outbox.send(frame.clone());
                    }
                }
            }
        }
        let bindings = params.bindings();
        let subscription = (!bindings.is_empty()).then(|| {
            self.service.changes.subscribe(token.claims.clone(), bindings, ChangeSink::new(member.clone()))
        });
        if !std::mem::replace(&mut self.counted, true) {
            hub.add_user(&self.outbox);
        }
        self.emptied = None;
        self.stirred = true;
        let channel = Channel {
            member,
            topic: handle,
            named,
            ack: params.ack,
            echo: params.echo,
            private: params.private,
            presence_key: params.presence_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()).into(),
            tracked: false,
            verify_at: verify_at(&token),
            token,
            write: None,
            reads: admission.reads,
            subscription,
        };
        if params.replication_ready && self.service.changes.hears_messages() {
            system(&channel, Status::Ok, "Replication connection established");
        }
        self.channels.push(channel);
    }

    fn say_replaced(&self, topic: &str, replaced: Option<Ref>) {
        if let Some(old) = replaced {
            self.outbox.send(protocol::closing(self.version, &old, topic, "phx_close"));
        }
    }
}

fn count_join(result: &'static str) {
    metrics::counter!("phoenix_channel_joined_total", "result" => result, "transport" => "websocket")
        .increment(1);
}

/// Asks the policies of a private channel, and fetches what is to be replayed.
async fn admit(service: &Inner, subject: &Subject, params: &JoinParams) -> Result<Admission, String> {
    let timeout = service.config.authorization_timeout;
    let mut admission =
        Admission { reads: Allowed { broadcast: true, presence: true }, ..Admission::default() };
    if params.private {
        let denied = || {
            format!(
                "Unauthorized: You do not have permissions to read from this Channel topic: {}",
                subject.topic
            )
        };
        admission.reads = service.may_read(subject).await.map_err(|failure| match failure {
            Failure::Policy => denied(),
            other => reason(other).to_owned(),
        })?;
        if !admission.reads.broadcast {
            return Err(denied());
        }
    }
    if let Some(replay) = &params.replay {
        if !params.private {
            return Err("UnableToReplayMessages: Replay is not allowed for public channels".to_owned());
        }
        let replay = Replay::parse(replay)
            .ok_or_else(|| "UnableToReplayMessages: Replay params are not valid".to_owned())?;
        admission.replayed = replay.run(&service.pool, &subject.topic, timeout).await.map_err(|error| {
            tracing::warn!(%error, "messages cannot be replayed");
            "UnableToReplayMessages: Realtime was unable to replay messages".to_owned()
        })?;
    }
    Ok(admission)
}

/// The reason in the answer to a join.
fn reason(failure: Failure) -> &'static str {
    match failure {
        Failure::NoConnection | Failure::TooLong => {
            "IncreaseConnectionPool: Please increase your connection pool size"
        }
        Failure::Crowded => {
            "DatabaseLackOfConnections: Database can't accept more connections, Realtime won't connect"
        }
        Failure::Unavailable => {
            "UnableToConnectToProject: Realtime was unable to connect to the project database"
        }
        Failure::MissingPartition => {
            "MissingPartition: Realtime was unable to find the expected messages partition"
        }
        Failure::Policy | Failure::Settings => "Realtime was unable to connect to the project database",
    }
}
