//! What the server tells about itself: log lines, metrics, and the bus of structured events.
//!
//! Services log with `tracing` and count with `metrics`; neither knows where it ends up. This crate
//! decides that once a process: [`log::init`] and [`metrics::install`]. [`events::Bus`] carries what
//! happened (a request, a start, a failure) to whoever keeps it.

pub mod events;
pub mod log;
pub mod metrics;
