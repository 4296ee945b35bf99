//! The run itself: decides what a database is, and brings it to where it should be.

use database::ConnectConfig;
use database::ident::{quote_ident, quote_literal};

use crate::error::Error;
use crate::ledgers;
use crate::options::{Class, Options};
use crate::passwords;
use crate::probe::Server;
use crate::report::{Outcome, Report};
use crate::services;
use crate::session::{RunAs, Session};
use crate::state::{self, State};
use crate::steps::{self, Step, When};

/// Turns the database of `config` into a Supabase database, or brings one of ours up to date.
///
/// `config` must sign in as a superuser. On a database that is up to date this costs one round trip beside connecting. Several
/// nodes may call it at once. A Supabase database that is not ours is only checked: see [`adopt`].
pub async fn apply(config: &ConnectConfig, options: &Options) -> Result<Report, Error> {
    let mut session = Session::open(config).await?;
    let report = Run { config, options }.apply(&mut session).await?;
    session.close().await;
    Ok(report)
}

/// Makes a Supabase database that somebody else bootstrapped ours: attributes, memberships, grants and missing objects are
/// brought to the documented state, passwords set, migrations applied. Default privileges stay as they are.
pub async fn adopt(config: &ConnectConfig, options: &Options) -> Result<Report, Error> {
    let mut session = Session::open(config).await?;
    if State::open(&mut session).await?.is_some() {
        return Err(Error::NothingToAdopt("this database is ours already"));
    }
    let server = Server::probe(&mut session).await?;
    server.require_able()?;
    if !server.has_authenticator {
        return Err(Error::NothingToAdopt("it has no role authenticator; it can be started on as it is"));
    }
    let run = Run { config, options };
    // Before anything is written: a ledger from the future must leave no trace of us.
    run.refuse_unknown_versions(&mut session).await?;
    let state = State::lock(&mut session).await?;
    let report = run.build(&mut session, &server, state, Outcome::Adopted).await?;
    session.close().await;
    Ok(report)
}

/// Brings the tables of one service up to date, as the original program does at its own start: on a database that somebody
/// else prepared, signed in as the service's role. Returns what was applied.
pub async fn migrate(config: &ConnectConfig, ledger: &ledgers::Ledger) -> Result<Vec<String>, Error> {
    let mut session = Session::open(config).await?;
    let done = services::migrate(&mut session, ledger).await;
    session.close().await;
    done
}

struct Run<'a> {
    config: &'a ConnectConfig,
    options: &'a Options,
}

