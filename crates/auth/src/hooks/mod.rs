//! Functions of the project's own that are called at certain moments: functions of the database, or URLs.
//!
//! What a moment sends and what it takes from the answer is written here, one function each; `postgres` and `http` make the
//! calls.

mod http;
mod postgres;

use ::http::StatusCode;
use chrono::Utc;
use database::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::State;
use crate::config::{Hook, HookTarget};
use crate::error::{ApiError, Cause, Error, ErrorCode, Result};
use crate::http::RequestContext;
use crate::json::{self, Object, Timestamp};
use crate::user::User;

/// Calls a hook. A function of the database runs in the transaction on `db`, or in one of its own.
async fn call(
    state: &State,
    db: Option<&mut Connection>,
    hook: &Hook,
    input: &impl Serialize,
) -> Result<Value> {
    let input = json::to_string(input);
    let started = std::time::Instant::now();
    let answer = match &hook.target {
        HookTarget::Nothing => {
            let reason = format!(
                "unsupported protocol: {:?} only postgres hooks and HTTPS functions are supported",
                hook.uri
            );
            return Err(Error::Unexpected(Cause::Other(reason.into())));
        }
        HookTarget::Function { schema, name } => postgres::call(state, db, schema, name, &input).await,
        HookTarget::Url => http::call(state, hook, input).await,
    };
    let duration = started.elapsed().as_micros() as u64;
    let answer = answer.and_then(|answer| match answer {
        Some(text) => check(&text),
        None => Ok(Value::Null),
    });
    match answer {
        Ok(answer) => {
            tracing::info!(action = "run_hook", hook = %hook.uri, success = true, duration, "Hook ran successfully");
            Ok(answer)
        }
        Err(error) => {
            tracing::warn!(action = "run_hook", hook = %hook.uri, success = false, duration, %error, "Hook errored out");
            Err(match error {
                Error::Api(_) => error,
                other => Error::internal(format!("Error running hook URI: {}", hook.uri)).because(other),
            })
        }
    }
}

/// An answer, unless it says that something is wrong: `{"error": {"http_code": …, "message": …}}`.
fn check(text: &str) -> Result<Value> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        http_code: u16,
        message: String,
    }
    let answer = json::parse(text.as_bytes()).map_err(|error| {
        Error::internal("Error unmarshaling JSON output.").because(Cause::Other(error.to_string().into()))
    })?;
    let refusal = answer.get("error").and_then(|error| Refusal::deserialize(error).ok()).unwrap_or_default();
    if refusal.message.is_empty() {
        return Ok(answer);
    }
    let status = match refusal.http_code {
        0 => StatusCode::INTERNAL_SERVER_ERROR,
        code => StatusCode::from_u16(code)
            .ok()
            .filter(|status| status.as_u16() >= 200)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    Err(Error::Api(Box::new(ApiError { status, code: None, message: refusal.message.into(), cause: None })))
}

/// What hooks on attempts decide.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Verdict {
    decision: String,
    message: String,
    should_logout_user: bool,
}

impl Verdict {
    fn read(answer: Value) -> Result<Self> {
        if answer.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(answer).map_err(|error| {
            Error::internal("Error unmarshaling JSON output.").because(Cause::Other(error.into()))
        })
    }

    fn rejects(&self) -> bool {
        self.decision == "reject"
    }
}

/// Somebody tried a password.
pub(crate) async fn password_verification(state: &State, user: &User, valid: bool) -> Result<()> {
    #[derive(Serialize)]
    struct Input {
        user_id: Uuid,
        valid: bool,
    }
    let hook = &state.config().hooks.password_verification_attempt;
    if !hook.enabled {
        return Ok(());
    }
    let verdict = Verdict::read(call(state, None, hook, &Input { user_id: user.id, valid }).await?)?;
    if !verdict.rejects() {
        return Ok(());
    }
    if verdict.should_logout_user {
        let mut db = state.database().await?;
        crate::store::sessions::delete_of_user(&mut db, user.id).await?;
    }
    let message = match verdict.message {
        message if message.is_empty() => {
            "Further password verification attempts will be rejected.".to_owned()
        }
        message => message,
    };
    Err(Error::bad_request(ErrorCode::InvalidCredentials, message))
}

