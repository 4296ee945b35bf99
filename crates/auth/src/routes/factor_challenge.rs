//! `POST /factors/{factor_id}/challenge`: asks a factor to prove itself.

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::contact;
use crate::error::{Error, ErrorCode, Result};
use crate::factors::relying_party::{self, Shape, WebAuthnParams};
use crate::factors::{FactorType, asked_for, challenge};
use crate::http::{Body, Caller, Context};
use crate::json::{self, Timestamp, params};
use crate::one_time;
use crate::random;
use crate::rate_limit::Limit;
use crate::store::challenges::{self, Asked};
use crate::store::factors;
use crate::user::{Factor, User};
use crate::webauthn::{CreationOptions, Descriptor, Person, RequestOptions};

params! {
    "ChallengeFactorParams",
    /// What the route accepts.
    struct Params { channel: String, web_authn: WebAuthnParams, webauthn: WebAuthnParams }
}

#[derive(Serialize)]
struct Challenged {
    id: Uuid,
    r#type: &'static str,
    expires_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_request_options: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_creation_options: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webauthn: Option<Newer>,
}

/// The shape since 2.181.
#[derive(Serialize)]
struct Newer {
    r#type: &'static str,
    credential_options: PublicKey,
}

#[derive(Serialize)]
struct PublicKey {
    #[serde(rename = "publicKey")]
    public_key: Options,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Options {
    Create(Box<CreationOptions>),
    Request(RequestOptions),
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(factor_id): Path<String>,
    body: Body,
) -> Result<Response> {
    let (factor, kind) = asked_for(&state, &request, &caller, &factor_id, Limit::FactorChallenge).await?;
    kind.require_verify(&state, false)?;
    let challenged = match kind {
        FactorType::WebAuthn => key(&state, &request, &caller.user, &factor, &body).await?,
        FactorType::Totp => {
            let (id, at) = write(&state, &request, &caller.user, &factor, Asked::new()).await?;
            Challenged::new(&state, kind, id, at)
        }
        FactorType::Phone => {
            let code = send(&state, &caller.user, &factor, &body).await?;
            let id = Uuid::new_v4();
            let kept = state.encryption().seal(id, &code)?;
            let asked = Asked { id, otp_code: &kept, session_data: None };
            let (id, at) = write(&state, &request, &caller.user, &factor, asked).await?;
            Challenged::new(&state, kind, id, at)
        }
    };
    Ok(json::ok(&challenged))
}

impl Challenged {
    fn new(state: &State, kind: FactorType, id: Uuid, created_at: Timestamp) -> Self {
        Self {
            id,
            r#type: kind.as_str(),
            expires_at: challenge::expires_at(state, created_at).unix(),
            credential_request_options: None,
            credential_creation_options: None,
            webauthn: None,
        }
    }
}

async fn write(
    state: &State,
    request: &Context,
    user: &User,
    factor: &Factor,
    asked: Asked<'_>,
) -> Result<(Uuid, Timestamp)> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let written = challenges::insert(db, factor.id, &request.ip, asked).await?;
    let created = traits([
        ("factor_id", factor.id.to_string().into()),
        ("factor_status", factor.status.as_str().into()),
    ]);
    audit::record_from(db, state, request, user, Action::ChallengeCreated, created, &request.ip).await?;
    transaction.commit().await?;
    Ok(written)
}

/// Sends a code to the factor's number.
async fn send(state: &State, user: &User, factor: &Factor, body: &Body) -> Result<String> {
    let config = state.config();
    let params: Params = body.read()?;
    let channel = if params.channel.is_empty() { "sms" } else { &params.channel };
    contact::channel(channel, config)?;
    let pause = config.mfa.phone.max_frequency;
    if let Some(last) = factor.last_challenged_at.filter(|last| last.plus(pause) >= Timestamp::now()) {
        return Err(one_time::frequency(ErrorCode::OverSmsSendRateLimit, last, pause));
    }
    let code = random::code(config.mfa.phone.otp_length);
    one_time::send_factor_code(state, user, &factor.phone, &code, channel).await?;
    Ok(code)
}

async fn key(
    state: &State,
    request: &Context,
    user: &User,
    factor: &Factor,
    body: &Body,
) -> Result<Challenged> {
    let params: Params = body.read()?;
    let shape = relying_party::shape_of(&params.web_authn, &params.webauthn);
    let named = match shape {
        Shape::Old => params.web_authn.0.as_ref(),
        Shape::New => params.webauthn.0.as_ref(),
    };
    let party = relying_party::named(state, shape, named)?
        .ok_or_else(|| Error::invalid("web_authn config required"))?;
    let user_id = user.id.to_string();
    let credentials: Vec<_> = {
        let mut db = state.database().await?;
        factors::credentials(&mut db, user.id).await?.into_iter().map(|(_, credential)| credential).collect()
    };
    let (kind, options, session) = if factor.is_verified() {
        let (options, session) = party.begin_use(&user_id, &credentials);
        ("request", Options::Request(options), session)
    } else {
        let existing = match shape {
            Shape::Old => Vec::new(),
            Shape::New => credentials
                .iter()
                .map(|credential| Descriptor::new(&credential.id.0, vec!["usb".into(), "nfc".into()]))
                .collect(),
        };
        let person = Person::new(&user.email, &user.email, &user_id);
        let (options, session) = party.begin_creation(person, &user_id, existing);
        ("create", Options::Create(Box::new(options)), session)
    };
    let asked = Asked { session_data: Some(json::to_string(&session)), ..Asked::new() };
    let (id, at) = write(state, request, user, factor, asked).await?;
    let mut challenged = Challenged::new(state, FactorType::WebAuthn, id, at);
    let options = PublicKey { public_key: options };
    match (shape, kind) {
        (Shape::New, _) => challenged.webauthn = Some(Newer { r#type: kind, credential_options: options }),
        (Shape::Old, "request") => challenged.credential_request_options = Some(options),
        (Shape::Old, _) => challenged.credential_creation_options = Some(options),
    }
    Ok(challenged)
}
