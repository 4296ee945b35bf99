//! `monobase serve <service>`: one service alone, a drop-in for its original's container.

use std::io::Write as _;

use config::Service;
use server::{Dump, ServeOptions};

use crate::cli::{Global, ServeArguments};
use crate::failure::{Code, Failure};
use crate::settings;

pub(crate) fn run(global: &Global, arguments: &ServeArguments) -> Result<(), Failure> {
    let service: Service =
        arguments.service.parse().map_err(|error| Failure::from(error).code(Code::Usage))?;
    let options = ServeOptions {
        file: arguments.file.clone(),
        folder: arguments.config_dir.clone(),
        ..ServeOptions::default()
    };
    settings::start_logging(global.quiet, global.verbose, None)?;
    let dump = match (arguments.dump_config, arguments.dump_schema) {
        (false, false) => None,
        (true, _) => Some(Dump::Config),
        (false, true) => Some(Dump::Schema),
    };
    settings::block_on(async {
        if arguments.ready {
            let found = server::ready(service, options).await?;
            return Ok(writeln!(std::io::stdout(), "{found}")?);
        }
        match dump {
            None => Ok(server::serve(service, options).await?),
            Some(dump) => {
                let text = server::dump(service, options, dump).await?;
                Ok(std::io::stdout().write_all(text.as_bytes())?)
            }
        }
    })
}
