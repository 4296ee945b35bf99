//! What goes to standard error: lines with a label, coloured where someone looks at them.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use crate::cli::Colour;

static COLOUR: OnceLock<bool> = OnceLock::new();

/// Decides about colour once. The word of the label always carries the meaning too.
pub(crate) fn choose_colour(wish: Colour) {
    let colour = match wish {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let _ = COLOUR.set(colour);
}

#[derive(Clone, Copy)]
pub(crate) enum Style {
    Error,
    Warning,
    Hint,
}

/// Prints `label: text` on standard error.
pub(crate) fn tell(style: Style, label: &str, text: &str) {
    let code = match style {
        Style::Error => "1;31",
        Style::Warning => "1;33",
        Style::Hint => "1;36",
    };
    let line = if COLOUR.get().copied().unwrap_or(false) {
        format!("\x1b[{code}m{label}:\x1b[0m {text}\n")
    } else {
        format!("{label}: {text}\n")
    };
    // Nobody is left to tell when standard error is gone.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Prints a configuration's notices.
pub(crate) fn notices(notices: &[config::Notice]) {
    for notice in notices {
        tell(Style::Warning, "warning", &notice.message);
        if let Some(hint) = &notice.hint {
            tell(Style::Hint, "hint", hint);
        }
    }
}
