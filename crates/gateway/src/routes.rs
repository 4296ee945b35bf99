//! The built-in route table: which path prefix leads to which service, and what a request must show at the door.

/// The services behind the front door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Service {
    /// Users, sessions and tokens.
    Auth,
    /// Tables and functions over HTTP.
    Rest,
    /// Websocket channels.
    Realtime,
    /// Buckets and objects.
    Storage,
    /// Edge functions.
    Functions,
    /// Log ingestion and query.
    Analytics,
    /// Database introspection.
    Meta,
    /// The web studio.
    Studio,
}

impl Service {
    /// Every service, in the order of its discriminant.
    pub const ALL: [Self; 8] = [
        Self::Auth,
        Self::Rest,
        Self::Realtime,
        Self::Storage,
        Self::Functions,
        Self::Analytics,
        Self::Meta,
        Self::Studio,
    ];

    /// The name used in messages, metrics and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Rest => "rest",
            Self::Realtime => "realtime",
            Self::Storage => "storage",
            Self::Functions => "functions",
            Self::Analytics => "analytics",
            Self::Meta => "meta",
            Self::Studio => "studio",
        }
    }
}

/// Who may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone: the service behind judges for itself.
    Open,
    /// Holders of an API key.
    Key,
    /// The same, and in development whoever shows none.
    KeyOrNone,
    /// Holders of an administrator's API key.
    Admin,
}

/// What answers on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A service, with the path at which the route is mounted there.
    Service(Service, &'static str),
    /// A refusal for everyone.
    Forbidden,
    /// The state of the whole, for load balancers.
    Health,
    /// Prometheus figures, for administrators and the machine itself.
    Metrics,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// The name in metrics and in the request log: Kong's service name.
    pub(crate) name: &'static str,
    /// The path prefix; a whole path when `exact`.
    pub(crate) prefix: &'static str,
    pub(crate) exact: bool,
    pub(crate) target: Target,
    pub(crate) access: Access,
    pub(crate) cors: bool,
    /// The key is removed before the service sees the request.
    pub(crate) hide_key: bool,
    /// Opaque API keys become the token they stand for.
    pub(crate) translate: Translate,
    /// The service receives the path as it was sent: object keys may hold `//` and `/./`.
    pub(crate) raw_path: bool,
    /// A header added when the request has none of that name.
    pub(crate) add_header: Option<(&'static str, &'static str)>,
    pub(crate) body: BodyLimit,
}

/// How an opaque API key reaches the service behind a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Translate {
    /// Not at all.
    No,
    /// As `Authorization`.
    Authorization,
    /// As `Authorization`, unless the request is signed in another way (S3's signatures in header or query).
    AuthorizationUnlessSigned,
    /// As the query parameter `apikey` and the header `x-api-key`: a websocket handshake has no other place.
    WebsocketQuery,
    /// As the header `sb-api-key`, `Authorization` being left alone.
    FunctionsHeader,
}

/// Which limit a route's request bodies have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLimit {
    /// The configured one.
    Default,
    /// None here: the service has its own.
    Service,
}

const fn route(name: &'static str, prefix: &'static str, service: Service, base: &'static str) -> Route {
    Route {
        name,
        prefix,
        exact: false,
        target: Target::Service(service, base),
        access: Access::Key,
        cors: true,
        hide_key: false,
        translate: Translate::No,
        raw_path: false,
        add_header: None,
        body: BodyLimit::Default,
    }
}

const fn open(name: &'static str, prefix: &'static str, service: Service, base: &'static str) -> Route {
    Route { access: Access::Open, ..route(name, prefix, service, base) }
}

const fn forbidden(name: &'static str, prefix: &'static str) -> Route {
    Route {
        target: Target::Forbidden,
        access: Access::Open,
        cors: false,
        ..route(name, prefix, Service::Studio, "/")
    }
}

const fn own(name: &'static str, prefix: &'static str, target: Target) -> Route {
    Route {
        target,
        access: Access::Open,
        cors: false,
        exact: true,
        ..route(name, prefix, Service::Studio, "/")
    }
}

