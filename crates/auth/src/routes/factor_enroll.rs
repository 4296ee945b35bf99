//! `POST /factors`: a user adds a second factor, which counts once it is verified.

use axum::extract;
use axum::response::Response;
use database::{Connection, TransactionOptions};
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::factors::{self, FactorType, totp};
use crate::http::{Body, Caller, Context, GoUrl};
use crate::json::{self, params};
use crate::phone;
use crate::session::Session;
use crate::store;
use crate::user::User;

params! {
    "EnrollFactorParams",
    /// What the route accepts.
    struct Params { friendly_name: String, factor_type: String, issuer: String, phone: String }
}

#[derive(Serialize)]
struct Enrolled {
    id: Uuid,
    r#type: &'static str,
    friendly_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp: Option<Totp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    phone: String,
}

#[derive(Serialize)]
struct Totp {
    qr_code: String,
    secret: String,
    uri: String,
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    body: Body,
) -> Result<Response> {
    caller.require_named()?;
    let Caller { mut user, session, .. } = caller;
    let session = session.ok_or_else(|| {
        Error::internal("A valid session and a registered user are required to enroll a factor")
    })?;
    let params: Params = body.read()?;
    let kind = FactorType::parse(&params.factor_type)?;
    kind.require_enroll(&state)?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let enrolled = match kind {
        FactorType::Totp => app(db, &state, &mut user, &session, params).await?,
        FactorType::Phone => number(db, &state, &mut user, &session, params).await?,
        FactorType::WebAuthn => {
            factors::check_enrollment(db, &state, &mut user, &params.friendly_name, &session).await?;
            insert(db, &state, &user, kind, params.friendly_name, "", "").await?
        }
    };
    let mut added = traits([("factor_id", enrolled.id.to_string().into())]);
    if let Some(added) = added.as_mut().filter(|_| kind != FactorType::Totp) {
        added.insert("factor_type".into(), kind.as_str().into());
    }
    audit::record_from(db, &state, &request, &user, Action::FactorInProgress, added, &request.ip).await?;
    transaction.commit().await?;
    Ok(json::ok(&enrolled))
}

async fn insert(
    db: &mut Connection,
    state: &State,
    user: &User,
    kind: FactorType,
    friendly_name: String,
    secret: &str,
    phone: &str,
) -> Result<Enrolled> {
    let id = Uuid::new_v4();
    let kept = match secret {
        "" => String::new(),
        secret => state.encryption().seal(id, secret)?,
    };
    store::factors::insert(db, id, user.id, kind, &friendly_name, &kept, phone).await?;
    Ok(Enrolled { id, r#type: kind.as_str(), friendly_name, totp: None, phone: String::new() })
}

async fn app(
    db: &mut Connection,
    state: &State,
    user: &mut User,
    session: &Session,
    params: Params,
) -> Result<Enrolled> {
    let issuer = match params.issuer.as_str() {
        "" => GoUrl::parse(&state.config().site_url)
            .map(|url| url.host_with_port().to_owned())
            .ok_or_else(|| Error::internal("site url is improperly formatted"))?,
        named => named.to_owned(),
    };
    factors::check_enrollment(db, state, user, &params.friendly_name, session).await?;
    // Apps show an account: the address, and for users who have none the number. The original fails for those.
    let account = if user.email.is_empty() { &user.phone } else { &user.email };
    if issuer.is_empty() || account.is_empty() {
        return Err(Error::internal("Error generating QR Code"));
    }
    let secret = totp::secret();
    let uri = totp::uri(&issuer, account, &secret);
    let qr_code = totp::qr_code(&uri).ok_or_else(|| Error::internal("Error generating QR Code"))?;
    let enrolled = insert(db, state, user, FactorType::Totp, params.friendly_name, &secret, "").await?;
    Ok(Enrolled { totp: Some(Totp { qr_code, secret, uri }), ..enrolled })
}

async fn number(
    db: &mut Connection,
    state: &State,
    user: &mut User,
    session: &Session,
    params: Params,
) -> Result<Enrolled> {
    if params.phone.is_empty() {
        return Err(Error::invalid("Phone number required to enroll Phone factor"));
    }
    let phone = phone::parse(&params.phone)?;
    for factor in user.factors.iter().filter(|factor| factor.is_phone() && factor.phone == phone) {
        if factor.is_verified() {
            return Err(Error::unprocessable(
                ErrorCode::MfaVerifiedFactorExists,
                "A verified phone factor already exists, unenroll the existing factor to continue",
            ));
        }
        store::factors::delete(db, factor.id)
            .await
            .step("Database error deleting unverified phone factors")?;
    }
    factors::check_enrollment(db, state, user, &params.friendly_name, session).await?;
    let enrolled = insert(db, state, user, FactorType::Phone, params.friendly_name, "", &phone).await?;
    Ok(Enrolled { phone: params.phone, ..enrolled })
}
