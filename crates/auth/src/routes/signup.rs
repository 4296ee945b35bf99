//! `POST /signup`: with an address, a number, or nothing at all.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::account;
use crate::captcha;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::hooks;
use crate::http::{Body, Context, request_audience};
use crate::json::{self, Object, params};
use crate::rate_limit::Limit;
use crate::session::{Method, TokenResponse, sign_in};
use crate::signup::{Outcome, Registration, sign_up};
use crate::user::User;

params! {
    "SignupParams",
    /// What the route accepts.
    struct Params {
        email: String,
        phone: String,
        password: String,
        data: Option<Object>,
        channel: String,
        code_challenge_method: String,
        code_challenge: String,
    }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    captcha::check(&state, &request, &body).await?;
    let params: Params = body.read()?;
    let aud = request_audience(&request, &state);
    let config = state.config();
    if params.email.is_empty() && params.phone.is_empty() {
        if !config.external.anonymous_users_enabled {
            return Err(Error::unprocessable(
                ErrorCode::AnonymousProviderDisabled,
                "Anonymous sign-ins are disabled",
            ));
        }
        state.limits().check(Limit::AnonymousSignup, &request, config).await?;
        return anonymous(&state, &request, params.data.unwrap_or_default(), aud).await;
    }
    state.limits().check(Limit::Signup, &request, config).await?;
    let registration = Registration {
        email: params.email,
        phone: params.phone,
        password: params.password,
        data: params.data.unwrap_or_default(),
        channel: params.channel,
        code_challenge: params.code_challenge,
        code_challenge_method: params.code_challenge_method,
    };
    match sign_up(&state, &request, registration, aud).await? {
        Outcome::SignedIn(tokens) => Ok(json::ok(&tokens)),
        Outcome::Pending(user) => Ok(json::ok(&user)),
    }
}

/// A user nobody can recognise again without the session.
async fn anonymous(state: &State, request: &Context, data: Object, aud: String) -> Result<Response> {
    if state.config().disable_signup {
        return Err(Error::unprocessable(ErrorCode::SignupDisabled, "Signups not allowed for this instance"));
    }
    let mut user = User::new("", "", String::new(), &aud, data);
    user.is_anonymous = true;
    hooks::before_user_created(state, request, &user).await?;
    let tokens = create(state, request, user).await.step("Database error creating anonymous user")?;
    Ok(json::ok(&tokens))
}

async fn create(state: &State, request: &Context, mut user: User) -> Result<TokenResponse> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    account::create(db, state, &mut user).await?;
    let tokens = sign_in(db, state, request, user, Method::Anonymous).await?;
    transaction.commit().await?;
    Ok(tokens)
}
