//! `monobase start`: everything behind one front door.

use config::{Config, DatabaseLocation, Origin};
use server::control::{self, Status};
use server::{Info, Progress, StartOptions};

use crate::cli::{Global, StartArguments};
use crate::commands::detach::{self, Message};
use crate::failure::Failure;
use crate::progress::Steps;
use crate::{output, settings, terminal};

pub(crate) fn run(global: &Global, arguments: &StartArguments) -> Result<(), Failure> {
    let config = settings::of_stack(global, &arguments.stack)?;
    if arguments.in_background {
        return detach::as_child(global, config);
    }
    if !global.quiet {
        terminal::notices(&config.notices);
        if let Some(note) = other_version(&config) {
            terminal::tell(terminal::Style::Warning, "note", &note);
        }
    }
    config.check_start()?;
    let socket = config.paths.control_socket();
    let production = config.production;
    match settings::block_on_here(async { Ok(control::status(&socket).await?) })? {
        Status::Down => {}
        Status::Starting => {
            return Err(Failure::new("monobase is being started here already")
                .hint("wait for it, or stop it with `monobase stop`"));
        }
        // As often as a script asks: the stack is there.
        Status::Up(info) if arguments.detach => {
            if !global.quiet {
                terminal::tell(terminal::Style::Warning, "note", "monobase is already running here");
            }
            return print_ready(&info, production, global);
        }
        Status::Up(_) => {
            return Err(Failure::new("monobase is already running here")
                .hint("`monobase status` prints its addresses, `monobase stop` stops it"));
        }
    }
    if arguments.detach {
        let info = detach::as_parent(global, &config)?;
        return print_ready(&info, production, global);
    }
    settings::start_logging(global.quiet, global.verbose, Some(&config))?;
    let steps = Steps::new(global.quiet);
    settings::block_on(async {
        let shown = steps.clone();
        let progress = Progress::new(move |step| shown.begin(&step.to_string()));
        let started = server::start(StartOptions { config, progress }).await;
        steps.end();
        let running = started?;
        warn(running.notices(), global);
        print_ready(running.info(), production, global)?;
        Ok(running.wait().await?)
    })
}

/// A project made for another PostgreSQL runs all the same; an existing data directory's version decides.
fn other_version(config: &Config) -> Option<String> {
    let key = config.entries.iter().find(|entry| entry.path == "db.major_version")?;
    if key.origin == Origin::Default || config.database != DatabaseLocation::Embedded {
        return None;
    }
    let wanted = config.file.db.major_version;
    let engine = embedded_postgres::licenses::parts().into_iter().find(|part| part.name == "PostgreSQL")?;
    let ours = engine.version.split('.').next()?;
    (ours != wanted.to_string()).then(|| {
        format!("the embedded database is PostgreSQL {ours}, not {wanted} (db.major_version, {})", key.origin)
    })
}

/// What the start found worth telling.
pub(crate) fn warn(notices: &[String], global: &Global) {
    for notice in notices.iter().filter(|_| !global.quiet) {
        terminal::tell(terminal::Style::Warning, "warning", notice);
    }
}

/// The block of addresses and keys. In production standard output is a log file: no secrets there.
fn print_ready(info: &Info, production: bool, global: &Global) -> Result<(), Failure> {
    if let Some(text) = output::variables(&info.variables, global.output)? {
        return output::print(&text);
    }
    if production {
        let address = info.variables.get("API_URL").map(String::as_str).unwrap_or("no front door");
        return output::print(&format!("Ready: {address}\nKeys: `monobase status` prints them\n"));
    }
    output::print(&format!("Ready.\n\n{}\n", output::block(&info.variables)))
}

/// What the background process does; see [`detach`].
pub(crate) async fn run_reporting(
    config: Config,
    tell: impl Fn(&Message) + Clone + Send + Sync + 'static,
) -> Result<(), Failure> {
    let step = tell.clone();
    let progress = Progress::new(move |begun| step(&Message::Step(begun.to_string())));
    let running = server::start(StartOptions { config, progress }).await?;
    tell(&Message::Ready { info: running.info().clone(), notices: running.notices().to_vec() });
    drop(tell);
    Ok(running.wait().await?)
}
