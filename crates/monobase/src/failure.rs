//! How a command fails: one line of causes, what belongs to it, a hint, an exit code.

use std::fmt::Display;
use std::process::ExitCode;

use crate::terminal::{self, Style};

/// The exit codes beside success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Failure = 1,
    Usage = 2,
    /// Something must be done first: nothing runs here, nothing is configured.
    Precondition = 3,
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    error: anyhow::Error,
    /// Lines that keep their form.
    detail: Option<String>,
    hint: Option<String>,
    silent: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Display) -> Failure {
        Failure::from(anyhow::anyhow!("{message}"))
    }

    pub(crate) fn code(mut self, code: Code) -> Failure {
        self.code = code;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Somebody has told the user already.
    pub(crate) fn told_already() -> Failure {
        Failure { silent: true, ..Failure::new("") }
    }

    /// Prints the failure and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.silent {
            let causes: Vec<String> = self.error.chain().map(|cause| one_line(&cause.to_string())).collect();
            // A cause that its wrapper repeats word for word tells nothing new.
            let mut line = String::new();
            for cause in causes {
                if line.is_empty() {
                    line = cause;
                } else if !line.contains(&cause) {
                    line = format!("{line}: {cause}");
                }
            }
            if let Some(detail) = &self.detail {
                line.push('\n');
                line.push_str(detail);
            }
            terminal::tell(Style::Error, "error", &line);
            if let Some(hint) = &self.hint {
                terminal::tell(Style::Hint, "hint", hint);
            }
        }
        ExitCode::from(self.code as u8)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure { code: Code::Failure, error, detail: None, hint: None, silent: false }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Self {
        let hint = error.hint.clone();
        Failure { hint, ..anyhow::Error::from(error).into() }
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        let (detail, hint) = (error.detail(), error.hint());
        Failure { detail, hint, ..anyhow::Error::from(error).into() }
    }
}

impl From<telemetry::log::LogError> for Failure {
    fn from(error: telemetry::log::LogError) -> Self {
        Failure::from(anyhow::Error::from(error))
            .hint("a filter is a level, or levels by service: info,rest=debug")
    }
}
