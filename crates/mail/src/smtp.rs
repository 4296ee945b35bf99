//! Handing mail to a server.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::{Credentials as Login, Mechanism};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncTransport as _, Tokio1Executor};

use crate::{Letter, Sender};

/// A user's name and password at a mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, or no connection at all.
    StartTls,
    /// STARTTLS if the server offers it.
    Opportunistic,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Name or address.
    pub host: String,
    /// Port; 465 speaks TLS from the first byte.
    pub port: u16,
    /// Who signs in; nobody if the server asks for nothing.
    pub credentials: Option<Credentials>,
    /// Who sends.
    pub sender: Sender,
    /// How we introduce ourselves; our host's name if empty.
    pub hello: String,
    /// Longest wait for any one answer.
    pub timeout: Duration,
}

impl SmtpConfig {
    /// As GoTrue chooses, with one difference: a password never travels unprotected to another machine.
    #[must_use]
    pub fn security(&self) -> Security {
        let local = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1" | "[::1]");
        match self.port {
            465 => Security::Tls,
            _ if self.credentials.is_some() && !local => Security::StartTls,
            _ => Security::Opportunistic,
        }
    }
}

/// Why a mail was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The server will never take it: another try is useless.
    #[error("the mail server refuses it: {0}")]
    Refused(String),
    /// The server cannot be reached or does not want it now.
    #[error("the mail server cannot take it now: {0}")]
    Later(String),
    /// It cannot be written down as a mail.
    #[error("it is no mail: {0}")]
    Letter(String),
    /// The settings of the server make no sense.
    #[error("the mail server's settings: {0}")]
    Settings(String),
}

impl SmtpError {
    /// Whether another try might succeed.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Later(_))
    }
}

/// A mail server to hand letters to. Every letter has a connection of its own, as GoTrue's have.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
    /// Longest that handing over may take in all.
    whole: Duration,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("sender", &self.sender).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Prepares a server. Nothing is connected yet.
    pub fn new(config: &SmtpConfig) -> Result<Self, SmtpError> {
        let parameters = || {
            TlsParameters::new(config.host.clone()).map_err(|error| SmtpError::Settings(error.to_string()))
        };
        let tls = match config.security() {
            Security::Tls => Tls::Wrapper(parameters()?),
            Security::StartTls => Tls::Required(parameters()?),
            Security::Opportunistic => Tls::Opportunistic(parameters()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.clone())
            .port(config.port)
            .tls(tls)
            .timeout(Some(config.timeout));
        if !config.hello.is_empty() {
            builder = builder.hello_name(ClientId::Domain(config.hello.clone()));
        }
        if let Some(credentials) = &config.credentials {
            builder = builder
                .credentials(Login::new(credentials.user.clone(), credentials.password.clone()))
                .authentication(vec![Mechanism::Plain, Mechanism::Login]);
        }
        Ok(Self { transport: builder.build(), sender: config.sender.clone(), whole: config.timeout * 3 })
    }

    /// Hands a letter over. The server has taken it when this succeeds.
    pub async fn send(&self, letter: &Letter) -> Result<(), SmtpError> {
        let (envelope, message) = letter.message(&self.sender)?;
        match tokio::time::timeout(self.whole, self.transport.send_raw(&envelope, &message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(SmtpError::Refused(describe(&error))),
            Ok(Err(error)) => Err(SmtpError::Later(describe(&error))),
            Err(_) => Err(SmtpError::Later("it took too long".into())),
        }
    }
}

/// An error with what lies behind it.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str, port: u16, user: Option<&str>) -> SmtpConfig {
        SmtpConfig {
            host: host.into(),
            port,
            credentials: user.map(|user| Credentials { user: user.into(), password: "hush".into() }),
            sender: Sender::default(),
            hello: String::new(),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn passwords_travel_protected() {
        assert_eq!(config("smtp.example.test", 465, Some("u")).security(), Security::Tls);
        assert_eq!(config("smtp.example.test", 587, Some("u")).security(), Security::StartTls);
        assert_eq!(config("localhost", 2500, Some("u")).security(), Security::Opportunistic);
        assert_eq!(config("smtp.example.test", 25, None).security(), Security::Opportunistic);
        assert!(!format!("{:?}", config("h", 1, Some("u"))).contains("hush"));
    }
}