/// Somebody tried a second factor. A rejection ends all of the user's sessions.
pub(crate) async fn mfa_verification(
    state: &State,
    user_id: Uuid,
    factor_id: Uuid,
    factor_type: &str,
    valid: bool,
) -> Result<()> {
    #[derive(Serialize)]
    struct Input<'a> {
        user_id: Uuid,
        factor_id: Uuid,
        factor_type: &'a str,
        valid: bool,
    }
    let hook = &state.config().hooks.mfa_verification_attempt;
    if !hook.enabled {
        return Ok(());
    }
    let input = Input { user_id, factor_id, factor_type, valid };
    let verdict = Verdict::read(call(state, None, hook, &input).await?)?;
    if !verdict.rejects() {
        return Ok(());
    }
    let mut db = state.database().await?;
    crate::store::sessions::delete_of_user(&mut db, user_id).await?;
    let message = match verdict.message {
        message if message.is_empty() => "Further MFA verification attempts will be rejected.".to_owned(),
        message => message,
    };
    Err(Error::forbidden(ErrorCode::MfaVerificationRejected, message))
}

/// A user is about to be created. Called outside any transaction; an error of the hook is the request's.
pub(crate) async fn before_user_created(state: &State, request: &RequestContext, user: &User) -> Result<()> {
    #[derive(Serialize)]
    struct Metadata<'a> {
        uuid: Uuid,
        time: Timestamp,
        name: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        ip_address: &'a str,
    }
    #[derive(Serialize)]
    struct Input<'a> {
        metadata: Metadata<'a>,
        user: &'a User,
    }
    let hook = &state.config().hooks.before_user_created;
    if !hook.enabled {
        return Ok(());
    }
    let metadata = Metadata {
        uuid: Uuid::new_v4(),
        time: Timestamp(Utc::now()),
        name: "before-user-created",
        ip_address: &request.ip,
    };
    call(state, None, hook, &Input { metadata, user }).await.map(|_| ())
}

/// What a mail would have said.
#[derive(Debug, Default, Serialize)]
pub(crate) struct EmailData {
    pub(crate) token: String,
    pub(crate) token_hash: String,
    pub(crate) redirect_to: String,
    pub(crate) email_action_type: &'static str,
    pub(crate) site_url: String,
    pub(crate) token_new: String,
    pub(crate) token_hash_new: String,
}

/// Sends a mail in our place, in the caller's transaction.
pub(crate) async fn send_email(
    state: &State,
    db: &mut Connection,
    user: &User,
    data: EmailData,
) -> Result<()> {
    #[derive(Serialize)]
    struct Input<'a> {
        user: &'a User,
        email_data: EmailData,
    }
    let hook = &state.config().hooks.send_email;
    call(state, Some(db), hook, &Input { user, email_data: data }).await.map(|_| ())
}

/// Sends a text message in our place. `purpose` is empty but for second factors, where it is `mfa`.
pub(crate) async fn send_sms(
    state: &State,
    db: Option<&mut Connection>,
    user: &User,
    phone: &str,
    code: &str,
    purpose: &str,
) -> Result<()> {
    #[derive(Serialize)]
    struct Sms<'a> {
        #[serde(skip_serializing_if = "str::is_empty")]
        otp: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        sms_type: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        phone: &'a str,
    }
    #[derive(Serialize)]
    struct Input<'a> {
        user: &'a User,
        sms: Sms<'a>,
    }
    let hook = &state.config().hooks.send_sms;
    let input = Input { user, sms: Sms { otp: code, sms_type: purpose, phone } };
    call(state, db, hook, &input).await.map(|_| ())
}

