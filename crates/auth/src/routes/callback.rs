//! `GET` and `POST /callback`: back from somebody else's sign-in page.

use axum::extract;
use axum::response::Response;
use database::{Connection, TransactionOptions};
use http::{Method as Verb, StatusCode};
use uuid::Uuid;

use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::external::flow::Flow;
use crate::external::{Admitted, accept_invite, admit, ask_before_creating, link_to};
use crate::http::{Body, Context, Form, GoUrl, request_audience, see};
use crate::json::Timestamp;
use crate::news;
use crate::providers::{Callback, Failure, Place, Profile, Provider, SignedIn, complete_oauth1};
use crate::session::{Method, TokenResponse, sign_in};
use crate::store::flow_states::{self, Told};
use crate::store::{client_states, users};
use crate::user::User;

/// How a sign-in ended.
enum Outcome {
    Tokens(Box<TokenResponse>),
    /// A PKCE flow goes on with this code.
    Code(String),
}

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    request: Context,
    mut body: Body,
) -> Result<Response> {
    // Apple posts a form; what is in it comes before the query.
    let posted = if request.method == Verb::POST { body.take_form() } else { Form::default() };
    let value = |name: &str| if posted.has(name) { posted.get(name) } else { request.query.get(name) };
    let opened = async {
        let flow = Flow::open(&state, value("state"))?;
        let target = linking_target(&state, &flow).await?;
        Ok::<_, Error>((flow, target))
    };
    let (flow, target) = match opened.await {
        Ok(opened) => opened,
        // Nobody can tell where this one began: home.
        Err(error) => {
            let url = failed(&request, &state.config().site_url, error, false)?;
            return see(StatusCode::SEE_OTHER, &url, &request.method);
        }
    };
    let external = &state.config().external;
    let destination = match () {
        () if !external.redirect_url.is_empty() => external.redirect_url.clone(),
        () if !flow.referrer.is_empty() => flow.referrer.clone(),
        () => state.config().site_url.clone(),
    };
    let finished = async {
        let signed_in = at_provider(&state, &flow, value).await?;
        finish(&state, &request, &flow, target, signed_in).await
    };
    let url = match finished.await {
        Ok((Outcome::Code(code), _)) => {
            let mut url = parse(&destination)?;
            let mut query = url.query();
            query.set("code", code);
            url.set_query(&query);
            url.to_string()
        }
        Ok((Outcome::Tokens(tokens), signed_in)) => {
            let mut fragment = Form::default();
            fragment.set("provider_token", signed_in.access_token);
            if !signed_in.refresh_token.is_empty() {
                fragment.set("provider_refresh_token", signed_in.refresh_token);
            }
            format!("{destination}#{}", tokens.in_fragment(fragment))
        }
        Err(error) => failed(&request, &destination, error, true)?,
    };
    see(StatusCode::FOUND, &url, &request.method)
}

async fn linking_target(state: &State, flow: &Flow) -> Result<Option<User>> {
    if flow.linking_target_id.is_empty() {
        return Ok(None);
    }
    let id: Uuid = flow.linking_target_id.parse().map_err(|_| {
        let message = "OAuth callback with invalid state (linking_target_id must be UUID)";
        Error::bad_request(ErrorCode::BadOAuthState, message)
    })?;
    let mut db = state.database().await?;
    let user = users::by_id(&mut db, id).await.step("Database error loading user")?;
    let missing = || Error::unprocessable(ErrorCode::UserNotFound, "Linking target user not found");
    user.ok_or_else(missing).map(Some)
}

/// What the provider says.
async fn at_provider<'a>(state: &State, flow: &Flow, value: impl Fn(&str) -> &'a str) -> Result<SignedIn> {
    let unsupported = |reason: String| {
        let message = format!("Unsupported provider: {reason}");
        Error::bad_request(ErrorCode::OAuthProviderNotSupported, message)
    };
    // Only the exact name goes the older way, as in the original.
    if flow.provider == "twitter" {
        let provider = Provider::find(state, &flow.provider).map_err(unsupported)?;
        let answer = complete_oauth1(state, &provider, value("oauth_token"), value("oauth_verifier")).await;
        return answer.map_err(|failure| match failure {
            Failure::Exchange(error) => {
                Error::internal("Unable to retrieve access token").because(Cause::Other(error.into()))
            }
            Failure::Profile(error) => Error::internal("Error getting user email from external provider")
                .because(Cause::Other(error.into())),
        });
    }
    if !value("error").is_empty() {
        return Err(Error::Provider {
            error: value("error").to_owned(),
            description: value("error_description").to_owned(),
        });
    }
    let code = value("code");
    if code.is_empty() {
        return Err(Error::bad_request(
            ErrorCode::BadOAuthCallback,
            "OAuth callback with missing authorization code missing",
        ));
    }
    let place = Place::find(state, &flow.provider).await.map_err(unsupported)?;
    let verifier = take_verifier(state, flow).await?;
    if place.wants_proof() && verifier.is_none() {
        let message = "OAuth PKCE code verifier missing";
        return Err(Error::bad_request(ErrorCode::OAuthInvalidState, message));
    }
    let callback = Callback { code, verifier: verifier.as_deref(), user: value("user") };
    place.complete(state, callback).await.map_err(|failure| match failure {
        Failure::Exchange(error) => Error::internal(format!("Unable to exchange external code: {code}"))
            .because(Cause::Other(error.into())),
        Failure::Profile(error) => Error::internal("Error getting user profile from external provider")
            .because(Cause::Other(error.into())),
    })
}

/// Seconds for which our secret of a sign-in is good.
const VERIFIER_LIFETIME: i64 = 300;