impl Run<'_> {
    async fn apply(&self, session: &mut Session) -> Result<Report, Error> {
        let fingerprint = state::fingerprint(self.options);
        if let Some(state) = State::open(session).await? {
            let report = self.up_to_date(&state, &fingerprint).await?;
            if let Some(report) = report {
                return Ok(report);
            }
        } else {
            let server = Server::probe(session).await?;
            server.require_able()?;
            if server.has_authenticator && !server.has_install {
                return crate::check::foreign(session, &server, self.options).await;
            }
        }

        let state = State::lock(session).await?;
        // Another node may have done it while we waited.
        if let Some(state) = &state {
            if let Some(report) = self.up_to_date(state, &fingerprint).await? {
                return Ok(report);
            }
            if state.fingerprint == fingerprint {
                return self.configure(session, state, Report::empty(Outcome::Migrated, state)).await;
            }
        }
        let server = Server::probe(session).await?;
        server.require_able()?;
        let outcome = if state.is_some() { Outcome::Migrated } else { Outcome::Created };
        if state.is_none() {
            Server::require_room(session).await?;
        }
        self.build(session, &server, state, outcome).await
    }

    /// The report when there is nothing to do.
    async fn up_to_date(&self, state: &State, fingerprint: &str) -> Result<Option<Report>, Error> {
        refuse_newer(state)?;
        if state.fingerprint != *fingerprint || (state.id == state::NO_IDENTITY) != self.options.template {
            return Ok(None);
        }
        let (passwords, warnings) = state.outdated_passwords(self.options);
        if !passwords.is_empty() || !state.outdated_settings(self.options).is_empty() {
            return Ok(None);
        }
        let mut report = Report::empty(Outcome::UpToDate, state);
        report.warnings.extend(warnings);
        Ok(Some(report))
    }

    /// Applies what is missing, then passwords and settings. The lock is held.
    async fn build(
        &self,
        session: &mut Session,
        server: &Server,
        state: Option<State>,
        outcome: Outcome,
    ) -> Result<Report, Error> {
        if server.in_recovery {
            return Err(Error::Step {
                step: "core".into(),
                source: database::Error::Connect("the server is a replica and takes no writes".into()),
            });
        }
        let done: Vec<String> = state.as_ref().map(|state| state.versions.clone()).unwrap_or_default();
        let adopted = state.as_ref().map_or(outcome == Outcome::Adopted, |state| state.adopted);
        // Roles belong to the whole server: a database may have them and be empty otherwise.
        let fresh = !adopted || !server.has_service_schemas;
        let mut applied = Vec::new();

        if state.is_none() {
            self.install(session, adopted).await?;
            applied.push(step_name(&steps::INSTALL));
        }
        for step in steps::BEFORE_SERVICES {
            if !done.iter().any(|version| version == step.version) {
                let run = match step.when {
                    When::Always => true,
                    When::Fresh => fresh,
                    When::FreshAndClosed => fresh && !self.options.auto_expose_new_tables,
                    When::WithoutExtension(name) => !server.offers(name),
                };
                self.step(session, step, run).await?;
                applied.push(step_name(step));
            }
        }
        if !done.iter().any(|version| version == steps::INTERNAL_DATABASE) {
            self.internal_database(session).await?;
            applied.push(format!("core/{} internal database", steps::INTERNAL_DATABASE));
        }
        for ledger in ledgers::ALL {
            if self.options.services.contains(ledger.service) {
                applied.extend(services::migrate(session, ledger).await?);
            }
        }
        for step in steps::AFTER_SERVICES {
            if !done.iter().any(|version| version == step.version) {
                self.step(session, step, true).await?;
                applied.push(step_name(step));
            }
        }
        self.guard(session).await?;

        // What the steps made is part of what has to be configured.
        let state = State::lock(session).await?.ok_or(Error::UnexpectedAnswer("the install row"))?;
        let mut report = Report::empty(outcome, &state);
        report.applied = applied;
        report.warnings.extend(server.warnings());
        self.configure(session, &state, report).await
    }

    async fn install(&self, session: &mut Session, adopted: bool) -> Result<(), Error> {
        let id = if self.options.template {
            quote_literal(state::NO_IDENTITY)
        } else {
            "gen_random_uuid()".to_owned()
        };
        let sql = format!(
            "{}\n;insert into _monobase.install (id, class, format, binary_version, adopted) \
             values ({id}, {}, {}, {}, {adopted});\n{}",
            steps::INSTALL.sql,
            quote_literal(self.options.class.as_str()),
            state::FORMAT,
            quote_literal(&self.options.binary_version),
            record(&steps::INSTALL),
        );
        self.run(session, RunAs::CONNECTED, &steps::INSTALL, &sql).await
    }

    async fn step(&self, session: &mut Session, step: &Step, run: bool) -> Result<(), Error> {
        tracing::debug!(version = step.version, name = step.name, run, "bootstrap step");
        let sql = format!("{}\n;{}", if run { step.sql } else { "" }, record(step));
        self.run(session, RunAs::ADMIN, step, &sql).await
    }

    async fn run(
        &self,
        session: &mut Session,
        run_as: RunAs<'_>,
        step: &Step,
        sql: &str,
    ) -> Result<(), Error> {
        session.transaction(run_as, sql).await.map_err(|source| Error::Step { step: step_name(step), source })
    }

    /// Makes the database `_supabase`. No transaction can, so every part looks first.
    async fn internal_database(&self, session: &mut Session) -> Result<(), Error> {
        let failed = |source| Error::Step { step: "core/110 internal database".into(), source };
        let exists = session.rows("select from pg_catalog.pg_database where datname = '_supabase'").await?;
        if exists.is_empty() {
            // template0, because somebody may be connected to template1.
            match session.query("create database _supabase template template0 owner supabase_admin").await {
                Ok(_) => {}
                // Another database of the same server is being bootstrapped.
                Err(Error::Database(error))
                    if error.sqlstate().is_some_and(|code| code.as_str() == "42P04") => {}
                Err(Error::Database(source)) => return Err(failed(source)),
                Err(error) => return Err(error),
            }
        }
        let mut inside = Session::open(&self.config.clone().with_database("_supabase")).await?;
        inside.transaction(RunAs::ADMIN, steps::INTERNAL_DATABASE_SQL).await.map_err(failed)?;
        inside.close().await;
        let sql = format!(
            "insert into _monobase.migrations (version, name) values ({}, 'internal database')",
            quote_literal(steps::INTERNAL_DATABASE)
        );
        session.transaction(RunAs::ADMIN, &sql).await.map_err(failed)
    }

    /// Switches the guard of the services' schemas on or off.
    async fn guard(&self, session: &mut Session) -> Result<(), Error> {
        let wanted = if self.options.protect_internal_schemas { "enable always" } else { "disable" };
        let sql = format!(
            "alter event trigger monobase_guard {wanted}; alter event trigger monobase_guard_drops {wanted}"
        );
        session
            .transaction(RunAs::ADMIN, &sql)
            .await
            .map_err(|source| Error::Step { step: "core/guard".into(), source })
    }

    /// Writes identity, passwords, settings and the fingerprint in one transaction.
    async fn configure(
        &self,
        session: &mut Session,
        state: &State,
        mut report: Report,
    ) -> Result<Report, Error> {
        let (passwords, warnings) = state.outdated_passwords(self.options);
        let settings = state.outdated_settings(self.options);
        let database = self.config.database();

        let mut sql = String::new();
        let mut made: Vec<(&str, String)> = Vec::new();
        for (role, password) in passwords {
            let verifier = match made.iter().find(|(known, _)| *known == password) {
                Some((_, verifier)) => verifier.clone(),
                None => {
                    let verifier = passwords::verifier(password)
                        .map_err(|reason| Error::Password { role: role.to_owned(), reason })?;
                    made.push((password, verifier.clone()));
                    verifier
                }
            };
            sql.push_str(&format!(
                "alter role {} password {};\n",
                quote_ident(role),
                quote_literal(&verifier)
            ));
            report.passwords.push(role.to_owned());
        }
        for (name, value) in settings {
            let quoted: Vec<String> = name.split('.').map(quote_ident).collect();
            let (database, name_sql) = (quote_ident(database), quoted.join("."));
            sql.push_str(&match value {
                Some(value) => {
                    format!("alter database {database} set {name_sql} to {};\n", quote_literal(value))
                }
                None => format!("alter database {database} reset {name_sql};\n"),
            });
            report.settings.push(name.to_owned());
        }
        let identity = match (state.id == state::NO_IDENTITY, self.options.template) {
            (true, false) => "gen_random_uuid()".to_owned(),
            (false, true) => quote_literal(state::NO_IDENTITY),
            _ => "id".to_owned(),
        };
        sql.push_str(&format!(
            "update _monobase.install set id = {identity}, fingerprint = {}, binary_version = {}, updated_at = now()",
            quote_literal(&state::fingerprint(self.options)),
            quote_literal(&self.options.binary_version),
        ));
        session
            .secret_transaction(&sql)
            .await
            .map_err(|source| Error::Step { step: "core/configuration".into(), source })?;

        if state.id == state::NO_IDENTITY && !self.options.template {
            report.outcome = Outcome::Created;
        }
        report.installation = session
            .column(&format!(
                "select id from _monobase.install where id <> {}",
                quote_literal(state::NO_IDENTITY)
            ))
            .await?
            .pop();
        report.warnings.extend(warnings);
        Ok(report)
    }

    async fn refuse_unknown_versions(&self, session: &mut Session) -> Result<(), Error> {
        for ledger in ledgers::ALL {
            services::pending(session, ledger).await?;
        }
        Ok(())
    }
}

