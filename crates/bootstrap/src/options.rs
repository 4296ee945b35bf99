//! What the caller wants of the database.

use std::collections::BTreeMap;
use std::fmt;

/// The roles that sign in and therefore have a password. Together they get [`Passwords::shared`], as in the reference
/// installation, where one `POSTGRES_PASSWORD` serves all; but the role that bootstraps keeps its own.
pub const LOGIN_ROLES: [&str; 9] = [
    "postgres",
    "supabase_admin",
    "authenticator",
    "pgbouncer",
    "supabase_auth_admin",
    "supabase_functions_admin",
    "supabase_read_only_user",
    "supabase_replication_admin",
    "supabase_storage_admin",
];

/// What [`apply`](crate::apply) brings about.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose server it is.
    pub class: Class,
    /// Passwords of the login roles.
    pub passwords: Passwords,
    /// Database settings that applications read with `current_setting`, `app.settings.*` and the like. A value of `None`
    /// removes the setting; names that are not here are left alone.
    pub settings: BTreeMap<String, Option<String>>,
    /// Which services' tables are created.
    pub services: Services,
    /// Whether what `postgres` creates in `public` is reachable over the API at once. Looked at once, on a fresh database.
    pub auto_expose_new_tables: bool,
    /// Whether `postgres` is kept from altering and dropping the services' tables.
    pub protect_internal_schemas: bool,
    /// The database is going to be copied: it gets no identity of its own.
    pub template: bool,
    /// The version of the program, recorded for the messages of others.
    pub binary_version: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            class: Class::Server,
            passwords: Passwords::default(),
            settings: BTreeMap::new(),
            services: Services::default(),
            auto_expose_new_tables: true,
            protect_internal_schemas: true,
            template: false,
            binary_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Options {
    /// With the settings through which SQL makes and checks tokens: `app.settings.jwt_secret` (left out when `secret` is
    /// `None`: everybody who may read settings can read it) and `app.settings.jwt_exp`, in seconds.
    #[must_use]
    pub fn with_jwt(mut self, secret: Option<&str>, expiry: u64) -> Self {
        self.settings.insert("app.settings.jwt_secret".into(), secret.map(str::to_owned));
        self.settings.insert("app.settings.jwt_exp".into(), Some(expiry.to_string()));
        self
    }
}

/// Whose server the database is on, which decides what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Ours: initialised by us with `supabase_admin` as its first role.
    Embedded,
    /// Somebody's own, where we have a superuser.
    Server,
    /// A provider's, without a superuser. Recognised, not supported yet.
    Managed,
}

impl Class {
    /// As stored in `_monobase.install`.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Embedded => "embedded",
            Class::Server => "server",
            Class::Managed => "managed",
        }
    }
}

/// Passwords of the login roles, in plain text; they leave this process as SCRAM verifiers only.
#[derive(Clone, Default)]
pub struct Passwords {
    /// For every login role without one of its own. `None` leaves them as they are.
    pub shared: Option<String>,
    /// For single roles.
    pub by_role: BTreeMap<String, String>,
}

impl Passwords {
    /// One password for all.
    pub fn shared(password: impl Into<String>) -> Self {
        Self { shared: Some(password.into()), by_role: BTreeMap::new() }
    }

    /// The password that `role` shall have.
    pub fn of(&self, role: &str) -> Option<&str> {
        self.by_role.get(role).or(self.shared.as_ref()).map(String::as_str)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("shared", &self.shared.as_ref().map(|_| "…"))
            .field("by_role", &self.by_role.keys())
            .finish()
    }
}

/// The services whose migrations are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Services {
    /// Users, sessions, tokens.
    pub auth: bool,
    /// Buckets and objects. Needs `auth`.
    pub storage: bool,
    /// Subscriptions and messages.
    pub realtime: bool,
}

impl Default for Services {
    fn default() -> Self {
        Self { auth: true, storage: true, realtime: true }
    }
}

impl Services {
    pub(crate) fn contains(self, service: &str) -> bool {
        match service {
            "auth" => self.auth || self.storage,
            "storage" | "_storage" => self.storage,
            "realtime" | "_realtime" => self.realtime,
            _ => false,
        }
    }
}
