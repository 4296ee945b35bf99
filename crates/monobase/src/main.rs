//! The command line: one module a command in [`commands`], and nothing else.

mod cli;
mod commands;
mod failure;
mod memory;
mod output;
mod panic;
mod progress;
#[cfg(test)]
mod reference;
mod settings;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::choose_colour(cli.global.color);
    panic::install(cli.global.verbose);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Start(arguments) => commands::start::run(global, &arguments),
        Command::Stop(arguments) => commands::stop::run(global, &arguments),
        Command::Status(arguments) => commands::status::run(global, &arguments),
        Command::Serve(arguments) => commands::serve::run(global, &arguments),
        Command::Config(arguments) => commands::config::run(global, &arguments),
        Command::Keys(arguments) => commands::keys::run(global, &arguments),
        Command::Db(arguments) => commands::db::run(global, &arguments),
        Command::Licenses => commands::licenses::run(),
        Command::Version(arguments) => commands::version::run(global, &arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments),
    }
}