/// Our secret of a sign-in, if it has one. It is gone then, so no answer of a provider is worth anything twice.
async fn take_verifier(state: &State, flow: &Flow) -> Result<Option<String>> {
    let Some(id) = flow.client_state_id else { return Ok(None) };
    let mut db = state.database().await?;
    let found = client_states::take(&mut db, id).await.step("Failed to find OAuth state")?;
    let found = found
        .ok_or_else(|| Error::unprocessable(ErrorCode::OAuthClientStateNotFound, "OAuth state not found"))?;
    if found.provider != flow.provider {
        return Err(Error::bad_request(ErrorCode::OAuthInvalidState, "OAuth provider mismatch"));
    }
    if Timestamp::now().unix() - found.created_at.unix() > VERIFIER_LIFETIME {
        return Err(Error::unprocessable(ErrorCode::OAuthClientStateExpired, "OAuth state expired"));
    }
    Ok(Some(found.verifier))
}

async fn finish(
    state: &State,
    request: &Context,
    flow: &Flow,
    target: Option<User>,
    mut signed_in: SignedIn,
) -> Result<(Outcome, SignedIn)> {
    if signed_in.profile.emails.is_empty() && !flow.email_optional {
        return Err(Error::internal("Error getting user email from external provider"));
    }
    signed_in.profile.settle_email();
    let flow_id = match flow.flow_state_id.as_str() {
        "" => None,
        id => {
            let missing = || Error::unprocessable(ErrorCode::FlowStateNotFound, "Flow state not found");
            let id: Uuid = id.parse().map_err(|_| missing())?;
            let mut db = state.database().await?;
            let found = flow_states::exists(&mut db, id).await;
            if !found.step("Failed to find flow state")? {
                return Err(missing());
            }
            Some(id)
        }
    };
    if target.is_none() && flow.invite_token.is_empty() {
        let aud = request_audience(request, state);
        ask_before_creating(state, request, &signed_in.profile, &flow.provider, &aud).await?;
    }
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let admitted = whose(db, state, request, flow, target, &signed_in.profile).await?;
    let user = match admitted {
        Admitted::User(user) => *user,
        Admitted::NotYet(error) => {
            transaction.commit().await?;
            return Err(error);
        }
    };
    let outcome = match flow_id {
        Some(id) => {
            let told = Told {
                user_id: user.id,
                access_token: &signed_in.access_token,
                refresh_token: &signed_in.refresh_token,
            };
            let code = flow_states::fulfil(db, id, told).await?.ok_or_else(|| {
                let message = "Flow state has already been used";
                Error::unprocessable(ErrorCode::FlowStateAlreadyUsed, message)
            })?;
            Outcome::Code(code)
        }
        None => Outcome::Tokens(Box::new(sign_in(db, state, request, user, Method::OAuth).await?)),
    };
    transaction.commit().await?;
    Ok((outcome, signed_in))
}

async fn whose(
    db: &mut Connection,
    state: &State,
    request: &Context,
    flow: &Flow,
    target: Option<User>,
    profile: &Profile,
) -> Result<Admitted> {
    let provider = flow.provider.as_str();
    match target {
        Some(user) => link_to(db, state, request, profile, provider, user).await,
        None if !flow.invite_token.is_empty() => {
            accept_invite(db, state, request, profile, provider, &flow.invite_token).await
        }
        None => {
            let aud = request_audience(request, state);
            admit(db, state, request, profile, provider, flow.email_optional, &aud).await
        }
    }
}

/// The target with an error in its query, and in its fragment as well.
pub(super) fn failed(request: &Context, target: &str, error: Error, in_fragment: bool) -> Result<String> {
    news::forget(request);
    let (name, code, description) = match &error {
        Error::Api(api) => {
            use ErrorCode::{ProviderEmailNeedsVerification, SignupDisabled, UserBanned};
            let name = match api.code {
                Some(SignupDisabled | UserBanned | ProviderEmailNeedsVerification) => "access_denied",
                _ => match api.status.as_u16() {
                    400 => "invalid_request",
                    401 => "unauthorized_client",
                    403 => "access_denied",
                    503 => "temporarily_unavailable",
                    _ => "server_error",
                },
            };
            (name, api.code.map(ErrorCode::as_str), api.message.to_string())
        }
        Error::OAuth { error, description } => (*error, None, description.to_string()),
        Error::Provider { error, description } => (error.as_str(), None, description.clone()),
        _ => {
            ("server_error", None, "Unexpected failure, please check server logs for more information".into())
        }
    };
    match &error {
        Error::Api(api) if !api.status.is_server_error() => {
            tracing::info!(request_id = %request.id, "sign-in with a provider failed: {error}");
        }
        Error::OAuth { .. } | Error::Provider { .. } => {
            tracing::info!(request_id = %request.id, "sign-in with a provider failed: {error}");
        }
        _ => {
            let cause = Cause::from(error_of(&error));
            tracing::error!(request_id = %request.id, %cause, "sign-in with a provider failed: {error}");
        }
    }
    let mut url = parse(target)?;
    let (mut query, mut fragment) = (url.query(), Form::default());
    query.set("error", name);
    query.set("error_description", description.as_str());
    if let Some(code) = code {
        query.set("error_code", code);
        fragment.set("error_code", code);
    }
    url.set_query(&query);
    if in_fragment {
        fragment.set("error", name);
        if !description.is_empty() {
            fragment.set("error_description", description.as_str());
        }
        url.set_fragment(&fragment.encode());
    }
    Ok(url.to_string())
}

/// The text of what lies behind an error, for the log.
fn error_of(error: &Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        Error::Api(api) => api.cause.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        other => other.to_string().into(),
    }
}

fn parse(target: &str) -> Result<GoUrl> {
    GoUrl::parse(target)
        .ok_or_else(|| Error::Unexpected(Cause::Other("the redirect target is not a URL".into())))
}
