//! Looks, and changes nothing.

use database::ConnectConfig;

use crate::apply::{class_of, refuse_newer};
use crate::error::Error;
use crate::ledgers;
use crate::options::Options;
use crate::probe::Server;
use crate::report::{Difference, Outcome, Report};
use crate::services;
use crate::session::Session;
use crate::state::State;

const DIFFERENCES: &str = include_str!("../sql/check/differences.sql");

/// Says what the database of `config` is and how it differs from a Supabase database, without changing anything.
///
/// Works without a superuser too; [`Report::warnings`] then says what is missing for a bootstrap.
pub async fn check(config: &ConnectConfig, options: &Options) -> Result<Report, Error> {
    let mut session = Session::open(config).await?;
    let state = State::open(&mut session).await?;
    let server = Server::probe(&mut session).await?;
    if let Some(state) = &state {
        refuse_newer(state)?;
    }
    let ours = state.is_some() || server.has_install;
    let outcome = match (ours, server.has_authenticator) {
        (true, _) => Outcome::UpToDate,
        (false, true) => Outcome::Foreign,
        (false, false) => Outcome::Plain,
    };
    let mut report = look(&mut session, &server, options, outcome).await?;
    if let Some(state) = state {
        report.class = state.class;
        report.installation = (state.id != crate::state::NO_IDENTITY).then_some(state.id);
    }
    session.close().await;
    Ok(report)
}

/// The report about a Supabase database that is not ours.
pub(crate) async fn foreign(
    session: &mut Session,
    server: &Server,
    options: &Options,
) -> Result<Report, Error> {
    let mut report = look(session, server, options, Outcome::Foreign).await?;
    report.warnings.insert(
        0,
        "this Supabase database was not made by monobase: it was checked and left as it is; \
         `monobase db adopt` takes it over"
            .to_owned(),
    );
    Ok(report)
}

async fn look(
    session: &mut Session,
    server: &Server,
    options: &Options,
    outcome: Outcome,
) -> Result<Report, Error> {
    let mut differences = Vec::new();
    if outcome != Outcome::Plain {
        for mut row in session.rows(DIFFERENCES).await? {
            let mut text = |index: usize| row[index].take().unwrap_or_default();
            differences.push(Difference {
                kind: text(0),
                object: text(1),
                expected: text(2),
                found: text(3),
            });
        }
        if server.superuser {
            for ledger in ledgers::ALL {
                if options.services.contains(ledger.service) {
                    for migration in services::pending(session, ledger).await? {
                        differences.push(Difference {
                            kind: "migration".into(),
                            object: format!("{}/{} {}", ledger.service, migration.version, migration.name),
                            expected: "applied".into(),
                            found: String::new(),
                        });
                    }
                }
            }
        }
    }
    let mut warnings = server.warnings();
    warnings.extend(
        server.missing_privileges().into_iter().map(|missing| format!("role {}: {missing}", server.user)),
    );
    Ok(Report {
        outcome,
        installation: None,
        class: class_of(server, options),
        server_version: server.version,
        applied: Vec::new(),
        passwords: Vec::new(),
        settings: Vec::new(),
        differences,
        warnings,
    })
}
