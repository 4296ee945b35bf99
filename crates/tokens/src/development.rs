//! The published constants of local development. They are the same on every machine and known to
//! everyone; clients, examples and test suites have them written into their code.
//!
//! Nothing that others can reach may be protected by them: see [`is_published`].

use crate::ApiKeys;

/// The shared secret that local tokens are signed with.
pub const JWT_SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
/// The issuer of the local API keys.
pub const ISSUER: &str = "supabase-demo";
/// When the local API keys expire, in seconds since 1970 (2032).
pub const EXPIRES_AT: u64 = 1_983_812_996;
/// The local key of role `anon`: HS256 over `iss`, `role`, `exp` in this order.
pub const ANON_KEY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9.CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0";
/// The local key of role `service_role`.
pub const SERVICE_ROLE_KEY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsImV4cCI6MTk4MzgxMjk5Nn0.EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU";
/// The local opaque key for clients.
pub const PUBLISHABLE_KEY: &str = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH";
/// The local opaque key for back ends.
pub const SECRET_KEY: &str = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz";
/// The local asymmetric signing key (ES256), private half included.
pub const SIGNING_JWK: &str = r#"{"kty":"EC","kid":"b81269f1-21d8-4f2e-b719-c2240a840d90","use":"sig","key_ops":["sign","verify"],"alg":"ES256","ext":true,"d":"dIhR8wywJlqlua4y_yMq2SLhlFXDZJBCvFrY1DCHyVU","crv":"P-256","x":"M5Sjqn5zwC9Kl1zVfUUGvv9boQjCGd45G8sdopBExB4","y":"P6IXMvA2WYXSHSOMTBH2jsw_9rrzGy89FjPf6oOsIxQ"}"#;
/// The `kid` of [`SIGNING_JWK`].
pub const SIGNING_KEY_ID: &str = "b81269f1-21d8-4f2e-b719-c2240a840d90";
/// The local S3 access key.
pub const S3_ACCESS_KEY_ID: &str = "625729a08b95bf1b7ff351a663f3a23c";
/// The local S3 secret.
pub const S3_SECRET_ACCESS_KEY: &str = "850181e4652dd023b7a98c58ae0d2d34bd487ee0cc3254aed6eda37307425907";
/// The local S3 region.
pub const S3_REGION: &str = "local";
/// The password of every local database role.
pub const DATABASE_PASSWORD: &str = "postgres";

/// The placeholders of the self-hosting template's `.env`: as public as the local ones.
const TEMPLATE_SECRETS: [&str; 3] = [
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-and-long-postgres-password",
    "this_password_is_insecure_and_should_be_updated",
];

/// The local API keys.
pub fn api_keys() -> ApiKeys {
    ApiKeys {
        anon_jwt: ANON_KEY.into(),
        service_role_jwt: SERVICE_ROLE_KEY.into(),
        publishable: PUBLISHABLE_KEY.into(),
        secret: SECRET_KEY.into(),
    }
}

/// Whether a secret is one that everyone knows.
pub fn is_published(secret: &str) -> bool {
    [
        JWT_SECRET,
        ANON_KEY,
        SERVICE_ROLE_KEY,
        PUBLISHABLE_KEY,
        SECRET_KEY,
        S3_SECRET_ACCESS_KEY,
        DATABASE_PASSWORD,
    ]
    .contains(&secret)
        || TEMPLATE_SECRETS.contains(&secret)
}
