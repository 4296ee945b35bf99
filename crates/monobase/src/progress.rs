//! The steps of a start, on standard error: a spinner on a terminal, a line each elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows one step at a time.
#[derive(Clone)]
pub(crate) struct Steps {
    bar: ProgressBar,
    lines: bool,
}

impl Steps {
    /// Shows nothing when `quiet`.
    pub(crate) fn new(quiet: bool) -> Steps {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal && !quiet {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        };
        Steps { bar, lines: !terminal && !quiet }
    }

    /// A step begins.
    pub(crate) fn begin(&self, text: &str) {
        if self.lines {
            let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), format!("{text}\n").as_bytes());
        } else {
            self.bar.set_message(text.to_owned());
        }
    }

    /// Clears the line for what comes next.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