/// The table. Order does not matter here: `Table` sorts it by length.
pub(crate) const ROUTES: &[Route] = &[
    open("auth-v1-open", "/auth/v1/verify", Service::Auth, "/verify"),
    open("auth-v1-open-callback", "/auth/v1/callback", Service::Auth, "/callback"),
    open("auth-v1-open-authorize", "/auth/v1/authorize", Service::Auth, "/authorize"),
    open("auth-v1-open-jwks", "/auth/v1/.well-known/jwks.json", Service::Auth, "/.well-known/jwks.json"),
    open("auth-v1-open-sso-acs", "/sso/saml/acs", Service::Auth, "/sso/saml/acs"),
    open("auth-v1-open-sso-metadata", "/sso/saml/metadata", Service::Auth, "/sso/saml/metadata"),
    open(
        "well-known-oauth",
        "/.well-known/oauth-authorization-server",
        Service::Auth,
        "/.well-known/oauth-authorization-server",
    ),
    Route {
        access: Access::KeyOrNone,
        translate: Translate::Authorization,
        ..route("auth-v1", "/auth/v1/", Service::Auth, "/")
    },
    Route {
        hide_key: true,
        translate: Translate::Authorization,
        ..route("rest-v1", "/rest/v1/", Service::Rest, "/")
    },
    Route {
        hide_key: true,
        translate: Translate::Authorization,
        add_header: Some(("content-profile", "graphql_public")),
        ..route("graphql-v1", "/graphql/v1", Service::Rest, "/rpc/graphql")
    },
    Route {
        translate: Translate::WebsocketQuery,
        ..route("realtime-v1-ws", "/realtime/v1/", Service::Realtime, "/socket")
    },
    Route {
        translate: Translate::Authorization,
        ..route("realtime-v1-rest", "/realtime/v1/api", Service::Realtime, "/api")
    },
    forbidden("realtime-v1-openapi-blocker", "/realtime/v1/api/openapi"),
    forbidden("realtime-v1-tenants-blocker", "/realtime/v1/api/tenants"),
    Route {
        translate: Translate::AuthorizationUnlessSigned,
        raw_path: true,
        body: BodyLimit::Service,
        ..open("storage-v1", "/storage/v1/", Service::Storage, "/")
    },
    Route {
        translate: Translate::FunctionsHeader,
        body: BodyLimit::Service,
        ..open("functions-v1", "/functions/v1/", Service::Functions, "/")
    },
    Route { cors: false, ..open("analytics-v1", "/analytics/v1/", Service::Analytics, "/") },
    Route { access: Access::Admin, cors: false, ..route("meta", "/pg/", Service::Meta, "/") },
    forbidden("mcp-blocker", "/api/mcp"),
    forbidden("mcp", "/mcp"),
    own("health", "/health", Target::Health),
    own("metrics", "/metrics", Target::Metrics),
    Route { exact: true, ..open("dashboard", "/", Service::Studio, "/") },
];

/// The routes, ready for look-up: longest prefix first within each first letter.
#[derive(Debug)]
pub(crate) struct Table {
    routes: Vec<Route>,
    /// For each byte after the leading slash (0 for none), the range of `routes` that start with it.
    by_letter: Box<[(u16, u16); 256]>,
}

impl Table {
    /// Prepares `routes` for look-up.
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut routes = routes.to_vec();
        routes.sort_by_key(|route| (letter(route.prefix), usize::MAX - route.prefix.len()));
        let mut by_letter = Box::new([(0, 0); 256]);
        for (index, route) in (0_u16..).zip(&routes) {
            let range = &mut by_letter[usize::from(letter(route.prefix))];
            if range.1 == 0 {
                range.0 = index;
            }
            range.1 = index + 1;
        }
        Self { routes, by_letter }
    }

    /// The route of a normalised path, with its index. A prefix is a prefix of bytes, not of segments, as in Kong.
    pub(crate) fn find(&self, path: &str) -> Option<(usize, &Route)> {
        let (start, end) = self.by_letter[usize::from(letter(path))];
        let (start, end) = (usize::from(start), usize::from(end));
        self.routes[start..end]
            .iter()
            .position(|route| {
                if route.exact {
                    path == route.prefix
                } else {
                    path.as_bytes().starts_with(route.prefix.as_bytes())
                }
            })
            .map(|offset| (start + offset, &self.routes[start + offset]))
    }

    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }
}

fn letter(path: &str) -> u8 {
    path.as_bytes().get(1).copied().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(path: &str) -> Option<&'static str> {
        Table::new(ROUTES).find(path).map(|(_, route)| route.name)
    }

    #[test]
    fn the_longest_prefix_wins() {
        for (path, expected) in [
            ("/rest/v1/todos", Some("rest-v1")),
            ("/rest/v1/", Some("rest-v1")),
            ("/rest/v1", None),
            ("/auth/v1/token", Some("auth-v1")),
            ("/auth/v1/verify", Some("auth-v1-open")),
            ("/auth/v1/verifyX", Some("auth-v1-open")),
            ("/auth/v1/.well-known/jwks.json", Some("auth-v1-open-jwks")),
            ("/graphql/v1", Some("graphql-v1")),
            ("/realtime/v1/websocket", Some("realtime-v1-ws")),
            ("/realtime/v1/apifoo", Some("realtime-v1-rest")),
            ("/realtime/v1/api/tenants/x", Some("realtime-v1-tenants-blocker")),
            ("/storage/v1/object/a", Some("storage-v1")),
            ("/functions/v1/hello", Some("functions-v1")),
            ("/analytics/v1/api/logs", Some("analytics-v1")),
            ("/pg/tables", Some("meta")),
            ("/mcp", Some("mcp")),
            ("/api/mcp", Some("mcp-blocker")),
            ("/health", Some("health")),
            ("/healthz", None),
            ("/", Some("dashboard")),
            ("/favicon.ico", None),
            ("/nothing/here", None),
        ] {
            assert_eq!(name(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn look_up_agrees_with_a_scan_of_the_whole_table(
            start in prop::sample::select(ROUTES.iter().map(|r| r.prefix).collect::<Vec<_>>()),
            cut in 0_usize..40,
            tail in "[a-z/.]{0,12}",
        ) {
            let path = format!("/{}{tail}", &start[1..][..cut.min(start.len() - 1)]);
            let expected = ROUTES
                .iter()
                .filter(|r| if r.exact { path == r.prefix } else { path.starts_with(r.prefix) })
                .max_by_key(|r| r.prefix.len())
                .map(|r| r.name);
            prop_assert_eq!(name(&path), expected);
        }

        #[test]
        fn no_path_makes_the_table_panic(path in "\\PC{0,40}") {
            let _ = name(&path);
        }
    }
}