impl Report {
    /// A report about `state` in which nothing has been done.
    fn empty(outcome: Outcome, state: &State) -> Self {
        Self {
            outcome,
            installation: (state.id != state::NO_IDENTITY).then(|| state.id.clone()),
            class: state.class,
            server_version: state.server_version,
            applied: Vec::new(),
            passwords: Vec::new(),
            settings: Vec::new(),
            differences: Vec::new(),
            warnings: state.warnings().collect(),
        }
    }
}

/// Refuses a database that a newer program looks after.
pub(crate) fn refuse_newer(state: &State) -> Result<(), Error> {
    if state.format > state::FORMAT {
        return Err(Error::Newer { version: state.binary_version.clone() });
    }
    let unknown: Vec<String> = state
        .versions
        .iter()
        .filter(|version| !steps::known_versions().any(|known| known == version.as_str()))
        .cloned()
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Error::UnknownVersions { ledger: "core".into(), versions: unknown })
}

fn record(step: &Step) -> String {
    format!(
        "insert into _monobase.migrations (version, name) values ({}, {})",
        quote_literal(step.version),
        quote_literal(step.name)
    )
}

fn step_name(step: &Step) -> String {
    format!("core/{} {}", step.version, step.name)
}

/// What the class of a database without an install row is taken to be.
pub(crate) fn class_of(server: &Server, options: &Options) -> Class {
    if server.superuser { options.class } else { Class::Managed }
}
