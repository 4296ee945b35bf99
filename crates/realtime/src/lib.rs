//! Websocket channels: broadcast, presence and database changes.
