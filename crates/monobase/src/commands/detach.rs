//! `monobase start --detach`: the same program once more, in the background.
//!
//! The child reports over its standard output, one JSON message a line, and logs to
//! `.monobase/monobase.log`. The parent returns when the child is ready or has ended.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::process::{Command, Stdio};

use config::Config;
use serde::{Deserialize, Serialize};
use server::Info;

use crate::cli::Global;
use crate::failure::Failure;
use crate::progress::Steps;
use crate::settings;

/// What the child tells.
#[derive(Serialize, Deserialize)]
pub(crate) enum Message {
    /// A step begins.
    Step(String),
    /// It is ready; nothing more comes.
    Ready { info: Info, notices: Vec<String> },
}

/// How much of the log is shown of a start that failed.
const SHOWN_OF_LOG: usize = 4096;

/// Starts the child and waits until it is ready.
pub(crate) fn as_parent(global: &Global, config: &Config) -> Result<Info, Failure> {
    let path = config.paths.log_file();
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
    // Ours alone: data, secrets and sockets are in there.
    DirBuilder::new().recursive(true).mode(0o700).create(&config.paths.state).map_err(failed)?;
    let mut log =
        OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path).map_err(failed)?;
    let start_of_run = log.seek(SeekFrom::End(0)).map_err(failed)?;

    // The child is called with the same words. It reads the same files, a moment later.
    let program = std::env::current_exe()?;
    let words = std::env::args_os().skip(1).filter(|word| word != "--detach" && word != "-d");
    let mut child = Command::new(program)
        .args(words)
        .arg("--in-background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()?;
    let reports = child.stdout.take().ok_or_else(|| Failure::new("the child has no standard output"))?;

    let steps = Steps::new(global.quiet);
    for line in BufReader::new(reports).lines() {
        let message = serde_json::from_str(&line?).map_err(anyhow::Error::from)?;
        match message {
            Message::Step(text) => steps.begin(&text),
            Message::Ready { info, notices } => {
                steps.end();
                super::start::warn(&notices, global);
                return Ok(info);
            }
        }
    }
    steps.end();
    // It has ended without becoming ready; its own words are in the log.
    let status = child.wait()?;
    let text = since(&mut log, start_of_run)?;
    if text.trim().is_empty() {
        return Err(Failure::new(format!("monobase ended during its start ({status})")));
    }
    std::io::stderr().lock().write_all(text.as_bytes())?;
    Err(Failure::told_already())
}

/// The end of what was logged since an offset, whole lines.
fn since(log: &mut File, offset: u64) -> Result<String, Failure> {
    log.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut from = text.len().saturating_sub(SHOWN_OF_LOG);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let from = if from == 0 { 0 } else { text[from..].find('\n').map_or(from, |at| from + at + 1) };
    Ok(text[from..].to_owned())
}

/// Runs the server as the child.
pub(crate) fn as_child(global: &Global, config: Config) -> Result<(), Failure> {
    // A session of its own: closing the terminal does not end it.
    nix::unistd::setsid().map_err(|error| Failure::new(format!("cannot leave the terminal: {error}")))?;
    config.check_start()?;
    // `--quiet` was for the terminal; this log is a file.
    settings::start_logging(false, global.verbose, Some(&config))?;
    settings::block_on(super::start::run_reporting(config, |message| {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        // The parent may have been interrupted; the server was asked for all the same.
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }))
}
