//! What a database of ours says about itself, read in one round trip.

use std::collections::{BTreeMap, HashMap};

use database::ResultSet;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::ledgers;
use crate::options::{Class, LOGIN_ROLES, Options};
use crate::session::{Session, texts};
use crate::{passwords, steps};

/// The layout of the schema `_monobase`. Raised when an older program could no longer understand it.
pub(crate) const FORMAT: i32 = 1;

/// The identity of a template.
pub(crate) const NO_IDENTITY: &str = "00000000-0000-0000-0000-000000000000";

const SESSION: &str = include_str!("../sql/probe/session.sql");
const STATE: &str = include_str!("../sql/probe/state.sql");
const LOCK: &str = "select pg_advisory_lock(hashtext('monobase.bootstrap'));";

/// One row of `_monobase.install` and what is compared with the options.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) class: Class,
    pub(crate) format: i32,
    pub(crate) binary_version: String,
    pub(crate) fingerprint: String,
    pub(crate) adopted: bool,
    pub(crate) server_version: u32,
    pub(crate) logins: BTreeMap<String, Login>,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) versions: Vec<String>,
    /// Roles that are as good as superusers without being one, with the role that makes them so.
    dangerous: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Login {
    verifier: Option<String>,
    superuser: bool,
    connected: bool,
}

impl State {
    /// Prepares the session and reads the state; `None` when the database has no install row.
    pub(crate) async fn open(session: &mut Session) -> Result<Option<Self>, Error> {
        let state = Self::read(session, &format!("{SESSION}{STATE}")).await?;
        if state.is_none() {
            // The failed read took the session's preparation back with it.
            session.query(SESSION).await?;
        }
        Ok(state)
    }

    /// Waits until no other node is at work on this database, then reads the state again.
    ///
    /// The lock belongs to the session and ends with it at the latest.
    pub(crate) async fn lock(session: &mut Session) -> Result<Option<Self>, Error> {
        // Waiting is the point; the session's own limit is for locks inside the steps.
        let waiting = format!("set lock_timeout to '5min'; {LOCK} set lock_timeout to '60s'");
        match session.query(&waiting).await {
            Err(Error::Database(error)) if error.sqlstate().is_some_and(|code| code.as_str() == "55P03") => {
                return Err(Error::Busy);
            }
            result => result?,
        };
        Self::read(session, STATE).await
    }

