//! `POST /invite`: a user without a password, and a mail that lets them in.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::account;
use crate::audit::{self, Action, Actor, traits};
use crate::contact;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::hooks;
use crate::http::{Admin, Body, Context, request_audience};
use crate::identity::{Contact, Identity};
use crate::json::{self, Object, params};
use crate::one_time;
use crate::store::users;
use crate::user::{User, provider_metadata};

params! {
    "InviteParams",
    /// What the route accepts.
    struct Params { email: String, data: Option<Object> }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    body: Body,
) -> Result<Response> {
    let params: Params = body.read()?;
    let email = contact::email(&params.email)?;
    let aud = request_audience(&request, &state);

    let existing = {
        let mut db = state.database().await?;
        users::by_email(&mut db, &email, &aud).await.step("Database error finding user")?
    };
    if existing.as_ref().is_some_and(User::is_confirmed) {
        return Err(Error::unprocessable(
            ErrorCode::EmailExists,
            "A user with this email address has already been registered",
        ));
    }
    let invited = match existing {
        Some(user) => (user, false),
        None => {
            let mut user = User::new(&email, "", String::new(), &aud, params.data.unwrap_or_default());
            user.app_metadata = provider_metadata(&["email"]);
            hooks::before_user_created(&state, &request, &user).await?;
            (user, true)
        }
    };

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let mut user = match invited {
        (user, false) => user,
        (mut user, true) => {
            account::create(db, &state, &mut user).await?;
            let contact = Contact { email: &email, ..Contact::default() };
            let identity = Identity::of_contact(user.id, "email", contact);
            account::add_identity(db, &identity).await?;
            user.identities = Some(vec![identity]);
            user
        }
    };
    let invited = traits([("user_id", user.id.to_string().into()), ("user_email", email.into())]);
    audit::record(db, &state, &request, Actor::admin(&admin.role), Action::UserInvited, invited).await?;
    one_time::send_invite(db, &state, &request, &mut user).await?;
    transaction.commit().await?;
    Ok(json::ok(&user))
}
