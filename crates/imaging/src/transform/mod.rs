//! What is done with pixels: pure functions, one step a file, put together in [`pipeline`].

mod filters;
mod geometry;
pub(crate) mod options;
mod pipeline;
mod resample;
mod smart;
mod trim;
mod watermark;

pub use pipeline::{Rendered, render};

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