    async fn read(session: &mut Session, sql: &str) -> Result<Option<Self>, Error> {
        match session.query(sql).await {
            Ok(results) => Self::from_results(&results).map(Some),
            Err(Error::Database(error))
                if error
                    .sqlstate()
                    .is_some_and(|code| matches!(code.as_str(), "42P01" | "3F000" | "42501")) =>
            {
                // No such table or schema; or no right to look, which the probe explains.
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn from_results(results: &[ResultSet]) -> Result<Self, Error> {
        // `set` returns no columns.
        let mut answers = results.iter().filter(|result| !result.columns.is_empty());
        let [Some(install), Some(logins), Some(settings), Some(versions), Some(dangerous)] =
            std::array::from_fn(|_| answers.next())
        else {
            return Err(Error::UnexpectedAnswer("the state query"));
        };
        let install = texts(install).into_iter().next().ok_or(Error::UnexpectedAnswer("the install row"))?;
        let field = |index: usize| install.get(index).cloned().flatten().unwrap_or_default();
        Ok(Self {
            id: field(0),
            class: match field(1).as_str() {
                "embedded" => Class::Embedded,
                "managed" => Class::Managed,
                _ => Class::Server,
            },
            format: field(2).parse().map_err(|_| Error::UnexpectedAnswer("the install row"))?,
            binary_version: field(3),
            fingerprint: field(4),
            adopted: field(5) == "t",
            server_version: field(6).parse().map_err(|_| Error::UnexpectedAnswer("the server's version"))?,
            logins: texts(logins)
                .into_iter()
                .map(|mut row| {
                    let mut flag = |index: usize| row[index].take();
                    let login = Login {
                        verifier: flag(1),
                        superuser: flag(2).as_deref() == Some("t"),
                        connected: flag(3).as_deref() == Some("t"),
                    };
                    (flag(0).unwrap_or_default(), login)
                })
                .collect(),
            settings: texts(settings)
                .into_iter()
                .map(|mut row| (row[0].take().unwrap_or_default(), row[1].take().unwrap_or_default()))
                .collect(),
            versions: texts(versions).into_iter().filter_map(|mut row| row[0].take()).collect(),
            dangerous: texts(dangerous)
                .into_iter()
                .map(|mut row| (row[0].take().unwrap_or_default(), row[1].take().unwrap_or_default()))
                .collect(),
        })
    }

    /// Roles whose password has to be set, with it; and those that need it but are left alone, with the reason.
    ///
    /// Takes a few milliseconds a distinct password: a verifier is slow by design.
    pub(crate) fn outdated_passwords<'a>(
        &self,
        options: &'a Options,
    ) -> (Vec<(&'static str, &'a str)>, Vec<String>) {
        let mut checked = HashMap::new();
        let mut outdated = Vec::new();
        let mut warnings = Vec::new();
        for role in LOGIN_ROLES {
            let (Some(password), Some(login)) = (options.passwords.of(role), self.logins.get(role)) else {
                continue;
            };
            let fits = login.verifier.as_deref().is_some_and(|verifier| {
                *checked.entry((verifier, password)).or_insert_with(|| passwords::matches(verifier, password))
            });
            if fits {
                continue;
            }
            // Whoever gave us this connection keeps its password, and would be locked out at the next start. On somebody's
            // own server a superuser `postgres` is how its owner gets in.
            let owners = self.class == Class::Server && login.superuser && role == "postgres";
            if login.connected && self.class == Class::Embedded {
                continue;
            }
            if login.connected || owners {
                warnings.push(format!(
                    "the password of role {role} is not the configured one and was left as it is: \
                     this server's owner signs in with it"
                ));
                continue;
            }
            outdated.push((role, password));
        }
        (outdated, warnings)
    }

    /// What deserves attention at every start.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.dangerous.iter().map(|(member, role)| {
            format!("role {member} is a member of {role}, which reaches beyond the database: revoke it")
        })
    }

    /// Settings that are not as wanted.
    pub(crate) fn outdated_settings<'a>(&self, options: &'a Options) -> Vec<(&'a str, Option<&'a str>)> {
        options
            .settings
            .iter()
            .filter(|(name, value)| self.settings.get(*name) != value.as_ref())
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect()
    }
}

/// A digest of everything that [`apply`](crate::apply) would do apart from passwords and settings, which are compared one by
/// one.
pub(crate) fn fingerprint(options: &Options) -> String {
    let mut digest = Sha256::new();
    let mut part = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    part(&FORMAT.to_string());
    for step in std::iter::once(&steps::INSTALL).chain(steps::BEFORE_SERVICES).chain(steps::AFTER_SERVICES) {
        part(step.version);
        part(step.sql);
    }
    part(steps::INTERNAL_DATABASE);
    part(steps::INTERNAL_DATABASE_SQL);
    for ledger in ledgers::ALL {
        if options.services.contains(ledger.service) {
            part(ledger.service);
            for migration in ledger.migrations {
                part(migration.version);
                part(migration.sql);
            }
        }
    }
    part(if options.protect_internal_schemas { "protected" } else { "open" });
    hex::encode(digest.finalize())
}

/// A digest of all SQL in this crate, for caches of bootstrapped clusters: changes whenever a bootstrap would give another
/// result.
pub fn schema_digest() -> String {
    fingerprint(&Options::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_depends_on_services_and_protection_only() {
        let default = fingerprint(&Options::default());
        let unprotected = Options { protect_internal_schemas: false, ..Options::default() };
        assert_ne!(fingerprint(&unprotected), default);
        let mut fewer = Options::default();
        fewer.services.realtime = false;
        assert_ne!(fingerprint(&fewer), default);
        let with_secrets = Options {
            passwords: crate::Passwords::shared("secret"),
            ..Options::default().with_jwt(Some("secret"), 3600)
        };
        assert_eq!(fingerprint(&with_secrets), default);
    }
}
