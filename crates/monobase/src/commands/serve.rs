//! `monobase serve <service>`: one service alone, a drop-in for its original's container.

use config::Service;
use server::ServeOptions;

use crate::cli::{Global, ServeArguments};
use crate::failure::{Code, Failure};
use crate::settings;

pub(crate) fn run(global: &Global, arguments: &ServeArguments) -> Result<(), Failure> {
    let service: Service =
        arguments.service.parse().map_err(|error| Failure::from(error).code(Code::Usage))?;
    settings::start_logging(global.quiet, global.verbose, None)?;
    settings::block_on(async { Ok(server::serve(service, ServeOptions::default()).await?) })
}
