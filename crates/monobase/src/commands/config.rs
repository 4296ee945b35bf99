//! `monobase config show`.

use crate::cli::{ConfigArguments, ConfigCommand, Format, Global};
use crate::failure::{Code, Failure};
use crate::{output, settings, terminal};

pub(crate) fn run(global: &Global, arguments: &ConfigArguments) -> Result<(), Failure> {
    let ConfigCommand::Show { stack, changed, .. } = &arguments.command;
    let config = settings::of_stack(global, stack)?;
    if !global.quiet {
        terminal::notices(&config.notices);
    }
    match global.output {
        Format::Json => output::print_json(&config.show_json()),
        // The text is TOML with comments.
        Format::Text | Format::Toml => output::print(&config.show_text(!changed)),
        Format::Env | Format::Yaml => {
            Err(Failure::new("`config show` prints text, toml or json").code(Code::Usage))
        }
    }
}
