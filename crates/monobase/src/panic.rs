//! A bug is reported in one line; the backtrace is for those who ask.

use std::panic::PanicHookInfo;

use crate::terminal::{Style, tell};

/// Replaces the standard report, unless `-vv` asks for it.
pub(crate) fn install(verbose: u8) {
    if verbose >= 2 {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        tell(Style::Error, "error", &format!("this is a bug in monobase: {}{place}", message(info)));
        tell(Style::Hint, "hint", "-vv and RUST_BACKTRACE=1 show where it came from");
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
