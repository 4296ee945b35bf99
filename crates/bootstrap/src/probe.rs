//! What kind of server and database this is, and whether a bootstrap can begin.

use crate::error::Error;
use crate::session::Session;

const SERVER: &str = include_str!("../sql/probe/server.sql");
const CONFLICTS: &str = include_str!("../sql/probe/conflicts.sql");

/// The oldest PostgreSQL that has what the schema needs.
const OLDEST: u32 = 150_000;

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) version: u32,
    pub(crate) user: String,
    pub(crate) superuser: bool,
    create_role: bool,
    bypass_rls: bool,
    replication: bool,
    pub(crate) in_recovery: bool,
    /// Role `authenticator` exists: somebody made this cluster a Supabase database.
    pub(crate) has_authenticator: bool,
    /// `_monobase.install` exists.
    pub(crate) has_install: bool,
    /// At least one of the services' schemas exists in this database.
    pub(crate) has_service_schemas: bool,
    /// Roles by which providers of managed databases can be told.
    provider_roles: Option<String>,
    missing_extensions: Vec<String>,
    offers_pgjwt: bool,
    wal_level: String,
    postgres_is_superuser: bool,
}

impl Server {
    pub(crate) async fn probe(session: &mut Session) -> Result<Self, Error> {
        const WHAT: Error = Error::UnexpectedAnswer("the server probe");
        let row = session.rows(SERVER).await?.into_iter().next().ok_or(WHAT)?;
        let text = |index: usize| row.get(index).cloned().flatten();
        let flag = |index: usize| text(index).as_deref() == Some("t");
        Ok(Self {
            version: text(0).and_then(|number| number.parse().ok()).ok_or(WHAT)?,
            user: text(1).ok_or(WHAT)?,
            superuser: flag(2),
            create_role: flag(3),
            bypass_rls: flag(4),
            replication: flag(5),
            in_recovery: flag(6),
            has_authenticator: flag(7),
            has_install: flag(8),
            has_service_schemas: flag(9),
            provider_roles: text(10),
            missing_extensions: text(11)
                .map(|names| names.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            offers_pgjwt: flag(12),
            wal_level: text(13).unwrap_or_default(),
            postgres_is_superuser: flag(14),
        })
    }

    /// Whether the server and the role that connected can do at all what we need.
    pub(crate) fn require_able(&self) -> Result<(), Error> {
        if self.version < OLDEST {
            let found = format!("{}.{}", self.version / 10_000, self.version % 10_000);
            return Err(Error::ServerTooOld { found });
        }
        if !self.superuser {
            return Err(Error::NotSuperuser { user: self.user.clone(), missing: self.missing_privileges() });
        }
        if !self.missing_extensions.is_empty() {
            return Err(Error::MissingExtensions { names: self.missing_extensions.clone() });
        }
        Ok(())
    }

    /// What the role that connected lacks, each with what cannot be done without it.
    pub(crate) fn missing_privileges(&self) -> Vec<String> {
        if self.superuser {
            return Vec::new();
        }
        let mut missing = vec![
            "it is no SUPERUSER, so that event triggers, grants on settings and the role supabase_admin cannot be made"
                .to_owned(),
        ];
        if !self.create_role {
            missing.push("it lacks CREATEROLE, so that no role can be made".to_owned());
        }
        if !self.bypass_rls {
            missing.push("it lacks BYPASSRLS, so that service_role cannot be given it".to_owned());
        }
        if !self.replication {
            missing.push("it lacks REPLICATION, so that changes cannot be followed".to_owned());
        }
        if let Some(roles) = &self.provider_roles {
            missing.push(format!(
                "this looks like a managed server (role {roles} exists); those are not supported yet"
            ));
        }
        missing
    }

    /// Refuses a fresh database in which something has a name that we need.
    pub(crate) async fn require_room(session: &mut Session) -> Result<(), Error> {
        let conflicts = session.column(CONFLICTS).await?;
        if conflicts.is_empty() { Ok(()) } else { Err(Error::InTheWay { conflicts }) }
    }

    pub(crate) fn offers(&self, extension: &str) -> bool {
        extension == "pgjwt" && self.offers_pgjwt
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.wal_level != "logical" {
            warnings.push(format!(
                "wal_level is {}: realtime changes need `alter system set wal_level = logical` and a restart of the server",
                self.wal_level
            ));
        }
        if self.postgres_is_superuser {
            warnings.push(
                "role postgres is a superuser of this server and stays one: migrations and SQL of users run with all rights"
                    .to_owned(),
            );
        }
        warnings
    }
}
