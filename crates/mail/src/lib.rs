//! Mail: templates, letters, and their way to a mail server.
//!
//! [`Template`] speaks the template language of Go, because projects' mail templates are written in
//! it. [`Templates`] knows where each kind of mail has its subject and body and keeps them fresh.
//! [`Letter`] is a mail ready to be sent; [`Smtp`] hands it to a server.

mod carrier;
mod kind;
mod letter;
mod smtp;
mod template;
mod templates;

pub use carrier::{Carrier, Carrying};
pub use kind::Kind;
pub use letter::{Letter, Sender};
pub use smtp::{Credentials, Security, Smtp, SmtpConfig, SmtpError};
pub use template::{Template, TemplateError};
pub use templates::{Source, Templates, TemplatesConfig};
