//! Whose identity it is: known, somebody's who has the same verified address, or a new user's.

use database::Connection;

use crate::State;
use crate::identity::{Identity, is_default_linking_domain};
use crate::providers::{Email, Profile};
use crate::store::{self, identities, users};
use crate::user::User;

/// What an identity means.
pub(crate) enum Decision {
    /// The identity is known.
    Known(Box<User>, Box<Identity>),
    /// Another identity of somebody.
    Link(Box<User>),
    /// Somebody new.
    Create,
    /// Several users have the address: nobody can tell.
    Ambiguous,
}

/// A decision and the address to go on with.
pub(crate) struct Linking {
    pub(crate) decision: Decision,
    /// The primary address, in lower case; empty where there is none or somebody else has it.
    pub(crate) email: Email,
    /// Whether users of this provider never merge with others by address.
    pub(crate) is_own_domain: bool,
    pub(crate) domain: String,
}

/// Decides by the rules of automatic linking.
pub(crate) async fn decide(
    db: &mut Connection,
    state: &State,
    profile: &Profile,
    provider: &str,
    aud: &str,
) -> store::Result<Linking> {
    let config = state.config();
    let own_domains = &config.external.own_linking_domain;
    let domain_of = |provider: &str| match is_default_linking_domain(provider, own_domains) {
        true => "default".to_owned(),
        false => provider.to_owned(),
    };
    let domain = domain_of(provider);
    let verified: Vec<String> = profile
        .emails
        .iter()
        .filter(|email| (email.verified || config.mailer.autoconfirm) && !email.address.is_empty())
        .map(|email| email.address.to_lowercase())
        .collect();
    let mut email = profile.emails.iter().find(|email| email.primary).cloned().unwrap_or_default();
    email.address = email.address.to_lowercase();
    let of = |decision, email| Linking {
        decision,
        email,
        is_own_domain: domain != "default",
        domain: domain.clone(),
    };

    if let Some(identity) = identities::find(db, profile.subject(), provider).await?
        && let Some(user) = users::by_id(db, identity.user_id).await?
    {
        email.address.clone_from(&user.email);
        return Ok(of(Decision::Known(Box::new(user), Box::new(identity)), email));
    }
    if verified.is_empty() {
        // Nobody is found by an address that nobody verified; a new user does not take it from its owner either.
        let taken = !email.address.is_empty()
            && users::with_email(db, &email.address, aud, None, own_domains).await?.is_some();
        if taken {
            email.address.clear();
        }
        return Ok(of(Decision::Create, email));
    }
    let mut owners: Vec<_> = identities::with_emails(db, &verified)
        .await?
        .into_iter()
        .filter(|identity| domain_of(&identity.provider) == domain)
        .map(|identity| identity.user_id)
        .collect();
    if owners.is_empty() && domain == "default" {
        owners = users::with_addresses(db, &verified).await?;
    }
    owners.sort_unstable();
    owners.dedup();
    let decision = match owners[..] {
        [] => Decision::Create,
        [owner] => match users::by_id(db, owner).await? {
            Some(user) => Decision::Link(Box::new(user)),
            None => Decision::Create,
        },
        _ => Decision::Ambiguous,
    };
    Ok(of(decision, email))
}
