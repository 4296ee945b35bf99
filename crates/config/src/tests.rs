#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::*;

/// A project folder made of files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Environment::from_process(owned)
}

fn load_with(folder: &TempDir, flags: &Flags, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(flags, environment(variables), folder.path())
}

fn load(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Config {
    load_with(&project(files), &Flags::default(), variables).unwrap()
}

fn error(files: &[(&str, &str)], variables: &[(&str, &str)]) -> ConfigError {
    load_with(&project(files), &Flags::default(), variables).unwrap_err()
}

fn toml_error(text: &str) -> String {
    error(&[("supabase/config.toml", text)], &[]).to_string()
}

fn origin(config: &Config, path: &str) -> String {
    config.entries.iter().find(|entry| entry.path == path).unwrap().origin.to_string()
}

#[test]
fn an_empty_folder_is_the_clis_local_stack() {
    let config = load(&[], &[]);
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:54321");
    assert_eq!(config.listen.database.to_string(), "127.0.0.1:54322");
    assert_eq!(config.public_url(54321), "http://127.0.0.1:54321");
    assert_eq!(config.file.api.schemas, ["public", "graphql_public"]);
    assert_eq!(config.keys.jwt_secret.expose(), tokens::development::JWT_SECRET);
    assert_eq!(config.keys.api, tokens::development::api_keys());
    assert_eq!(config.database, DatabaseLocation::Embedded);
    assert_eq!(config.database_password.expose(), "postgres");
    assert_eq!(config.notices, []);
    config.check_start().unwrap();
}

#[test]
fn later_sources_win_and_every_value_names_its_own() {
    let files = [
        ("supabase/config.toml", "[api]\nport = 1001\nmax_rows = 5\n[auth]\nsite_url = \"env(SITE)\"\n"),
        (".env", "SITE=http://from.file\nSUPABASE_DB_PORT=1002\nGOTRUE_JWT_EXP=10\nJWT_EXPIRY=20\n"),
        (".env.local", "SUPABASE_DB_PORT=1003\n"),
        ("supabase/.env", "SUPABASE_STUDIO_PORT=1004\n"),
    ];
    let flags = Flags { port: Some(1005), ..Flags::default() };
    let variables = [("SUPABASE_STUDIO_PORT", "1006"), ("SUPABASE_API_MAX_ROWS", "7")];
    let config = load_with(&project(&files), &flags, &variables).unwrap();
    assert_eq!(config.file.api.port, 1005);
    assert_eq!(origin(&config, "api.port"), "--port");
    assert_eq!(config.file.api.max_rows, 7);
    assert_eq!(origin(&config, "api.max_rows"), "SUPABASE_API_MAX_ROWS in the environment");
    assert_eq!(config.file.db.port, 1003);
    assert_eq!(origin(&config, "db.port"), "SUPABASE_DB_PORT in .env.local");
    assert_eq!(config.file.studio.port, 1006);
    assert_eq!(config.file.auth.site_url, "http://from.file");
    assert_eq!(origin(&config, "auth.site_url"), "SITE by supabase/config.toml:5");
    assert_eq!(config.file.auth.jwt_expiry, 10);
    assert_eq!(origin(&config, "api.schemas"), "default");
}

#[test]
fn the_environment_is_named_by_supabase_env() {
    let files = [
        (".env.test", "SITE_URL=http://test\n"),
        (".env.local", "SITE_URL=http://local\n"),
        (".env.development", "SITE_URL=http://development\n"),
    ];
    let folder = project(&files);
    let site = |name| {
        let config = load_with(&folder, &Flags::default(), &[("SUPABASE_ENV", name)]).unwrap();
        config.file.auth.site_url
    };
    assert_eq!(site("test"), "http://test");
    assert_eq!(site("development"), "http://local");
}

#[test]
fn names_that_say_the_opposite_are_turned_round() {
    let config = load(&[], &[("DISABLE_SIGNUP", "true"), ("ENABLE_EMAIL_AUTOCONFIRM", "false")]);
    assert!(!config.file.auth.enable_signup);
    assert!(config.file.auth.email.enable_confirmations);
}

#[test]
fn every_key_of_the_file_is_accepted_in_every_shape_the_cli_writes() {
    let text = r#"
        project_id = "My App!"
        [api.tls]
        enabled = false
        [db]
        health_timeout = "1m30s"
        [db.settings]
        max_connections = 50
        work_mem = "8MB"
        track_commit_timestamp = true
        [db.vault]
        key = "env(VAULT_KEY)"
        [inbucket]
        port = 1111
        [storage]
        file_size_limit = "5MB"
        [storage.buckets.images]
        public = true
        allowed_mime_types = ["image/png"]
        [storage.analytics.buckets.x]
        [auth.email.template.invite]
        subject = "Hi"
        [auth.external.apple]
        enabled = false
        secret = "env(APPLE_SECRET)"
        [auth.external.some_new_one]
        enabled = true
        [auth.hook.send_email]
        enabled = true
        secrets = "v1,whsec_x"
        [auth.sms.test_otp]
        4152127777 = "123456"
        [edge_runtime.secrets]
        K = "v"
        [functions.hello]
        verify_jwt = false
        [remotes.staging]
        project_id = "abcdefghijklmnopqrst"
        anything = 1
        [experimental.inspect]
        rules = [{ query = "x", name = "y" }]
    "#;
    let config = load(&[("supabase/config.toml", text)], &[("VAULT_KEY", "hidden-text")]);
    assert_eq!(config.notices, []);
    assert_eq!(config.file.project_id.as_deref(), Some("My_App_"));
    assert_eq!(config.file.db.health_timeout.to_string(), "1m30s");
    let settings = config.file.db.settings.to_postgres();
    let expected = [("max_connections", "50"), ("track_commit_timestamp", "on"), ("work_mem", "8MB")];
    assert_eq!(settings, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(config.file.db.vault["key"].expose(), "hidden-text");
    assert_eq!(config.file.local_smtp.port, 1111);
    assert_eq!(config.file.storage.buckets["images"].allowed_mime_types, ["image/png"]);
    assert!(config.file.auth.external["some_new_one"].enabled);
    assert_eq!(config.file.auth.hook.send_email.secrets[0].expose(), "v1,whsec_x");
    assert_eq!(config.file.auth.sms.test_otp["4152127777"], "123456");
    assert!(!config.file.functions["hello"].verify_jwt);
    assert!(!config.show_text(true).contains("hidden-text"));
}

#[test]
fn unknown_keys_are_a_warning_with_a_suggestion() {
    let config = load(&[("supabase/config.toml", "[api]\nprot = 1\n\n[auht]\n")], &[]);
    let told: Vec<(String, Option<String>)> =
        config.notices.into_iter().map(|notice| (notice.message, notice.hint)).collect();
    let expected = [
        ("supabase/config.toml:2:1: unknown key `api.prot`", "did you mean `port`?"),
        ("supabase/config.toml:4:2: unknown key `auht`", "did you mean `auth`?"),
    ];
    let mut told: Vec<(&str, &str)> =
        told.iter().map(|(message, hint)| (message.as_str(), hint.as_deref().unwrap())).collect();
    told.sort();
    assert_eq!(told, expected);
}

#[test]
fn a_hostile_file_is_refused_with_the_place() {
    assert_eq!(
        toml_error("[api]\nport = \"x\"\nenabled = 1\n"),
        "supabase/config.toml:3:11: `api.enabled` must be true or false, not a number (and 1 more)"
    );
    assert_eq!(
        toml_error("[api]\nport = 70000"),
        "supabase/config.toml:2:8: `api.port` must be a number from 0 to 65535, not a number"
    );
    assert_eq!(toml_error("api = 1"), "supabase/config.toml:1:7: `api` must be a section, not a number");
    assert!(toml_error("[api]\nport = 1\nport = 2\n").starts_with("supabase/config.toml:3:1: duplicate key"));
    assert!(toml_error("[api\n").starts_with("supabase/config.toml:1:5: "), "{}", toml_error("[api\n"));
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(toml_error(&deep).contains("recursion depth"), "{}", toml_error(&deep));
    let dotted = format!("{} = 1", vec!["a"; 100_000].join("."));
    assert!(toml_error(&dotted).contains("recurs"));
    assert_eq!(toml_error(&" ".repeat((1 << 20) + 1)), "supabase/config.toml is larger than 1 MiB");
}

#[test]
fn a_file_of_nothing_but_keys_is_read_in_linear_time_and_told_in_a_few_lines() {
    let many = |separator: &str| (0..60_000).map(|n| format!("k{n} = 1")).collect::<Vec<_>>().join(separator);
    let began = std::time::Instant::now();
    for text in [
        many("\n"),
        format!("api = {{ {} }}", many(", ")),
        format!("[edge_runtime.secrets]\n{}", many("\n").replace("= 1", "= 'x'")),
    ] {
        let config = load(&[("supabase/config.toml", &text)], &[]);
        assert!(config.notices.len() <= 21);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_file_that_is_not_utf8_is_refused_with_the_place() {
    let folder = project(&[("supabase/config.toml", "")]);
    fs::write(folder.path().join("supabase/config.toml"), b"[api]\nx = \"\xff\"\n").unwrap();
    let error = load_with(&folder, &Flags::default(), &[]).unwrap_err();
    assert_eq!(error.to_string(), "supabase/config.toml:2:6: not UTF-8 text");
}

#[test]
fn a_reference_to_nothing_is_told_and_kept() {
    let files = [("supabase/config.toml", "[auth]\nsite_url = \"env(NOPE)\"\n")];
    let config = load(&files, &[]);
    assert_eq!(config.file.auth.site_url, "env(NOPE)");
    assert_eq!(
        config.notices[0].message,
        "supabase/config.toml:2:12: `auth.site_url` refers to NOPE, which is not set"
    );
    let files = [("supabase/config.toml", "[api]\nport = \"env(NOPE)\"\n")];
    assert_eq!(error(&files, &[]).hint.as_deref(), Some("set NOPE in the environment or in .env"));
}

#[test]
fn in_development_the_environment_never_chooses_where_data_lives() {
    let folder =
        project(&[(".env", "DATABASE_URL=postgres://u:p@prod/db\nR2_BUCKET=b\nREDIS_URL=redis://x\n")]);
    let config = load_with(&folder, &Flags::default(), &[("POSTGRES_HOST", "db")]).unwrap();
    assert_eq!(config.database, DatabaseLocation::Embedded);
    let told: Vec<&str> = config.notices.iter().map(|notice| notice.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "DATABASE_URL, R2_BUCKET and REDIS_URL are set and ignored: in development the environment does not \
          choose where data lives"
        ]
    );
}

#[test]
fn what_opens_a_listener_here_is_not_called_ignored() {
    let told = |variables: &[(&str, &str)]| -> Vec<String> {
        let config = load_with(&project(&[]), &Flags::default(), variables).unwrap();
        config.notices.into_iter().map(|notice| notice.message).collect()
    };
    let door = [
        ("STORAGE_S3_LISTEN", "127.0.0.1:9000"),
        ("R2_BUCKET_NAME", "b"),
        ("R2_PUBLIC_URL", "http://localhost:9001"),
    ];
    assert_eq!(told(&door), [""; 0]);
    let elsewhere = told(&[("R2_BUCKET_NAME", "b"), ("R2_PUBLIC_URL", "https://pub-1.r2.dev")]);
    assert!(
        elsewhere[0].starts_with("R2_BUCKET_NAME and R2_PUBLIC_URL are set and ignored"),
        "{elsewhere:?}"
    );
}

#[test]
fn an_outside_database_needs_a_word_that_means_us() {
    let location = |files: &[(&str, &str)], variables: &[(&str, &str)], flags: &Flags| match load_with(
        &project(files),
        flags,
        variables,
    )
    .unwrap()
    .database
    {
        DatabaseLocation::Embedded => None,
        DatabaseLocation::External { url, origin, .. } => Some((url.expose().to_owned(), origin.to_string())),
    };
    let url = "postgres://u:p@h/d";
    let found = |origin: &str| Some((url.to_owned(), origin.to_owned()));
    let plain = Flags::default();
    let flag = Flags { db_url: Some(url.to_owned()), ..Flags::default() };
    assert_eq!(location(&[], &[], &flag), found("--db-url"));
    assert_eq!(
        location(&[], &[("MONOBASE_DATABASE_URL", url)], &plain),
        found("MONOBASE_DATABASE_URL in the environment")
    );
    let file = [("supabase/config.toml", "[monobase]\ndatabase_url = \"env(DATABASE_URL)\"\n")];
    assert_eq!(
        location(&file, &[("DATABASE_URL", url)], &plain),
        found("DATABASE_URL by supabase/config.toml:2")
    );
}

#[test]
fn with_production_the_generic_names_count() {
    let flags = Flags { production: true, ..Flags::default() };
    let keys = [("JWT_SECRET", "0123456789012345678901234567890123456789")];
    let url = |variables: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> = keys.iter().chain(variables).copied().collect();
        match load_with(&project(&[]), &flags, &all).unwrap().database {
            DatabaseLocation::Embedded => None,
            DatabaseLocation::External { url, .. } => Some(url.expose().to_owned()),
        }
    };
    assert_eq!(url(&[("DATABASE_URL", "postgres://x")]).as_deref(), Some("postgres://x"));
    assert_eq!(url(&[("POSTGRES_HOST", "db")]), None);
    assert_eq!(url(&[("POSTGRES_HOST", "127.0.0.2")]), None);
    assert_eq!(
        url(&[("POSTGRES_HOST", "pg.example"), ("POSTGRES_PASSWORD", "p@ss/w:d"), ("POSTGRES_DB", "x")])
            .as_deref(),
        Some("postgresql://postgres:p%40ss%2Fw%3Ad@pg.example:5432/x")
    );
}

#[test]
fn published_secrets_protect_nothing_that_others_can_reach() {
    let refused = |flags: Flags| {
        let config = load_with(&project(&[]), &flags, &[]).unwrap();
        config.check_start().unwrap_err()
    };
    let production = refused(Flags { production: true, ..Flags::default() });
    assert_eq!(
        production.message,
        "--production refuses secrets that everyone knows: JWT_SECRET, ANON_KEY, SERVICE_ROLE_KEY, POSTGRES_PASSWORD"
    );
    assert!(production.hint.unwrap().contains("monobase keys generate"));
    let open = refused(Flags { host: Some("0.0.0.0".to_owned()), ..Flags::default() });
    assert!(open.message.starts_with("an address beyond loopback refuses secrets"), "{}", open.message);
}

#[test]
fn generated_secrets_are_good_for_production() {
    let secret = tokens::generate::secret().unwrap();
    let flags = Flags { production: true, ..Flags::default() };
    let variables = [("JWT_SECRET", secret.as_str()), ("POSTGRES_PASSWORD", "correct horse")];
    let config = load_with(&project(&[]), &flags, &variables).unwrap();
    config.check_start().unwrap();
    let set = config.keys.key_set().unwrap();
    assert_eq!(set.verify_signature(&config.keys.api.anon_jwt).unwrap().role(), Some("anon"));
    assert!(set.verify_signature(tokens::development::ANON_KEY).is_err());
    assert_eq!(set.jwks(), serde_json::json!({ "keys": [] }));
}

#[test]
fn secrets_that_differ_among_services_are_an_error() {
    let variables =
        [("JWT_SECRET", "a-secret-of-some-length"), ("PGRST_JWT_SECRET", "another-secret-of-length")];
    let refused = error(&[], &variables);
    assert_eq!(
        refused.message,
        "JWT_SECRET and PGRST_JWT_SECRET differ: services would refuse each other's tokens"
    );
    assert!(!format!("{refused:?}").contains("of-some-length"));
}

#[test]
fn exchanged_api_keys_are_an_error_and_foreign_ones_a_notice() {
    let exchanged = [("ANON_KEY", tokens::development::SERVICE_ROLE_KEY)];
    assert_eq!(error(&[], &exchanged).message, "ANON_KEY is a key of role \"service_role\", not \"anon\"");
    let config = load(&[], &[("ANON_KEY", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")]);
    assert_eq!(
        config.notices[0].message,
        "ANON_KEY does not belong to the JWT secret: the token's signature is invalid"
    );
}

#[test]
fn a_signing_key_comes_before_the_secret() {
    let jwk = tokens::generate::signing_jwk().unwrap();
    let files = [
        ("supabase/config.toml", "[auth]\nsigning_keys_path = \"./signing_keys.json\"\n".to_owned()),
        ("supabase/signing_keys.json", format!("[{jwk}]")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let set = load(&files, &[]).keys.key_set().unwrap();
    assert_eq!(set.signing_key().unwrap().kid(), jwk["kid"].as_str());
    assert!(set.verify_signature(tokens::development::ANON_KEY).is_ok());
    let missing = error(&files[..1], &[]);
    assert!(missing.message.starts_with("cannot read the signing keys in "), "{}", missing.message);
}

#[test]
fn services_are_chosen_by_our_names_and_by_those_of_the_containers() {
    let chosen = |only: &[&str], exclude: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let flags = Flags { only: list(only), exclude: list(exclude), ..Flags::default() };
        load_with(&project(&[]), &flags, &[])
            .map(|config| config.services.into_iter().map(Service::as_str).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(chosen(&["rest,gotrue"], &[]).unwrap(), "gateway rest auth");
    assert_eq!(chosen(&["rest,gotrue"], &["kong"]).unwrap(), "rest auth");
    assert_eq!(
        chosen(&[], &["gotrue,realtime,storage-api,imgproxy", "mailpit,logflare,edge-runtime"]).unwrap(),
        "gateway rest meta studio"
    );
    let unknown = chosen(&["realtim"], &[]).unwrap_err();
    assert_eq!(unknown.message, "there is no service `realtim`");
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `realtime`?"));
    assert_eq!(chosen(&["rest"], &["rest"]).unwrap_err().message, "no service is left to start");
}

#[test]
fn the_project_is_found_from_below() {
    let folder = project(&[("supabase/config.toml", ""), ("src/deep/x", "")]);
    let config = Config::load(&Flags::default(), environment(&[]), &folder.path().join("src/deep")).unwrap();
    assert_eq!(config.paths.root, folder.path());
    assert_eq!(config.paths.state, folder.path().join(".monobase"));
}

#[test]
fn a_socket_in_a_deep_folder_gets_a_short_name() {
    let deep = Path::new("/x").join("y".repeat(200));
    let paths = Paths::new(deep.clone(), None, deep.join(".monobase"));
    assert!(paths.control_socket().as_os_str().len() <= 107);
    assert_eq!(paths.control_socket(), paths.control_socket());
}

#[test]
fn a_broken_configuration_does_not_hide_where_the_installation_is() {
    let folder = project(&[("supabase/config.toml", "[api\n")]);
    let paths = |flags: &Flags, variables| Paths::locate(flags, environment(variables), folder.path());
    let plain = Flags::default();
    assert_eq!(paths(&plain, &[]).unwrap().state, folder.path().join(".monobase"));
    assert_eq!(paths(&plain, &[("MONOBASE_DATA_DIR", "other")]).unwrap().state, folder.path().join("other"));
    let flag = Flags { data_dir: Some("/third".into()), ..Flags::default() };
    assert_eq!(paths(&flag, &[]).unwrap().state, Path::new("/third"));
}

#[test]
fn showing_masks_every_secret() {
    let files = [
        (
            "supabase/config.toml",
            "[auth.email.smtp]\npass = \"hush-1\"\n[auth.external.github]\nsecret = \"hush-2\"\n",
        ),
        (".env", "JWT_SECRET=hush-3-and-long-enough\nPOSTGRES_PASSWORD=hush-4\n"),
    ];
    let flags = Flags { db_url: Some("postgres://u:hush-5@h/d".to_owned()), ..Flags::default() };
    let config = load_with(&project(&files), &flags, &[]).unwrap();
    let shown = format!("{}{}{config:?}", config.show_text(true), config.show_json());
    assert!(!shown.contains("hush"), "{shown}");
    assert!(config.show_text(false).contains("JWT_SECRET in .env"));
}

#[test]
fn lines_of_env_files_that_are_no_assignment_are_told_without_their_text() {
    let config = load(&[(".env", "A=1\nthis is hush\n")], &[]);
    assert_eq!(config.notices[0].message, ".env:2 is not of the form NAME=value and was skipped");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_makes_loading_panic(text in "(?s).{0,300}", env in "(?s).{0,200}") {
        let _ = load_with(&project(&[("supabase/config.toml", &text), (".env", &env)]), &Flags::default(), &[]);
    }

    #[test]
    fn only_a_whole_string_is_a_reference(name in "[A-Z_][A-Z0-9_]{0,20}", noise in "[a-z ]{1,5}") {
        let name_in = |text: String| crate::reader::env_reference(&text).map(str::to_owned);
        prop_assert_eq!(name_in(format!("{noise}env({name})")), None);
        prop_assert_eq!(name_in(format!("env({name}){noise}")), None);
        prop_assert_eq!(name_in(format!("env({name})")), Some(name));
    }

    #[test]
    fn a_referenced_value_arrives_unchanged(value in "[^\0]{1,40}") {
        let files = [("supabase/config.toml", "[auth]\nsite_url = \"env(SITE)\"\n")];
        let config = load(&files, &[("SITE", &value)]);
        prop_assert_eq!(config.file.auth.site_url, value);
    }
}
