//! A websocket client that shows every byte.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must happen.
const SILENCE: Duration = Duration::from_millis(300);

pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<TcpStream>,
    v2: bool,
}

impl Socket {
    /// Connects; answers the status of a refusal.
    pub(crate) async fn connect(address: SocketAddr, vsn: &str, token: &str) -> Result<Self, u16> {
        Self::connect_to(address, &format!("/socket/websocket?vsn={vsn}&apikey={token}")).await
    }

    pub(crate) async fn connect_to(address: SocketAddr, path: &str) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).await.unwrap();
        let outcome = tokio_tungstenite::client_async(format!("ws://test{path}"), stream).await;
        match outcome {
            Ok((stream, _)) => Ok(Self { stream, v2: path.contains("vsn=2") }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn text(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    pub(crate) async fn binary(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends an event, spelled as the socket's version has it.
    pub(crate) async fn send(
        &mut self,
        join_ref: &str,
        reference: &str,
        topic: &str,
        event: &str,
        payload: Value,
    ) {
        let message = if self.v2 {
            json!([join_ref, reference, topic, event, payload])
        } else {
            json!({ "join_ref": join_ref, "ref": reference, "topic": topic, "event": event, "payload": payload })
        };
        self.text(message.to_string()).await;
    }

    /// The next message, whatever it is.
    pub(crate) async fn next(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        message.expect("nothing came").expect("the socket ended").unwrap()
    }

    /// The next message, which must be JSON.
    pub(crate) async fn json(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Nothing comes for a while.
    pub(crate) async fn silent(&mut self) {
        let message = tokio::time::timeout(SILENCE, self.stream.next()).await;
        assert!(message.is_err(), "{message:?}");
    }

    /// The socket is closed, after what is still to be read.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("it stays open") {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Joins with `config`, and takes the answer in.
    pub(crate) async fn join(&mut self, topic: &str, config: Value) -> Value {
        self.send("1", "1", topic, "phx_join", json!({ "config": config })).await;
        let answer = self.json().await;
        let payload = if self.v2 { answer[4].clone() } else { answer["payload"].clone() };
        assert_eq!(payload["status"], "ok", "{answer}");
        payload["response"].clone()
    }

    /// Joins without presence; nothing but the answer comes.
    pub(crate) async fn join_quietly(&mut self, topic: &str, mut config: Value) {
        config["presence"] = json!({ "enabled": false });
        self.join(topic, config).await;
    }
}
