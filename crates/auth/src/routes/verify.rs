//! `GET /verify` and `POST /verify`: a link was clicked, or a code typed in.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;
use http::StatusCode;
use serde::Serialize;

use crate::State;
use crate::contact;
use crate::error::{ApiError, Cause, Error, ErrorCode, Result};
use crate::guesses::Secret;
use crate::http::{Body, Context, Form, GoUrl, redirect_target, request_audience, see};
use crate::json::{self, params};
use crate::news;
use crate::phone;
use crate::pkce;
use crate::random;
use crate::rate_limit::Limit;
use crate::session::{Method, TokenResponse, sign_in};
use crate::store::flow_states;
use crate::verification::{self, Typed};

const OTHER_ADDRESS: &str =
    "Confirmation link accepted. Please proceed to confirm link sent to the other email";

params! {
    "VerifyParams",
    /// What `POST` accepts.
    struct Params {
        r#type: String,
        token: String,
        token_hash: String,
        email: String,
        phone: String,
        redirect_to: String,
    }
}

/// How a verification ended.
enum Outcome {
    SignedIn(Box<TokenResponse>),
    /// A PKCE flow goes on with this code.
    Code(String),
    /// The other address has to agree as well.
    Half,
}

/// A link was clicked.
pub(super) async fn get(extract::State(state): extract::State<State>, request: Context) -> Result<Response> {
    let config = state.config();
    state.limits().check(Limit::Verify, &request, config).await?;
    let (kind, token) = (request.query.get("type"), request.query.get("token"));
    let target = redirect_target(&request, config);
    if kind.is_empty() {
        return Err(Error::invalid("Verify requires a verification type"));
    }
    if token.is_empty() {
        return Err(Error::invalid("Verify requires a token or a token hash"));
    }
    let is_pkce = token.starts_with(pkce::PREFIX);
    if is_pkce && Method::parse(kind).is_none() {
        return Err(Error::Unexpected(Cause::Other(
            format!("unsupported authentication method {kind:?}").into(),
        )));
    }
    let location = match click(&state, &request, kind, token, is_pkce).await {
        Ok((Outcome::SignedIn(tokens), kind)) => signed_in_url(&target, &tokens, kind),
        Ok((Outcome::Code(code), _)) => {
            let mut url = parse(&target)?;
            let mut query = url.query();
            query.set("code", code);
            url.set_query(&query);
            url.to_string()
        }
        Ok((Outcome::Half, _)) => message_url(&target, is_pkce)?,
        Err(Error::Api(error)) => {
            tracing::info!(request_id = %request.id, "{}: {}", error.status.as_u16(), error.message);
            news::forget(&request);
            error_url(&target, &error, is_pkce)?
        }
        Err(other) => {
            tracing::error!(request_id = %request.id, cause = %other, "verification failed");
            news::forget(&request);
            target
        }
    };
    see(StatusCode::SEE_OTHER, &location, &request.method)
}

async fn click<'a>(
    state: &State,
    request: &Context,
    kind: &'a str,
    token: &str,
    is_pkce: bool,
) -> Result<(Outcome, &'a str)> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let method = Method::parse(kind);
    let proven = verification::by_hash(db, state, kind, token).await?;
    // `email` stands for what the token turns out to be.
    let kind = if kind == "email" { proven.purpose.as_str() } else { kind };
    let Some(user) = verification::apply(db, state, request, proven, token, "").await? else {
        transaction.commit().await?;
        return Ok((Outcome::Half, kind));
    };
    let outcome = if is_pkce {
        let method = method.ok_or_else(|| {
            Error::Unexpected(Cause::Other(format!("unsupported authentication method {kind:?}").into()))
        })?;
        let code = flow_states::issue_code(db, user.id, method).await?.ok_or_else(|| {
            Error::bad_request(
                ErrorCode::FlowStateNotFound,
                "No associated flow state found. 422: No valid flow state found for user.",
            )
        })?;
        Outcome::Code(code)
    } else {
        Outcome::SignedIn(Box::new(sign_in(db, state, request, user, Method::Otp).await?))
    };
    transaction.commit().await?;
    Ok((outcome, kind))
}

