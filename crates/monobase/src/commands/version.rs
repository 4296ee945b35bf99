//! `monobase version`.

use serde_json::json;

use crate::cli::{Format, Global, VersionArguments};
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(global: &Global, arguments: &VersionArguments) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let postgres = embedded_postgres::licenses::parts()
        .into_iter()
        .find(|part| part.name == "PostgreSQL")
        .map(|part| part.version);
    if arguments.json || global.output == Format::Json {
        return output::print_json(&json!({
            "version": version,
            "postgres": postgres,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        }));
    }
    let engine = postgres.map(|version| format!(" (PostgreSQL {version})")).unwrap_or_default();
    output::print(&format!("monobase {version}{engine}\n"))
}
