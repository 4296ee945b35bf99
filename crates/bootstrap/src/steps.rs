//! The numbered steps of our own schema, in order.
//!
//! A step never changes once it is released: databases that have it in their ledger would not see the change. What has to
//! become different is a new step.

/// One numbered step, applied in one transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Sorts and identifies it.
    pub(crate) version: &'static str,
    /// For people.
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    pub(crate) when: When,
}

/// On which databases a step's SQL runs. It is recorded in any case, so that it never runs later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// Not on a database that has been a Supabase database before: its owner may have undone it on purpose.
    Fresh,
    /// On a fresh database whose owner wants new tables closed.
    FreshAndClosed,
    /// Where the server does not offer the extension of this name.
    WithoutExtension(&'static str),
}

macro_rules! core {
    ($file:literal) => {
        include_str!(concat!("../sql/core/", $file, ".sql"))
    };
}

const fn always(version: &'static str, name: &'static str, sql: &'static str) -> Step {
    Step { version, name, sql, when: When::Always }
}

/// Makes `supabase_admin` and the ledger. Runs as whoever connected, and is therefore apart from the others.
pub(crate) const INSTALL: Step = always("001", "install", core!("001_install"));

/// What the services' migrations build on.
pub(crate) const BEFORE_SERVICES: &[Step] = &[
    always("010", "roles", core!("010_roles")),
    always("011", "memberships", core!("011_memberships")),
    always("012", "parameters", core!("012_parameters")),
    always("020", "database", core!("020_database")),
    always("030", "schemas", core!("030_schemas")),
    Step { when: When::Fresh, ..always("035", "default privileges", core!("035_default_privileges")) },
    Step { when: When::FreshAndClosed, ..always("036", "close public", core!("036_close_public")) },
    always("040", "extensions", core!("040_extensions")),
    Step {
        when: When::WithoutExtension("pgjwt"),
        ..always("050", "pgjwt", include_str!("../extensions/pgjwt--0.2.0.sql"))
    },
    always("070", "schema reload", core!("070_schema_reload")),
    always("071", "extension access", core!("071_extension_access")),
    always("072", "graphql", core!("072_graphql")),
    always("075", "publication watch", core!("075_publication_watch")),
    always("080", "publication", core!("080_publication")),
    always("090", "pooler access", core!("090_pooler_access")),
    always("100", "large objects", core!("100_large_objects")),
    always("101", "extension grants", core!("101_extension_grants")),
    always("120", "mail outbox", core!("120_mail_outbox")),
];

/// What builds on the services' tables.
pub(crate) const AFTER_SERVICES: &[Step] = &[
    always("900", "service grants", core!("900_service_grants")),
    always("901", "storage rights", core!("901_storage_rights")),
    always("910", "guard", core!("910_guard")),
    always("920", "subscriptions", core!("920_subscriptions")),
    always("925", "binary messages", core!("925_binary_messages")),
];

/// Version of the step that makes the database `_supabase`, which no transaction can.
pub(crate) const INTERNAL_DATABASE: &str = "110";

/// What is made inside the database `_supabase`.
pub(crate) const INTERNAL_DATABASE_SQL: &str = core!("internal_database");

/// Every version that our own ledger may hold.
pub(crate) fn known_versions() -> impl Iterator<Item = &'static str> {
    std::iter::once(INSTALL.version)
        .chain(BEFORE_SERVICES.iter().chain(AFTER_SERVICES).map(|step| step.version))
        .chain(std::iter::once(INTERNAL_DATABASE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn versions_are_in_order_and_unique() {
        let versions: Vec<_> = std::iter::once(&INSTALL)
            .chain(BEFORE_SERVICES)
            .chain(AFTER_SERVICES)
            .map(|step| step.version)
            .collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        assert!(!versions.contains(&INTERNAL_DATABASE));
    }

    #[test]
    fn no_step_ends_its_own_transaction() {
        for step in std::iter::once(&INSTALL).chain(BEFORE_SERVICES).chain(AFTER_SERVICES) {
            for statement in ["commit;", "rollback;"] {
                assert!(!step.sql.contains(statement), "{} contains {statement}", step.name);
            }
        }
    }
}
