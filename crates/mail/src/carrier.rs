//! Whoever takes letters: a mail server, or a box in this process.

use std::future::Future;
use std::pin::Pin;

use crate::{Letter, Smtp, SmtpError};

/// A future of [`Carrier`].
pub type Carrying<'a> = Pin<Box<dyn Future<Output = Result<(), SmtpError>> + Send + 'a>>;

/// Takes letters.
pub trait Carrier: Send + Sync {
    /// Takes a letter. It has it for good when this succeeds.
    fn carry<'a>(&'a self, letter: &'a Letter) -> Carrying<'a>;
}

impl Carrier for Smtp {
    fn carry<'a>(&'a self, letter: &'a Letter) -> Carrying<'a> {
        Box::pin(self.send(letter))
    }
}
