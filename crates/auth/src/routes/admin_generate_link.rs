//! `POST /admin/generate_link`: a link or code for the administrator to deliver. Nothing is sent.

use axum::extract;
use axum::response::Response;
use database::{Connection, TransactionOptions};
use serde::Serialize;

use crate::State;
use crate::account;
use crate::audit::{self, Action, Actor, traits};
use crate::contact;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::hooks;
use crate::http::{Admin, Body, Context, redirect_target_or, request_audience};
use crate::identity::{Contact, Identity};
use crate::json::{self, Object, Timestamp, params};
use crate::mail::{MessageKind, action_link};
use crate::metadata;
use crate::one_time;
use crate::password;
use crate::random;
use crate::store::one_time_tokens::Kind;
use crate::store::users::{self, Column};
use crate::user::{User, provider_metadata};

params! {
    "GenerateLinkParams",
    /// What the route accepts.
    struct Params {
        r#type: String,
        email: String,
        new_email: String,
        password: String,
        data: Option<Object>,
        redirect_to: String,
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    user: Flat<'a>,
    action_link: String,
    email_otp: String,
    hashed_token: String,
    verification_type: &'a str,
    redirect_to: String,
}

/// The user's fields among the others.
struct Flat<'a>(&'a User);

impl Serialize for Flat<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    body: Body,
) -> Result<Response> {
    let config = state.config();
    let mut params: Params = body.read()?;
    params.email = contact::email(&params.email)?;
    let redirect_to = redirect_target_or(&params.redirect_to, &request, config);
    let aud = request_audience(&request, &state);
    let existing = {
        let mut db = state.database().await?;
        users::by_email(&mut db, &params.email, &aud).await.step("Database error finding user")?
    };
    if existing.is_none() {
        match params.r#type.as_str() {
            "magiclink" => {
                params.r#type = "signup".into();
                params.password = random::password(&config.password.required_characters, 64);
            }
            "recovery" | "email_change_current" | "email_change_new" => {
                return Err(Error::not_found(ErrorCode::UserNotFound, "User with this email not found"));
            }
            _ => {}
        }
    }
    let code = random::code(config.mailer.otp_length);
    let hash = random::token_hash(&params.email, &code);
    let user = match existing {
        Some(user) => Subject::Existing(Box::new(user)),
        None => {
            let user = new_user(&state, &params, &aud).await?;
            if matches!(params.r#type.as_str(), "signup" | "invite") {
                hooks::before_user_created(&state, &request, &user).await?;
            }
            Subject::New(Box::new(user))
        }
    };

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let link = Link { admin: &admin, params: &params, code: &code, hash: &hash };
    let (user, kind, link_type, token) = link.write(db, &state, &request, user).await?;
    let action_link = action_link(&state, &request, kind, link_type, &token, &redirect_to)?;
    transaction.commit().await?;
    Ok(json::ok(&Answer {
        user: Flat(&user),
        action_link,
        email_otp: code,
        hashed_token: hash,
        verification_type: &params.r#type,
        redirect_to,
    }))
}

enum Subject {
    Existing(Box<User>),
    New(Box<User>),
}

/// A user who is not in the database yet. Hashing happens here, outside the transaction.
async fn new_user(state: &State, params: &Params, aud: &str) -> Result<User> {
    let hash = match params.r#type.as_str() {
        "signup" => {
            if params.password.is_empty() {
                return Err(Error::invalid("Signup requires a valid password"));
            }
            password::check_new(state, &params.password).await?;
            state.hasher().hash(params.password.clone()).await?
        }
        _ => String::new(),
    };
    let mut user = User::new(&params.email, "", hash, aud, params.data.clone().unwrap_or_default());
    user.app_metadata = provider_metadata(&["email"]);
    Ok(user)
}

struct Link<'a> {
    admin: &'a Admin,
    params: &'a Params,
    code: &'a str,
    hash: &'a str,
}

