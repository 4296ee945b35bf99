//! The table of routes. Each file is one: what it takes, what it does, what it answers.

mod admin_audit;
mod admin_factors;
mod admin_generate_link;
mod admin_users_create;
mod admin_users_delete;
mod admin_users_list;
mod admin_users_one;
mod admin_users_update;
mod authorize;
mod callback;
mod custom_providers;
mod factor_challenge;
mod factor_enroll;
mod factor_unenroll;
mod factor_verify;
mod factor_verify_key;
mod health;
mod identity_delete;
mod invite;
mod jwks;
mod logout;
mod magiclink;
mod oauth_authorize;
mod oauth_clients;
mod oauth_consent;
mod oauth_grants;
mod oauth_metadata;
mod oauth_token;
mod oauth_userinfo;
mod openid_configuration;
mod otp;
mod passkey_admin;
mod passkey_list;
mod passkey_register;
mod passkey_sign_in;
mod reauthenticate;
mod recover;
mod resend;
mod settings;
mod signup;
mod sso;
mod sso_acs;
mod sso_metadata;
mod sso_providers;
mod token;
mod token_id_token;
mod token_password;
mod token_pkce;
mod token_refresh;
mod token_web3;
mod user_get;
mod user_update;
mod verify;

use axum::Router;
use axum::routing::{MethodRouter, any, delete, get, patch, post, put};

use crate::State;
use crate::error::Error;
use crate::http::{Admin, Caller};

/// All routes. Paths that the original mounts as sub-routers are checked for credentials before
/// anything else, so an unknown path or method below them tells nothing to strangers.
pub(crate) fn table(state: State) -> Router {
    let user = |methods: MethodRouter<State>| methods.fallback(user_method_not_allowed);
    let admin = |methods: MethodRouter<State>| methods.fallback(admin_method_not_allowed);
    let open = |methods: MethodRouter<State>| methods.fallback(method_not_allowed);
    Router::new()
        .route("/health", open(get(health::get)))
        .route("/.well-known/jwks.json", open(get(jwks::get)))
        .route("/settings", open(get(settings::get)))
        .route("/signup", open(post(signup::post)))
        .route("/token", open(post(token::post)))
        .route("/verify", open(get(verify::get).post(verify::post)))
        .route("/recover", open(post(recover::post)))
        .route("/otp", open(post(otp::post)))
        .route("/magiclink", open(post(magiclink::post)))
        .route("/resend", open(post(resend::post)))
        .route("/logout", open(post(logout::post)))
        .route("/reauthenticate", user(get(reauthenticate::get)))
        .route("/user", user(get(user_get::get).put(user_update::put)))
        .route("/user/identities/authorize", user(get(authorize::link)))
        .route("/user/identities/{identity_id}", user(delete(identity_delete::delete)))
        .route("/user/oauth/grants", user(get(oauth_grants::get).delete(oauth_grants::delete)))
        .route("/user/{*rest}", any(user_route_not_found))
        .route("/factors", user(post(factor_enroll::post)))
        .route("/factors/{factor_id}", user(delete(factor_unenroll::delete)))
        .route("/factors/{factor_id}/challenge", user(post(factor_challenge::post)))
        .route("/factors/{factor_id}/verify", user(post(factor_verify::post)))
        .route("/passkeys", user(get(passkey_list::get)))
        .route("/passkeys/{passkey_id}", user(patch(passkey_list::patch).delete(passkey_list::delete)))
        .route("/passkeys/registration/options", user(post(passkey_register::options)))
        .route("/passkeys/registration/verify", user(post(passkey_register::verify)))
        .route("/passkeys/authentication/options", open(post(passkey_sign_in::options)))
        .route("/passkeys/authentication/verify", open(post(passkey_sign_in::verify)))
        .route("/authorize", open(get(authorize::get)))
        .route("/callback", open(get(callback::get).post(callback::get)))
        .route("/sso", post(sso::post).fallback(sso::method_not_allowed))
        .route("/sso/saml/metadata", get(sso_metadata::get).fallback(sso::method_not_allowed))
        .route("/sso/saml/acs", post(sso_acs::post).fallback(sso::method_not_allowed))
        .route("/sso/{*rest}", any(sso::nothing))
        .route("/invite", open(post(invite::post)))
        .route("/admin/audit", admin(get(admin_audit::get)))
        .route("/admin/users", admin(get(admin_users_list::get).post(admin_users_create::post)))
        .route(
            "/admin/users/{user_id}",
            get(admin_users_one::get)
                .put(admin_users_update::put)
                .delete(admin_users_delete::delete)
                .fallback(admin_users_one::method_not_allowed),
        )
        .route("/admin/users/{user_id}/factors", admin(get(admin_factors::list)))
        .route(
            "/admin/users/{user_id}/factors/{factor_id}",
            put(admin_factors::update)
                .delete(admin_factors::remove)
                .fallback(admin_factors::method_not_allowed),
        )
        .route("/admin/users/{user_id}/passkeys", admin(get(passkey_admin::list)))
        .route("/admin/users/{user_id}/passkeys/{passkey_id}", admin(delete(passkey_admin::remove)))
        .route("/admin/oauth/clients", admin(get(oauth_clients::list).post(oauth_clients::create)))
        .route(
            "/admin/oauth/clients/{client_id}",
            admin(get(oauth_clients::get).put(oauth_clients::update).delete(oauth_clients::delete)),
        )
        .route(
            "/admin/oauth/clients/{client_id}/regenerate_secret",
            admin(post(oauth_clients::regenerate_secret)),
        )
        .route("/admin/sso/providers", admin(get(sso_providers::list).post(sso_providers::create)))
        .route(
            "/admin/sso/providers/{provider_id}",
            get(sso_providers::get)
                .put(sso_providers::update)
                .delete(sso_providers::delete)
                .fallback(sso_providers::method_not_allowed),
        )
        .route("/admin/custom-providers", admin(get(custom_providers::list).post(custom_providers::create)))
        .route(
            "/admin/custom-providers/{identifier}",
            admin(get(custom_providers::get).put(custom_providers::update).delete(custom_providers::delete)),
        )
        .route("/oauth/clients/register", open(post(oauth_clients::register_dynamically)))
        .route("/oauth/authorize", open(get(oauth_authorize::get)))
        .route("/oauth/token", open(post(oauth_token::post)))
        .route("/oauth/userinfo", user(get(oauth_userinfo::get)))
        .route("/oauth/authorizations/{authorization_id}", user(get(oauth_consent::get)))
        .route("/oauth/authorizations/{authorization_id}/consent", user(post(oauth_consent::post)))
        .route("/.well-known/openid-configuration", open(get(openid_configuration::get)))
        .route("/.well-known/oauth-authorization-server", open(get(oauth_metadata::get)))
        .route("/admin/generate_link", admin(post(admin_generate_link::post)))
        .route("/admin", any(admin_route_not_found))
        .route("/admin/{*rest}", any(admin_route_not_found))
        .fallback(route_not_found)
        .with_state(state)
}

async fn route_not_found() -> Error {
    Error::RouteNotFound
}

async fn method_not_allowed() -> Error {
    Error::MethodNotAllowed
}

async fn user_route_not_found(_: Caller) -> Error {
    Error::RouteNotFound
}

async fn user_method_not_allowed(_: Caller) -> Error {
    Error::MethodNotAllowed
}

async fn admin_route_not_found(_: Admin) -> Error {
    Error::RouteNotFound
}

async fn admin_method_not_allowed(_: Admin) -> Error {
    Error::MethodNotAllowed
}
