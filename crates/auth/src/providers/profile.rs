//! How each provider tells who somebody is: their JSON into claims.

use serde_json::{Value, json};

use super::{Email, Profile, ProviderError};
use crate::json::Object;

/// Claims of those pairs that are not empty, with the two that are always there.
pub(super) fn claims(pairs: &[(&str, &str)]) -> Object {
    let mut claims: Object = pairs
        .iter()
        .filter(|(name, value)| !value.is_empty() && !name.is_empty())
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    claims.insert("email_verified".into(), false.into());
    claims.insert("phone_verified".into(), false.into());
    claims
}

/// One primary address, or none.
pub(super) fn email(address: &str, verified: bool) -> Vec<Email> {
    match address {
        "" => Vec::new(),
        address => vec![Email { address: address.to_owned(), verified, primary: true }],
    }
}

/// True, or one of the words for it.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::String(text) => matches!(text.as_str(), "true" | "True" | "TRUE" | "t" | "T" | "1"),
        _ => false,
    }
}

/// A text at a path like `/data/me/email`; empty when there is none.
fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// An id that is a number or a text.
fn id(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn flag(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or_default()
}

/// The usual claims: a subject, a name, a picture, each under its old name, too.
fn usual(issuer: &str, sub: &str, name: &str, picture: &str) -> Object {
    claims(&[
        ("iss", issuer),
        ("sub", sub),
        ("name", name),
        ("picture", picture),
        ("avatar_url", picture),
        ("full_name", name),
        ("provider_id", sub),
    ])
}

fn custom(claims: &mut Object, custom: Value) {
    claims.insert("custom_claims".into(), custom);
}

/// The profile in a provider's answers. A user without an id is none.
pub(super) fn read(provider: &str, api: &str, answers: &[Value]) -> Result<Profile, ProviderError> {
    let nothing = Value::Null;
    let user = answers.first().unwrap_or(&nothing);
    let more = answers.get(1).unwrap_or(&nothing);
    let profile = match provider {
        "bitbucket" => bitbucket(api, user, more),
        "discord" => discord(api, user)?,
        "facebook" => facebook(api, user),
        "figma" => figma(api, user),
        "fly" => fly(api, user),
        "github" => github(api, user, more),
        "gitlab" => gitlab(api, user, more),
        "kakao" => kakao(api, user),
        "keycloak" => keycloak(api, user),
        "linkedin" => linkedin(api, user, more)?,
        "notion" => notion(api, user),
        "slack" => slack(api, user, true),
        "slack_oidc" => slack(api, user, flag(user, "/email_verified")),
        "snapchat" => snapchat(user),
        "spotify" => spotify(api, user),
        "twitch" => twitch(api, user)?,
        "twitter" => twitter(api, user),
        "workos" => workos(api, user),
        "x" => x(api, user),
        "zoom" => zoom(api, user),
        _ => return Err("nobody knows how this provider tells its profiles".into()),
    };
    if profile.subject().is_empty() {
        return Err("the profile has no id".into());
    }
    Ok(profile)
}

fn bitbucket(api: &str, user: &Value, emails: &Value) -> Profile {
    let list = emails.get("values").and_then(Value::as_array).into_iter().flatten();
    let emails = list
        .filter(|entry| !text(entry, "/email").is_empty())
        .map(|entry| Email {
            address: text(entry, "/email").to_owned(),
            verified: flag(entry, "/is_confirmed"),
            primary: flag(entry, "/is_primary"),
        })
        .collect();
    let claims = usual(api, text(user, "/uuid"), text(user, "/display_name"), text(user, "/avatar/href"));
    Profile { emails, claims }
}

fn discord(api: &str, user: &Value) -> Result<Profile, ProviderError> {
    const CDN: &str = "https://cdn.discordapp.com";
    let (sub, name, hash) = (text(user, "/id"), text(user, "/username"), text(user, "/avatar"));
    let discriminator = text(user, "/discriminator");
    let picture = match hash {
        "" => {
            let number: u32 =
                discriminator.parse().map_err(|_| ProviderError::Answer("the discriminator is no number"))?;
            format!("{CDN}/embed/avatars/{}.png", number % 5)
        }
        hash => {
            let extension = if hash.starts_with("a_") { "gif" } else { "png" };
            format!("{CDN}/avatars/{sub}/{hash}.{extension}")
        }
    };
    let mut told = usual(api, sub, &format!("{name}#{discriminator}"), &picture);
    told.insert("full_name".into(), name.into());
    custom(&mut told, json!({"global_name": text(user, "/global_name")}));
    Ok(Profile { emails: email(text(user, "/email"), flag(user, "/verified")), claims: told })
}

fn facebook(api: &str, user: &Value) -> Profile {
    let name = format!("{} {}", text(user, "/first_name"), text(user, "/last_name"));
    let alias = text(user, "/name");
    let issuer = format!("{api}/me?fields=email,first_name,last_name,name,picture");
    let mut told = usual(&issuer, text(user, "/id"), name.trim(), text(user, "/picture/data/url"));
    if !alias.is_empty() {
        told.insert("nickname".into(), alias.into());
        told.insert("slug".into(), alias.into());
    }
    Profile { emails: email(text(user, "/email"), true), claims: told }
}

fn figma(api: &str, user: &Value) -> Profile {
    let mut told = usual(api, text(user, "/id"), text(user, "/handle"), text(user, "/img_url"));
    told.remove("picture");
    Profile { emails: email(text(user, "/email"), true), claims: told }
}

fn fly(api: &str, user: &Value) -> Profile {
    let sub = text(user, "/user_id");
    let mut told =
        claims(&[("iss", api), ("sub", sub), ("full_name", text(user, "/user_name")), ("provider_id", sub)]);
    let part = |name: &str| user.get(name).cloned().unwrap_or(Value::Null);
    custom(
        &mut told,
        json!({
            "resource_owner_id": part("resource_owner_id"), "organizations": part("organizations"),
            "application": part("application"), "scope": part("scope"), "created_at": part("created_at"),
        }),
    );
    Profile { emails: email(text(user, "/email"), true), claims: told }
}

fn github(api: &str, user: &Value, emails: &Value) -> Profile {
    let list = emails.as_array().into_iter().flatten();
    let emails = list
        .filter(|entry| !text(entry, "/email").is_empty())
        .map(|entry| Email {
            address: text(entry, "/email").to_owned(),
            verified: flag(entry, "/verified"),
            primary: flag(entry, "/primary"),
        })
        .collect();
    let (sub, name, login) = (id(user, "/id"), text(user, "/name"), text(user, "/login"));
    let claims = claims(&[
        ("iss", api),
        ("sub", &sub),
        ("name", name),
        ("preferred_username", login),
        ("avatar_url", text(user, "/avatar_url")),
        ("full_name", name),
        ("provider_id", &sub),
        ("user_name", login),
    ]);
    Profile { emails, claims }
}

fn gitlab(api: &str, user: &Value, emails: &Value) -> Profile {
    // Of further addresses GitLab does not tell whether they are confirmed.
    let list = emails.as_array().into_iter().flatten();
    let mut all: Vec<Email> = list
        .filter(|entry| !text(entry, "/email").is_empty())
        .map(|entry| Email { address: text(entry, "/email").to_owned(), ..Email::default() })
        .collect();
    all.extend(email(text(user, "/email"), !text(user, "/confirmed_at").is_empty()));
    let claims = usual(api, &id(user, "/id"), text(user, "/name"), text(user, "/avatar_url"));
    Profile { emails: all, claims }
}

fn kakao(api: &str, user: &Value) -> Profile {
    let (sub, name) = (id(user, "/id"), text(user, "/kakao_account/profile/nickname"));
    let verified =
        flag(user, "/kakao_account/is_email_valid") && flag(user, "/kakao_account/is_email_verified");
    let claims = claims(&[
        ("iss", api),
        ("sub", &sub),
        ("name", name),
        ("preferred_username", name),
        ("avatar_url", text(user, "/kakao_account/profile/profile_image_url")),
        ("full_name", name),
        ("provider_id", &sub),
        ("user_name", name),
    ]);
    Profile { emails: email(text(user, "/kakao_account/email"), verified), claims }
}

fn keycloak(api: &str, user: &Value) -> Profile {
    let (sub, name) = (text(user, "/sub"), text(user, "/name"));
    let mut told =
        claims(&[("iss", api), ("sub", sub), ("name", name), ("full_name", name), ("provider_id", sub)]);
    let mut rest = user.as_object().cloned().unwrap_or_default();
    rest.retain(|key, _| !matches!(key.as_str(), "name" | "sub" | "email" | "email_verified"));
    if !rest.is_empty() {
        custom(&mut told, rest.into());
    }
    Profile { emails: email(text(user, "/email"), flag(user, "/email_verified")), claims: told }
}

fn linkedin(api: &str, user: &Value, emails: &Value) -> Result<Profile, ProviderError> {
    let part = |which: &str| {
        let locale = user.pointer(&format!("/{which}/preferredLocale"));
        let key = locale.map(|locale| format!("{}_{}", text(locale, "/language"), text(locale, "/country")));
        text(user, &format!("/{which}/localized/{}", key.unwrap_or_default())).to_owned()
    };
    let name = format!("{} {}", part("firstName"), part("lastName"));
    let picture = text(user, "/profilePicture/displayImage~0/elements/0/identifiers/0/identifier");
    if emails.pointer("/elements/0").is_none() {
        return Err("LinkedIn told no address".into());
    }
    let address = text(emails, "/elements/0/handle~0/emailAddress");
    Ok(Profile { emails: email(address, true), claims: usual(api, text(user, "/id"), name.trim(), picture) })
}

fn notion(api: &str, user: &Value) -> Profile {
    let owner = user.pointer("/bot/owner/user").unwrap_or(&Value::Null);
    let claims = usual(api, text(owner, "/id"), text(owner, "/name"), text(owner, "/avatar_url"));
    Profile { emails: email(text(owner, "/person/email"), true), claims }
}

fn slack(api: &str, user: &Value, verified: bool) -> Profile {
    let part = |name: &str| user.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut told = usual(api, part("https://slack.com/user_id"), part("name"), part("picture"));
    custom(&mut told, json!({"https://slack.com/team_id": part("https://slack.com/team_id")}));
    Profile { emails: email(part("email"), verified), claims: told }
}

fn snapchat(user: &Value) -> Profile {
    let name = text(user, "/data/me/displayName");
    let mut told = usual(
        "https://accounts.snapchat.com/accounts/oauth2/token",
        text(user, "/data/me/externalId"),
        name,
        text(user, "/data/me/bitmoji/avatar"),
    );
    if !name.is_empty() {
        told.insert("slug".into(), name.into());
    }
    Profile { emails: email(text(user, "/data/me/email"), true), claims: told }
}

fn spotify(api: &str, user: &Value) -> Profile {
    let images = user.get("images").and_then(Value::as_array).into_iter().flatten();
    let size = |image: &Value| {
        let side = |name| image.get(name).and_then(Value::as_i64).unwrap_or_default();
        side("height").saturating_mul(side("width"))
    };
    // The first of the largest.
    let largest = images.rev().max_by_key(|image| size(image));
    let picture = largest.map(|image| text(image, "/url")).unwrap_or_default();
    let claims = usual(api, text(user, "/id"), text(user, "/display_name"), picture);
    // Spotify never tells whether an address is verified.
    Profile { emails: email(text(user, "/email"), false), claims }
}

fn twitch(api: &str, users: &Value) -> Result<Profile, ProviderError> {
    let user = users.pointer("/data/0").ok_or("unable to find user with twitch provider")?;
    let shown = text(user, "/display_name");
    let mut told = usual(api, text(user, "/id"), text(user, "/login"), text(user, "/profile_image_url"));
    if !shown.is_empty() {
        told.insert("nickname".into(), shown.into());
        told.insert("slug".into(), shown.into());
    }
    custom(
        &mut told,
        json!({
            "broadcaster_type": text(user, "/broadcaster_type"), "description": text(user, "/description"),
            "type": text(user, "/type"), "offline_image_url": text(user, "/offline_image_url"),
            "view_count": user.get("view_count").and_then(Value::as_i64).unwrap_or_default(),
        }),
    );
    Ok(Profile { emails: email(text(user, "/email"), true), claims: told })
}

fn twitter(api: &str, user: &Value) -> Profile {
    let issuer = format!("{api}/1.1/account/verify_credentials.json");
    let shown = text(user, "/screen_name");
    let mut told =
        usual(&issuer, text(user, "/id_str"), text(user, "/name"), text(user, "/profile_image_url_https"));
    if !shown.is_empty() {
        told.insert("preferred_username".into(), shown.into());
        told.insert("user_name".into(), shown.into());
    }
    Profile { emails: email(text(user, "/email"), true), claims: told }
}

fn x(api: &str, user: &Value) -> Profile {
    let (id, name) = (text(user, "/data/id"), text(user, "/data/username"));
    let mut claims = usual(api, id, text(user, "/data/name"), text(user, "/data/profile_image_url"));
    let page = format!("https://x.com/{name}");
    for (claim, value) in [
        ("preferred_username", name),
        ("user_name", name),
        ("profile", &page),
        ("website", text(user, "/data/url")),
    ] {
        if !value.is_empty() {
            claims.insert(claim.into(), value.into());
        }
    }
    custom(&mut claims, json!({"created_at": text(user, "/data/created_at")}));
    // Only confirmed addresses are told.
    Profile { emails: email(text(user, "/data/confirmed_email"), true), claims }
}

fn workos(api: &str, answer: &Value) -> Profile {
    let user = answer.get("profile").unwrap_or(&Value::Null);
    let name = format!("{} {}", text(user, "/first_name"), text(user, "/last_name"));
    let mut told = usual(api, text(user, "/id"), name.trim(), "");
    let (connection, organization) = (text(user, "/connection_id"), text(user, "/organization_id"));
    custom(&mut told, json!({"connection_id": connection, "organization_id": organization}));
    Profile { emails: email(text(user, "/email"), true), claims: told }
}

fn zoom(api: &str, user: &Value) -> Profile {
    let name = format!("{} {}", text(user, "/first_name"), text(user, "/last_name"));
    // Type 100 signed up with an address, which is verified only if it was confirmed.
    let confirmed = user.get("verified").and_then(Value::as_i64).unwrap_or_default() != 0;
    let verified = id(user, "/login_type") != "100" || confirmed;
    let claims = usual(api, text(user, "/id"), name.trim(), text(user, "/pic_url"));
    Profile { emails: email(text(user, "/email"), verified), claims }
}

/// Google's answer where it gives no ID token.
pub(super) fn google_userinfo(user: &Value) -> Result<Profile, ProviderError> {
    let issuer = "https://www.googleapis.com/userinfo/v2/me";
    let claims = usual(issuer, text(user, "/id"), text(user, "/name"), text(user, "/picture"));
    let verified = flag(user, "/verified_email") || flag(user, "/email_verified");
    let profile = Profile { emails: email(text(user, "/email"), verified), claims };
    if profile.subject().is_empty() { Err("the profile has no id".into()) } else { Ok(profile) }
}

/// Adds the name that Apple tells the first time.
pub(super) fn add_apple_name(profile: &mut Profile, user: &str) -> Result<(), ProviderError> {
    let user: Value =
        serde_json::from_str(user).map_err(|_| ProviderError::Answer("Apple's user is not JSON"))?;
    let name = format!("{} {}", text(&user, "/name/firstName"), text(&user, "/name/lastName"));
    for key in ["name", "full_name"] {
        match name.trim() {
            "" => profile.claims.remove(key),
            name => profile.claims.insert(key.into(), name.into()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn github_tells_all_addresses() {
        let user = json!({"id": 7, "login": "octo", "name": "Octo Cat", "avatar_url": "https://x/y"});
        let emails = json!([{"email": "a@b.c", "primary": false, "verified": true},
            {"email": "d@e.f", "primary": true, "verified": false}]);
        let mut profile = read("github", "https://api.github.com", &[user, emails]).unwrap();
        profile.settle_email();
        assert_eq!(
            Value::Object(profile.claims),
            json!({"iss": "https://api.github.com", "sub": "7", "name": "Octo Cat", "preferred_username": "octo",
                "avatar_url": "https://x/y", "full_name": "Octo Cat", "provider_id": "7", "user_name": "octo",
                "email": "d@e.f", "email_verified": false, "phone_verified": false})
        );
    }

    #[test]
    fn linkedin_names_are_found_by_their_locale() {
        let name = |text: &str| json!({"localized": {"en_US": text}, "preferredLocale": {"country": "US", "language": "en"}});
        let user = json!({"id": "x", "firstName": name("Ada"), "lastName": name("L"),
            "profilePicture": {"displayImage~": {"elements": [{"identifiers": [{"identifier": "https://p"}]}]}}});
        let emails = json!({"elements": [{"handle~": {"emailAddress": "a@b.c"}}]});
        let profile = read("linkedin", "https://api.linkedin.com", &[user, emails]).unwrap();
        assert_eq!(
            (&profile.claims["name"], &profile.claims["picture"]),
            (&json!("Ada L"), &json!("https://p"))
        );
        assert_eq!(profile.emails[0].address, "a@b.c");
    }

    #[test]
    fn spotify_shows_the_largest_picture_and_verifies_nothing() {
        let user = json!({"id": "x", "email": "a@b.c", "images": [{"url": "small", "height": 1, "width": 1},
            {"url": "large", "height": 9, "width": 9}]});
        let profile = read("spotify", "https://api.spotify.com/v1", &[user]).unwrap();
        assert_eq!((profile.claims["picture"].as_str(), profile.emails[0].verified), (Some("large"), false));
    }

    #[test]
    fn x_tells_confirmed_addresses_alone() {
        let user = json!({"data": {"id": "7", "name": "Ada", "username": "ada", "confirmed_email": "a@b.c"}});
        let profile = read("x", "https://api.x.com", &[user]).unwrap();
        assert_eq!((profile.subject(), profile.emails[0].verified), ("7", true));
        assert_eq!(profile.claims["profile"], "https://x.com/ada");
        let user = json!({"data": {"id": "7", "username": "ada"}});
        assert!(read("x", "https://api.x.com", &[user]).unwrap().emails.is_empty());
    }

    #[test]
    fn a_profile_without_an_id_is_refused() {
        for provider in ["bitbucket", "facebook", "github", "gitlab", "keycloak", "notion", "slack", "zoom"] {
            assert!(
                read(provider, "https://x", &[json!({"email": "a@b.c"}), json!([])]).is_err(),
                "{provider}"
            );
        }
    }
}
