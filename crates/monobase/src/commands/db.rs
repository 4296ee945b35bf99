//! `monobase db`.

use config::Flags;

use crate::cli::{DbArguments, DbCommand, Global};
use crate::failure::Failure;
use crate::{output, settings, terminal};

pub(crate) fn run(global: &Global, arguments: &DbArguments) -> Result<(), Failure> {
    let DbCommand::Adopt { db_url, yes, production } = &arguments.command;
    let flags = Flags { db_url: db_url.clone(), production: *production, ..settings::of_global(global) };
    let config = settings::load(flags)?;
    if !global.quiet {
        terminal::notices(&config.notices);
    }
    settings::start_logging(global.quiet, global.verbose, Some(&config))?;
    let apply = *yes;
    let report = settings::block_on_here(async { Ok(server::adopt(&config, apply).await?) })?;
    output::print(&report)?;
    if !apply && !global.quiet {
        terminal::tell(terminal::Style::Hint, "hint", "nothing was changed; --yes does it");
    }
    Ok(())
}
