//! imgproxy's URLs over [`imaging`]: `/<signature>/<options>/<source>`.
//!
//! `path` takes a URL apart, `options` makes a [`imaging::Transform`] of it, `source` loads, `process` puts it together and
//! `answer` writes the headers. Texts, numbers and orders are imgproxy 3.8.0's; docs/differences.md says where not.

mod answer;
mod config;
mod environment;
mod error;
mod etag;
mod measures;
mod options;
mod path;
mod process;
mod service;
mod signature;
mod source;

pub use config::{Config, Defaults, Detection, Fallback, Given};
pub use environment::{ConfigError, Environment};
pub use error::Error;
pub use options::Presets;
pub use outgoing::Addresses;
pub use service::Imgproxy;
pub use signature::Signing;
pub use source::{Pattern, S3Config};
