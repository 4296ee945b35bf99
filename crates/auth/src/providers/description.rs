//! The providers, one line each where they are alike.

/// What there is to know of a provider.
pub(crate) struct Description {
    pub(crate) name: &'static str,
    /// Hosts without scheme; a configured URL replaces all of them.
    pub(super) auth_host: &'static str,
    pub(super) token_host: &'static str,
    pub(super) api_host: &'static str,
    pub(super) authorize: &'static str,
    pub(super) token: &'static str,
    pub(super) api_path: &'static str,
    pub(super) scopes: &'static [&'static str],
    /// Whether callers may ask for more scopes.
    pub(super) takes_scopes: bool,
    /// Whether it wants to see that who redeems a code is who asked for it.
    pub(super) wants_proof: bool,
    /// Whether the client's secret goes into the body of the exchange and nowhere else.
    pub(super) secret_in_body: bool,
    pub(super) source: Source,
}

/// Where a profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Calls to the provider's API with the token, in this order.
    Calls(&'static [&'static str]),
    /// The ID token beside the access token, of this issuer; `""` is the one the token names.
    IdToken(&'static str),
    /// As before, and the endpoints are the issuer's, too.
    Discovered(&'static str),
    /// The answer of the token endpoint itself.
    TokenAnswer,
    /// OAuth 1.0a.
    OAuth1,
}

const BASE: Description = Description {
    name: "",
    auth_host: "",
    token_host: "",
    api_host: "",
    authorize: "/oauth/authorize",
    token: "/oauth/token",
    api_path: "",
    scopes: &[],
    takes_scopes: true,
    wants_proof: false,
    secret_in_body: false,
    source: Source::TokenAnswer,
};

/// All of one host.
const fn at(name: &'static str, host: &'static str) -> Description {
    Description { name, auth_host: host, token_host: host, api_host: host, ..BASE }
}

/// Sign-in pages here, the API there.
const fn split(name: &'static str, auth_host: &'static str, api_host: &'static str) -> Description {
    Description { name, auth_host, token_host: auth_host, api_host, ..BASE }
}

pub(super) const APPLE: &str = "https://appleid.apple.com";
pub(super) const GOOGLE: &str = "https://accounts.google.com";

/// The providers of GoTrue 2.180, and `x` of 2.184.
const PROVIDERS: [Description; 25] = [
    Description {
        scopes: &["email", "name"],
        takes_scopes: false,
        source: Source::Discovered(APPLE),
        ..at("apple", "appleid.apple.com")
    },
    Description {
        authorize: "/oauth2/v2.0/authorize",
        token: "/oauth2/v2.0/token",
        scopes: &["openid"],
        source: Source::IdToken(""),
        ..at("azure", "login.microsoftonline.com/common")
    },
    Description {
        authorize: "/site/oauth2/authorize",
        token: "/site/oauth2/access_token",
        api_path: "/2.0",
        scopes: &["account", "email"],
        takes_scopes: false,
        source: Source::Calls(&["/user", "/user/emails"]),
        ..split("bitbucket", "bitbucket.org", "api.bitbucket.org")
    },
    Description {
        authorize: "/api/oauth2/authorize",
        token: "/api/oauth2/token",
        api_path: "/api",
        scopes: &["email", "identify"],
        source: Source::Calls(&["/users/@me"]),
        ..at("discord", "discord.com")
    },
    Description {
        authorize: "/dialog/oauth",
        token: "/oauth/access_token",
        token_host: "graph.facebook.com",
        scopes: &["email"],
        source: Source::Calls(&["/me?fields=email,first_name,last_name,name,picture"]),
        ..split("facebook", "www.facebook.com", "graph.facebook.com")
    },
    Description {
        authorize: "/oauth",
        token: "/v1/oauth/token",
        token_host: "api.figma.com",
        scopes: &["files:read"],
        source: Source::Calls(&["/v1/me"]),
        ..split("figma", "www.figma.com", "api.figma.com")
    },
    Description {
        scopes: &["read"],
        source: Source::Calls(&["/oauth/token/info"]),
        ..at("fly", "api.fly.io")
    },
    Description {
        authorize: "/login/oauth/authorize",
        token: "/login/oauth/access_token",
        scopes: &["user:email"],
        source: Source::Calls(&["/user", "/user/emails"]),
        ..split("github", "github.com", "api.github.com")
    },
    Description {
        scopes: &["read_user"],
        source: Source::Calls(&["/api/v4/user", "/api/v4/user/emails"]),
        ..at("gitlab", "gitlab.com")
    },
    Description {
        scopes: &["email", "profile"],
        source: Source::Discovered(GOOGLE),
        ..at("google", "accounts.google.com")
    },
    Description {
        scopes: &["account_email", "profile_image", "profile_nickname"],
        secret_in_body: true,
        source: Source::Calls(&["/v2/user/me"]),
        ..split("kakao", "kauth.kakao.com", "kapi.kakao.com")
    },
    Description {
        authorize: "/protocol/openid-connect/auth",
        token: "/protocol/openid-connect/token",
        scopes: &["profile", "email"],
        source: Source::Calls(&["/protocol/openid-connect/userinfo"]),
        ..at("keycloak", "")
    },
    Description {
        authorize: "/oauth/v2/authorization",
        token: "/oauth/v2/accessToken",
        scopes: &["r_emailaddress", "r_liteprofile"],
        source: Source::Calls(&[
            "/v2/me?projection=(id,firstName,lastName,profilePicture(displayImage~:playableStreams))",
            "/v2/emailAddress?q=members&projection=(elements*(handle~))",
        ]),
        ..at("linkedin", "api.linkedin.com")
    },
    Description {
        authorize: "/oauth/v2/authorization",
        token: "/oauth/v2/accessToken",
        scopes: &["openid", "email", "profile"],
        source: Source::IdToken("https://www.linkedin.com/oauth"),
        ..at("linkedin_oidc", "api.linkedin.com")
    },
    Description {
        authorize: "/v1/oauth/authorize",
        token: "/v1/oauth/token",
        takes_scopes: false,
        source: Source::Calls(&["/v1/users/me"]),
        ..at("notion", "api.notion.com")
    },
    Description {
        authorize: "/oauth/authorize",
        token: "/api/oauth.access",
        api_path: "/api",
        scopes: &["profile", "email", "openid"],
        source: Source::Calls(&["/openid.connect.userInfo"]),
        ..at("slack", "slack.com")
    },
    Description {
        authorize: "/openid/connect/authorize",
        token: "/api/openid.connect.token",
        api_path: "/api",
        scopes: &["profile", "email", "openid"],
        source: Source::Calls(&["/openid.connect.userInfo"]),
        ..at("slack_oidc", "slack.com")
    },
    Description {
        authorize: "/accounts/oauth2/auth",
        token: "/accounts/oauth2/token",
        scopes: &[
            "https://auth.snapchat.com/oauth2/api/user.external_id",
            "https://auth.snapchat.com/oauth2/api/user.display_name",
            "https://auth.snapchat.com/oauth2/api/user.bitmoji.avatar",
        ],
        source: Source::Calls(&[
            "/v1/me?query=%7Bme+%7B+externalId+displayName+bitmoji+%7B+avatar+id+%7D+email+%7D+%7D",
        ]),
        ..split("snapchat", "accounts.snapchat.com", "kit.snapchat.com")
    },
    Description {
        authorize: "/authorize",
        token: "/api/token",
        scopes: &["user-read-email"],
        source: Source::Calls(&["/me"]),
        ..split("spotify", "accounts.spotify.com", "api.spotify.com/v1")
    },
    Description {
        authorize: "/oauth2/authorize",
        token: "/oauth2/token",
        scopes: &["user:read:email"],
        source: Source::Calls(&["/helix/users"]),
        ..split("twitch", "id.twitch.tv", "api.twitch.tv")
    },
    Description {
        authorize: "/oauth/authenticate",
        token: "/oauth/access_token",
        source: Source::OAuth1,
        ..at("twitter", "api.twitter.com")
    },
    Description {
        authorize: "/oauth/v2/authorization",
        token: "/oauth/v2/accessToken",
        source: Source::IdToken("https://marketplace.vercel.com"),
        ..at("vercel_marketplace", "api.vercel.com")
    },
    Description {
        authorize: "/sso/authorize",
        token: "/sso/token",
        takes_scopes: false,
        ..at("workos", "api.workos.com")
    },
    Description {
        token_host: "api.x.com",
        authorize: "/i/oauth2/authorize",
        token: "/2/oauth2/token",
        scopes: &["users.email", "tweet.read", "users.read", "offline.access"],
        wants_proof: true,
        source: Source::Calls(&[
            "/2/users/me?user.fields=id,name,username,confirmed_email,profile_image_url,url,created_at",
        ]),
        ..split("x", "x.com", "api.x.com")
    },
    Description {
        api_path: "/v2",
        takes_scopes: false,
        source: Source::Calls(&["/users/me"]),
        ..split("zoom", "zoom.us", "api.zoom.us")
    },
];

impl Description {
    /// The provider of a name in lower case.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        static ALL: [Description; 25] = PROVIDERS;
        ALL.iter().find(|description| description.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found_by_its_name() {
        for description in &PROVIDERS {
            assert!(
                Description::of(description.name)
                    .is_some_and(|found| found.authorize == description.authorize)
            );
        }
        assert!(Description::of("nobody").is_none());
    }
}
