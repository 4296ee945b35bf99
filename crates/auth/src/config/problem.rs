//! What can be wrong with a configuration.

use std::borrow::Cow;

/// A setting that cannot be used. The message names the setting.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting without a default is not there.
    #[error("{name} is required")]
    Missing {
        /// The setting's environment name.
        name: Cow<'static, str>,
    },
    /// A setting does not parse or contradicts another.
    #[error("{name}: {reason}")]
    Invalid {
        /// The setting's environment name.
        name: Cow<'static, str>,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(name: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::Invalid { name: name.into(), reason: reason.into() }
    }
}
