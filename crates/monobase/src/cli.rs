//! The grammar of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The whole self-hosted Supabase stack as one binary.
#[derive(Debug, Parser)]
#[command(name = "monobase", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The project's folder, the one that holds supabase/
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) workdir: Option<PathBuf>,
    /// Another configuration than supabase/config.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// A file of NAME=value lines, read before the project's own .env files
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) env_file: Option<PathBuf>,
    /// The form of what is printed
    #[arg(short, long, global = true, value_enum, default_value = "text", help_heading = "Global options")]
    pub(crate) output: Format,
    /// Print no progress and no notices
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value = "auto", help_heading = "Global options")]
    pub(crate) color: Colour,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[value(alias = "pretty")]
    Text,
    /// One JSON document
    Json,
    /// NAME="value" lines that a shell can source
    Env,
    /// TOML
    Toml,
    /// YAML
    Yaml,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole stack behind one front door
    Start(StartArguments),
    /// Stop a running stack
    Stop(StopArguments),
    /// Print addresses and keys of a running stack; exit code 3 when there is none
    Status(StatusArguments),
    /// Run one service alone, configured by its original's environment names
    Serve(ServeArguments),
    /// Look at the configuration
    Config(ConfigArguments),
    /// Make and print keys
    Keys(KeysArguments),
    /// Work on the database
    Db(DbArguments),
    /// Print the licences of everything inside
    Licenses,
    /// Print the version
    Version(VersionArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
}

/// Where the installation is.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Where everything that lasts is kept [default: .monobase/ in the project's folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// What is started, and how.
#[derive(Args, Debug)]
pub(crate) struct Stack {
    /// An outside PostgreSQL instead of the embedded one: its administrator's connection string
    #[arg(long, value_name = "URL")]
    pub(crate) db_url: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The port of the front door; 0 picks free ports for everything
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The port of the embedded database
    #[arg(long, value_name = "PORT")]
    pub(crate) db_port: Option<u16>,
    /// The address of the front door; beyond loopback, real keys are required
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// Run only these services (comma separated)
    #[arg(long, value_name = "SERVICES")]
    pub(crate) only: Vec<String>,
    /// Do not run these services (comma separated; container names of the original are understood)
    #[arg(short = 'x', long, value_name = "SERVICES")]
    pub(crate) exclude: Vec<String>,
    /// Keep nothing: the data is thrown away at the end
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Others depend on it: refuse published secrets, let the environment choose where data lives
    #[arg(long)]
    pub(crate) production: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StartArguments {
    #[command(flatten)]
    pub(crate) stack: Stack,
    /// Return once everything is ready and go on in the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Report to a waiting `start --detach` over standard output
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) in_background: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StopArguments {
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print a value under another name: api.url=NEXT_PUBLIC_SUPABASE_URL
    #[arg(long, value_name = "KEY=NAME")]
    pub(crate) override_name: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// auth, rest, gateway, … or the name of the original's container
    pub(crate) service: String,
    /// The original's configuration file; only rest and auth have one
    pub(crate) file: Option<PathBuf>,
    /// Print the configuration as a file, secrets included, and exit; only rest
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// Print what is known of the database as JSON, and exit; only rest
    #[arg(long, conflicts_with = "dump_config")]
    pub(crate) dump_schema: bool,
    /// Ask the one that runs under this configuration, on its admin port, whether it is ready, and exit with 0 or 1; only rest
    #[arg(long, conflicts_with_all = ["dump_config", "dump_schema"])]
    pub(crate) ready: bool,
    /// A folder of *.env files, read by name over the environment and again when they change (auth)
    #[arg(short = 'd', long, value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every effective value and where it came from; secrets are masked
    Show {
        #[command(flatten)]
        stack: Stack,
        /// Leave out what nothing has set
        #[arg(long)]
        changed: bool,
        /// Accepted for clarity: the origin is always printed
        #[arg(long, hide = true)]
        origin: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make real keys and write them to .env and supabase/signing_keys.json
    Generate {
        /// Replace keys that are there; everything signed with them stops working
        #[arg(long)]
        force: bool,
    },
    /// Print keys: all of them, or one
    Show {
        /// Which one
        #[arg(value_enum)]
        key: Option<KeyName>,
    },
}

/// A key that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum KeyName {
    #[value(alias = "anon_key")]
    Anon,
    #[value(alias = "service_role_key")]
    ServiceRole,
    JwtSecret,
    #[value(alias = "publishable_key")]
    Publishable,
    #[value(alias = "secret_key")]
    Secret,
    DatabasePassword,
    /// The public key set
    Jwks,
}

#[derive(Args, Debug)]
pub(crate) struct DbArguments {
    #[command(subcommand)]
    pub(crate) command: DbCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Take over a Supabase database that was not made by monobase
    Adopt {
        /// The database: its administrator's connection string
        #[arg(long, value_name = "URL")]
        db_url: Option<String>,
        /// Do it; without, only print what would change
        #[arg(long)]
        yes: bool,
        /// The generic environment names count
        #[arg(long)]
        production: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct VersionArguments {
    /// The same as -o json
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }
}
