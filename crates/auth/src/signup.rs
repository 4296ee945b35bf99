//! Signing up with an address or a number and a password.

use database::{Connection, TransactionOptions};
use uuid::Uuid;

use crate::State;
use crate::account;
use crate::audit::{self, Action, traits};
use crate::contact;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::hooks;
use crate::http::RequestContext;
use crate::identity::{Contact, Identity};
use crate::json::{Object, Timestamp};
use crate::one_time::{self, TextPurpose};
use crate::password;
use crate::phone;
use crate::pkce;
use crate::session::{Method, TokenResponse, sign_in};
use crate::store::{self, flow_states};
use crate::user::{User, provider_metadata};

/// Who wants to sign up, as the request says it.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    pub(crate) email: String,
    pub(crate) phone: String,
    pub(crate) password: String,
    pub(crate) data: Object,
    pub(crate) channel: String,
    pub(crate) code_challenge: String,
    pub(crate) code_challenge_method: String,
}

/// How a sign-up ended.
pub(crate) enum Outcome {
    /// Confirmed at once.
    SignedIn(Box<TokenResponse>),
    /// Waiting for a confirmation; or there is such a user already, which the answer does not tell.
    Pending(Box<User>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Provider {
    Email,
    Phone,
}

impl Provider {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    fn has_confirmed(self, user: &User) -> bool {
        match self {
            Self::Email => user.is_confirmed(),
            Self::Phone => user.is_phone_confirmed(),
        }
    }
}

/// A registration whose every part was checked.
struct Checked {
    provider: Provider,
    email: String,
    phone: String,
    password: String,
    data: Object,
    channel: String,
    challenge: Option<pkce::Challenge>,
    aud: String,
}

/// How often a sign-up is tried that loses to others with the same contact.
const MOST_TRIES: u32 = 3;

/// Signs somebody up.
pub(crate) async fn sign_up(
    state: &State,
    request: &RequestContext,
    registration: Registration,
    aud: String,
) -> Result<Outcome> {
    let new = check(state, registration, aud).await?;
    let mut hash = None;
    let mut tries = 0;
    loop {
        tries += 1;
        let existing = find(state, &new).await.step("Database error finding user")?;
        // Hashed in either case: how long it takes must not tell whether there is such a user.
        if hash.is_none() {
            hash = Some(state.hasher().hash(new.password.clone()).await?);
        }
        let was_new = existing.is_none();
        if was_new && tries == 1 {
            let user = new_user(&new, hash.clone().unwrap_or_default());
            hooks::before_user_created(state, request, &user).await?;
        }
        let password_hash = hash.clone().unwrap_or_default();
        match register(state, request, &new, existing, password_hash).await {
            // Somebody else signed up with the same contact in this moment: now there is a user.
            // Not for ever: a user of another audience has the contact, too, and is never found.
            Err(error) if was_new && tries < MOST_TRIES && is_duplicate_user(&error) => continue,
            result => return result,
        }
    }
}

async fn check(state: &State, registration: Registration, aud: String) -> Result<Checked> {
    let config = state.config();
    if config.disable_signup {
        return Err(Error::unprocessable(ErrorCode::SignupDisabled, "Signups not allowed for this instance"));
    }
    let Registration { email, phone, password, data, channel, code_challenge, code_challenge_method } =
        registration;
    if password.is_empty() {
        return Err(Error::invalid("Signup requires a valid password"));
    }
    password::check_new(state, &password).await?;
    if !email.is_empty() && !phone.is_empty() {
        return Err(Error::invalid("Only an email address or phone number should be provided on signup."));
    }
    let provider = if email.is_empty() { Provider::Phone } else { Provider::Email };
    let channel = if channel.is_empty() { "sms".to_owned() } else { channel };
    if provider == Provider::Phone {
        contact::channel(&channel, config)?;
        if !code_challenge.is_empty() {
            return Err(Error::invalid("PKCE not supported for phone signups"));
        }
    }
    let challenge = pkce::parse(&code_challenge_method, &code_challenge)?;
    let (email, phone) = match provider {
        Provider::Email if !config.external.email_enabled => {
            return Err(Error::bad_request(ErrorCode::EmailProviderDisabled, "Email signups are disabled"));
        }
        Provider::Phone if !config.external.phone_enabled => {
            return Err(Error::bad_request(ErrorCode::PhoneProviderDisabled, "Phone signups are disabled"));
        }
        Provider::Email => (contact::email(&email)?, String::new()),
        Provider::Phone => (String::new(), phone::parse(&phone)?),
    };
    Ok(Checked { provider, email, phone, password, data, channel, challenge, aud })
}

async fn find(state: &State, new: &Checked) -> Result<Option<User>> {
    let mut db = state.database().await?;
    let own_domains = &state.config().external.own_linking_domain;
    Ok(match new.provider {
        Provider::Email => store::users::with_email(&mut db, &new.email, &new.aud, None, own_domains).await?,
        Provider::Phone => store::users::by_phone(&mut db, &new.phone, &new.aud).await?,
    })
}

/// Everything that a sign-up writes, in one transaction: a failing trigger leaves nothing behind.
async fn register(
    state: &State,
    request: &RequestContext,
    new: &Checked,
    existing: Option<User>,
    password_hash: String,
) -> Result<Outcome> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();

    if let Some(user) = existing.as_ref().filter(|user| new.provider.has_confirmed(user)) {
        let provider = traits([("provider", new.provider.as_str().into())]);
        audit::record(db, state, request, user, Action::UserRepeatedSignup, provider).await?;
        transaction.commit().await?;
        let config = state.config();
        if config.mailer.autoconfirm || config.sms.autoconfirm {
            return Err(Error::unprocessable(ErrorCode::UserAlreadyExists, "User already registered"));
        }
        return Ok(Outcome::Pending(Box::new(disguise(new))));
    }

    let mut user = match existing {
        // Neither password nor metadata change: whoever asks now need not be who asked first.
        Some(user) => user,
        None => {
            let mut user = new_user(new, password_hash);
            account::create(db, state, &mut user).await?;
            user
        }
    };
    let (mut identity, is_new) = own_identity(db, &mut user, new).await?;
    confirm_or_ask(db, state, request, &mut user, new).await?;
    if is_new && user.is_confirmed() {
        // A new identity and the user's metadata are one map in the original, so this answer, unlike
        // the row, shows the confirmation in both.
        identity.data.insert("email_verified".into(), true.into());
    }
    user.identities = Some(vec![identity]);

    if !user.is_confirmed() && !user.is_phone_confirmed() {
        transaction.commit().await?;
        if user.invited_at.is_some() {
            user.user_metadata = Object::new();
            user.identities = Some(Vec::new());
        }
        return Ok(Outcome::Pending(Box::new(user)));
    }
    let provider = traits([("provider", new.provider.as_str().into())]);
    audit::record(db, state, request, &user, Action::Login, provider).await?;
    let tokens = sign_in(db, state, request, user, Method::Password).await?;
    transaction.commit().await?;
    Ok(Outcome::SignedIn(Box::new(tokens)))
}

fn new_user(new: &Checked, password_hash: String) -> User {
    let mut user = User::new(&new.email, &new.phone, password_hash, &new.aud, new.data.clone());
    user.app_metadata = provider_metadata(&[new.provider.as_str()]);
    user
}

/// The identity of the contact: found, or created with the submitted data beside its own claims.
/// Tells whether it is new.
async fn own_identity(db: &mut Connection, user: &mut User, new: &Checked) -> Result<(Identity, bool)> {
    let provider = new.provider.as_str();
    if let Some(identity) = store::identities::find(db, &user.id.to_string(), provider).await? {
        return Ok((identity, false));
    }
    let email = user.email.clone();
    let mut claims = Contact { email: &email, ..Contact::default() }.claims(user.id);
    for (key, value) in &new.data {
        if !claims.contains_key(key) {
            claims.insert(key.clone(), value.clone());
        }
    }
    let identity = Identity::new(user.id, provider, user.id.to_string(), claims);
    account::add_identity(db, &identity).await?;
    account::keep_only(db, user, &identity).await?;
    Ok((identity, true))
}

async fn confirm_or_ask(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
    new: &Checked,
) -> Result<()> {
    let config = state.config();
    let provider = || ("provider", new.provider.as_str().into());
    if new.provider.has_confirmed(user) {
        return Ok(());
    }
    match new.provider {
        Provider::Email if config.mailer.autoconfirm => {
            audit::record(db, state, request, &*user, Action::UserSignedUp, traits([provider()])).await?;
            account::confirm_email(db, user).await.step("Database error updating user")
        }
        Provider::Email => {
            let action = Action::UserConfirmationRequested;
            audit::record(db, state, request, &*user, action, traits([provider()])).await?;
            if let Some(challenge) = &new.challenge {
                begin_flow(db, user.id, "email", Method::EmailSignup, challenge).await?;
            }
            one_time::send_confirmation(db, state, request, user, new.challenge.as_ref()).await
        }
        Provider::Phone if config.sms.autoconfirm => {
            let channel = ("channel", new.channel.as_str().into());
            audit::record(db, state, request, &*user, Action::UserSignedUp, traits([provider(), channel]))
                .await?;
            account::confirm_phone(db, user).await.step("Database error updating user")
        }
        Provider::Phone => {
            let action = Action::UserConfirmationRequested;
            audit::record(db, state, request, &*user, action, traits([provider()])).await?;
            one_time::send_text(db, state, user, &new.phone, TextPurpose::Confirmation, &new.channel)
                .await
                .map(|_| ())
        }
    }
}

/// Remembers a PKCE flow until its code is exchanged.
pub(crate) async fn begin_flow(
    db: &mut Connection,
    user_id: Uuid,
    provider_type: &str,
    method: Method,
    challenge: &pkce::Challenge,
) -> Result<()> {
    let stored = challenge.stored_method()?;
    flow_states::insert(db, Some(user_id), provider_type, method, &challenge.challenge, stored).await?;
    Ok(())
}

/// A user who looks freshly signed up and tells nothing of the one who has that contact.
fn disguise(new: &Checked) -> User {
    let mut user = User::new(&new.email, &new.phone, String::new(), &new.aud, new.data.clone());
    user.app_metadata = provider_metadata(&[new.provider.as_str()]);
    user.confirmation_sent_at = Some(Timestamp::now());
    user
}

/// Whether a sign-up failed because another one with the same contact came first.
fn is_duplicate_user(error: &Error) -> bool {
    let Error::Api(api) = error else { return false };
    let Some(Cause::Database(cause)) = &api.cause else { return false };
    cause.as_db().is_some_and(|db| {
        db.code == "23505"
            && matches!(db.constraint.as_deref(), Some("users_email_partial_key" | "users_phone_key"))
            && db.table.as_deref() == Some("users")
            && db.schema.as_deref() == Some("auth")
    })
}