/// A code was typed in, or a hash was taken out of a link by the application.
pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    state.limits().check(Limit::Verify, &request, state.config()).await?;
    let mut params: Params = body.read()?;
    let by_hash = check(&mut params)?;
    let checked_elsewhere = !by_hash
        && verification::check_elsewhere(&state, &params.r#type, &params.phone, &params.token).await?;

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let proven = if by_hash {
        verification::by_hash(db, &state, &params.r#type, &params.token_hash).await?
    } else {
        let typed = Typed {
            kind: &params.r#type,
            email: &params.email,
            phone: &params.phone,
            code: &params.token,
            hash: &params.token_hash,
            checked_elsewhere,
        };
        let aud = request_audience(&request, &state);
        let contact = if params.email.is_empty() { &params.phone } else { &params.email };
        state.guesses().permit(Secret::Code, contact)?;
        verification::by_code(db, &state, &typed, &aud).await.inspect_err(|error| {
            if error.code() == Some(ErrorCode::OtpExpired) {
                state.guesses().wrong(Secret::Code, contact);
            }
        })?
    };
    let user = verification::apply(db, &state, &request, proven, &params.token_hash, &params.phone).await?;
    let Some(user) = user else {
        transaction.commit().await?;
        return Ok(json::ok(&Half { code: "200", msg: OTHER_ADDRESS }));
    };
    let tokens = sign_in(db, &state, &request, user, Method::Otp).await?;
    transaction.commit().await?;
    Ok(json::ok(&tokens))
}

#[derive(Serialize)]
struct Half {
    code: &'static str,
    msg: &'static str,
}

/// Whether the request brings a hash rather than a code; of a code the hash is computed.
fn check(params: &mut Params) -> Result<bool> {
    if params.r#type.is_empty() {
        return Err(Error::invalid("Verify requires a verification type"));
    }
    if params.token.is_empty() == params.token_hash.is_empty() {
        return Err(Error::invalid("Verify requires either a token or a token hash"));
    }
    if params.token.is_empty() {
        if !params.email.is_empty() || !params.phone.is_empty() || !params.redirect_to.is_empty() {
            return Err(Error::invalid("Only the token_hash and type should be provided"));
        }
        return Ok(true);
    }
    match (params.email.is_empty(), params.phone.is_empty()) {
        (true, false) => {
            params.phone = phone::parse(&params.phone)?;
            params.token_hash = random::token_hash(&params.phone, &params.token);
        }
        (false, true) => {
            params.email = contact::email(&params.email).map_err(|cause| {
                Error::unprocessable(ErrorCode::ValidationFailed, "Invalid email format").because(cause)
            })?;
            params.token_hash = random::token_hash(&params.email, &params.token);
        }
        _ => {
            return Err(Error::invalid("Only an email address or phone number should be provided on verify"));
        }
    }
    Ok(false)
}

/// The target with the tokens in its fragment, appended as they are.
fn signed_in_url(target: &str, tokens: &TokenResponse, kind: &str) -> String {
    let mut fragment = Form::default();
    fragment.set("type", kind);
    format!("{target}#{}", tokens.in_fragment(fragment))
}

fn message_url(target: &str, is_pkce: bool) -> Result<String> {
    let mut url = parse(target)?;
    let mut query = url.query();
    if is_pkce {
        query.set("message", OTHER_ADDRESS);
    }
    url.set_query(&query);
    let mut fragment = Form::default();
    fragment.set("message", OTHER_ADDRESS);
    url.set_fragment(&fragment.encode());
    Ok(url.to_string())
}

/// The target with the error in its fragment, and for PKCE flows in its query as well.
fn error_url(target: &str, error: &ApiError, is_pkce: bool) -> Result<String> {
    let mut url = parse(target)?;
    let mut query = url.query();
    let mut fragment = Form::default();
    let name = match error.status {
        StatusCode::BAD_REQUEST => Some("invalid_request"),
        StatusCode::UNAUTHORIZED => Some("unauthorized_client"),
        StatusCode::FORBIDDEN => Some("access_denied"),
        StatusCode::INTERNAL_SERVER_ERROR => Some("server_error"),
        StatusCode::SERVICE_UNAVAILABLE => Some("temporarily_unavailable"),
        _ => None,
    };
    let code = error.code.map_or("", ErrorCode::as_str);
    for form in [&mut query, &mut fragment] {
        if let Some(name) = name {
            form.set("error", name);
        }
        form.set("error_code", code);
        form.set("error_description", error.message.as_ref());
    }
    if is_pkce {
        url.set_query(&query);
    }
    url.set_fragment(&fragment.encode());
    Ok(url.to_string())
}

fn parse(target: &str) -> Result<GoUrl> {
    GoUrl::parse(target)
        .ok_or_else(|| Error::Unexpected(Cause::Other("the redirect target is not a URL".into())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(is_pkce: bool) -> String {
        let error = ApiError {
            status: StatusCode::FORBIDDEN,
            code: Some(ErrorCode::OtpExpired),
            message: "Email link is invalid or has expired".into(),
            cause: None,
        };
        error_url("https://app.example.com/?a=b", &error, is_pkce).unwrap()
    }

    #[test]
    fn errors_travel_in_the_fragment() {
        assert_eq!(
            refused(false),
            "https://app.example.com/?a=b#error=access_denied&error_code=otp_expired\
             &error_description=Email+link+is+invalid+or+has+expired"
        );
    }

    #[test]
    fn errors_of_pkce_flows_travel_in_the_query_too() {
        assert!(
            refused(true)
                .starts_with("https://app.example.com/?a=b&error=access_denied&error_code=otp_expired")
        );
    }
}