impl Link<'_> {
    /// Writes the token where the link's kind keeps it; returns what the link is made of.
    async fn write(
        &self,
        db: &mut Connection,
        state: &State,
        request: &Context,
        subject: Subject,
    ) -> Result<(User, MessageKind, &'static str, String)> {
        let params = self.params;
        match (params.r#type.as_str(), subject) {
            ("magiclink" | "recovery", Subject::Existing(mut user)) => {
                audit::record(db, state, request, &*user, Action::UserRecoveryRequested, None).await?;
                user.tokens.recovery = self.hash.to_owned();
                user.recovery_sent_at = Some(Timestamp::now());
                users::update(db, &mut user, &[Column::RecoveryToken, Column::RecoverySentAt]).await?;
                one_time::store(db, &user, &user.email, Kind::Recovery).await?;
                let (kind, link_type) = match params.r#type.as_str() {
                    "recovery" => (MessageKind::Recovery, "recovery"),
                    _ => (MessageKind::MagicLink, "magiclink"),
                };
                Ok((*user, kind, link_type, self.hash.to_owned()))
            }
            (kind @ ("signup" | "invite"), subject) => {
                let user = self.confirmable(db, state, request, subject, kind == "invite").await?;
                let (kind, link_type) = match kind {
                    "invite" => (MessageKind::Invite, "invite"),
                    _ => (MessageKind::Confirmation, "signup"),
                };
                Ok((user, kind, link_type, self.hash.to_owned()))
            }
            (kind @ ("email_change_current" | "email_change_new"), Subject::Existing(user)) => {
                let (user, token) =
                    self.email_change(db, state, *user, kind == "email_change_current").await?;
                Ok((user, MessageKind::EmailChange, "email_change", token))
            }
            (other, _) => Err(Error::invalid(format!("Invalid email action link type requested: {other}"))),
        }
    }

    async fn confirmable(
        &self,
        db: &mut Connection,
        state: &State,
        request: &Context,
        subject: Subject,
        invite: bool,
    ) -> Result<User> {
        let mut user = match subject {
            Subject::Existing(user) if user.is_confirmed() => {
                return Err(Error::unprocessable(
                    ErrorCode::EmailExists,
                    "A user with this email address has already been registered",
                ));
            }
            Subject::Existing(mut user) => {
                if !invite {
                    metadata::merge(&mut user.user_metadata, self.params.data.clone().unwrap_or_default());
                    users::update(db, &mut user, &[Column::UserMetadata])
                        .await
                        .step("Database error updating user")?;
                }
                *user
            }
            Subject::New(mut user) => {
                account::create(db, state, &mut user).await?;
                let contact = Contact { email: &self.params.email, ..Contact::default() };
                let identity = Identity::of_contact(user.id, "email", contact);
                account::add_identity(db, &identity).await?;
                user.identities = Some(vec![identity]);
                *user
            }
        };
        let now = Timestamp::now();
        user.tokens.confirmation = self.hash.to_owned();
        user.confirmation_sent_at = Some(now);
        if invite {
            let invited =
                traits([("user_id", user.id.to_string().into()), ("user_email", user.email.as_str().into())]);
            let actor = Actor::admin(&self.admin.role);
            audit::record(db, state, request, actor, Action::UserInvited, invited).await?;
            user.invited_at = Some(now);
            let columns = [Column::ConfirmationToken, Column::ConfirmationSentAt, Column::InvitedAt];
            users::update(db, &mut user, &columns).await?;
        } else {
            users::update(db, &mut user, &[Column::ConfirmationToken, Column::ConfirmationSentAt]).await?;
        }
        one_time::store(db, &user, &user.email, Kind::Confirmation).await?;
        Ok(user)
    }

    async fn email_change(
        &self,
        db: &mut Connection,
        state: &State,
        mut user: User,
        current: bool,
    ) -> Result<(User, String)> {
        let config = state.config();
        if current && !config.mailer.secure_email_change_enabled {
            return Err(Error::invalid("Enable secure email change to generate link for current email"));
        }
        let address = contact::email(&self.params.new_email)?;
        let own_domains = &config.external.own_linking_domain;
        let taken = users::with_email(db, &address, &user.aud, Some(user.id), own_domains).await;
        if taken.step("Database error checking email")?.is_some() {
            return Err(Error::unprocessable(
                ErrorCode::EmailExists,
                "A user with this email address has already been registered",
            ));
        }
        user.email_change_sent_at = Some(Timestamp::now());
        user.tokens.email_change_status = 0;
        // The answer's `hashed_token` is that of the present address in both cases, as in the original.
        let token = if current {
            user.tokens.email_change_current = self.hash.to_owned();
            self.hash.to_owned()
        } else {
            user.tokens.email_change_new = random::token_hash(&address, self.code);
            user.tokens.email_change_new.clone()
        };
        user.email_change = address;
        let columns = [
            Column::EmailChangeTokenCurrent,
            Column::EmailChangeTokenNew,
            Column::EmailChange,
            Column::EmailChangeSentAt,
            Column::EmailChangeConfirmStatus,
        ];
        users::update(db, &mut user, &columns).await?;
        if !user.tokens.email_change_current.is_empty() {
            one_time::store(db, &user, &user.email, Kind::EmailChangeCurrent).await?;
        }
        if !user.tokens.email_change_new.is_empty() {
            one_time::store(db, &user, &user.email_change, Kind::EmailChangeNew).await?;
        }
        Ok((user, token))
    }
}