/// Lets the hook rewrite the claims of an access token, in the transaction that begins or goes on with its session.
pub(crate) async fn custom_access_token(
    state: &State,
    db: &mut Connection,
    user_id: Uuid,
    claims: &impl Serialize,
    method: &str,
) -> Result<Object> {
    #[derive(Serialize)]
    struct Input<'a, C> {
        user_id: Uuid,
        claims: &'a C,
        authentication_method: &'a str,
    }
    let hook = &state.config().hooks.custom_access_token;
    let input = Input { user_id, claims, authentication_method: method };
    let answer = call(state, Some(db), hook, &input).await?;
    let nameless = |message: String| {
        Error::Api(Box::new(ApiError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: None,
            message: message.into(),
            cause: None,
        }))
    };
    let claims = match answer {
        Value::Object(mut answer) => answer.remove("claims"),
        _ => None,
    };
    let claims = match claims {
        Some(Value::Object(claims)) => claims,
        None => return Err(nameless("output claims field is missing".into())),
        Some(_) => return Err(Error::internal("Error unmarshaling JSON output.")),
    };
    let problems = misfits(&claims);
    if !problems.is_empty() {
        let list: String = problems.iter().map(|problem| format!("- {problem}\n")).collect();
        return Err(nameless(format!("output claims do not conform to the expected schema: \n{list}")));
    }
    Ok(claims)
}

/// What is wrong with the claims of a token, in the words of the original's schema.
fn misfits(claims: &Object) -> Vec<String> {
    const REQUIRED: [&str; 10] =
        ["aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous"];
    const TYPES: [(&str, &str); 16] = [
        ("aal", "string"),
        ("amr", "array"),
        ("app_metadata", "object"),
        ("aud", "string/array"),
        ("client_id", "string"),
        ("email", "string"),
        ("exp", "integer"),
        ("iat", "integer"),
        ("iss", "string"),
        ("jti", "string"),
        ("nbf", "integer"),
        ("phone", "string"),
        ("role", "string"),
        ("session_id", "string"),
        ("sub", "string"),
        ("user_metadata", "object"),
    ];
    let mut problems: Vec<String> = REQUIRED
        .iter()
        .filter(|name| !claims.contains_key(**name))
        .map(|name| format!("(root): {name} is required"))
        .collect();
    for (name, expected) in TYPES {
        let Some(value) = claims.get(name) else { continue };
        let given = kind(value);
        if !expected.split('/').any(|kind| kind == given) {
            problems.push(format!("{name}: Invalid type. Expected: {expected}, given: {given}"));
        }
        if let ("amr", Value::Array(items)) = (name, value) {
            for (at, item) in items.iter().enumerate().filter(|(_, item)| !item.is_object()) {
                problems.push(format!("amr.{at}: Invalid type. Expected: object, given: {}", kind(item)));
            }
        }
    }
    problems
}

/// The type of a value in the words of JSON Schema.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_must_have_their_types() {
        let good = json!({"aud": ["a"], "exp": 1, "iat": 1.0, "sub": "s", "email": "", "phone": "", "role": "r", "aal": "aal1",
            "session_id": "x", "is_anonymous": false, "extra": [1]});
        let Value::Object(mut claims) = good else { panic!("an object") };
        assert_eq!(misfits(&claims), Vec::<String>::new());
        claims.remove("sub");
        claims.insert("exp".into(), "soon".into());
        claims.insert("amr".into(), json!(["x"]));
        assert_eq!(
            misfits(&claims),
            [
                "(root): sub is required",
                "amr.0: Invalid type. Expected: object, given: string",
                "exp: Invalid type. Expected: integer, given: string",
            ]
        );
    }

    #[test]
    fn an_error_with_a_message_is_an_error() {
        assert_eq!(check("{\"error\": {\"message\": \"\"}, \"x\": 1}").unwrap()["x"], 1);
        let refused = check("{\"error\": {\"http_code\": 403, \"message\": \"no\"}}").unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.code()), ("403: no", None));
        assert_eq!(check("{\"error\": {\"message\": \"no\"}}").unwrap_err().to_string(), "500: no");
        assert_eq!(
            check("{\"error\": {\"http_code\": 7, \"message\": \"no\"}}").unwrap_err().to_string(),
            "500: no"
        );
        assert!(check("nonsense").is_err());
    }
}
