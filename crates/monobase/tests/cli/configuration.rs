//! `config show`, and what stands in the way of a start.

use crate::support::Project;

#[test]
fn every_value_is_printed_with_its_origin_and_secrets_are_masked() {
    let project = Project::with(&[
        ("supabase/config.toml", "[api]\nport = 1234\n[auth]\nsite_url = \"env(SITE)\"\n"),
        (".env", "SITE=https://example.com\nJWT_SECRET=a-secret-that-must-not-be-seen\n"),
    ]);
    let text = project.run_with(&["config", "show"], &[("SUPABASE_DB_PORT", "4321")]).ok();
    let line = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("api.port"), "api.port = 1234 # supabase/config.toml:2");
    assert_eq!(
        line("auth.site_url"),
        "auth.site_url = \"https://example.com\" # SITE by supabase/config.toml:4"
    );
    assert_eq!(line("db.port"), "db.port = 4321 # SUPABASE_DB_PORT in the environment");
    assert_eq!(line("auth.jwt_secret"), "auth.jwt_secret = \"********\" # JWT_SECRET in .env");
    assert_eq!(line("api.max_rows"), "api.max_rows = 1000 # default");
    assert!(!text.contains("must-not-be-seen"));
}

#[test]
fn only_what_was_set_can_be_asked_for_and_json_is_for_scripts() {
    let project = Project::with(&[("supabase/config.toml", "project_id = \"x\"\n")]);
    let text = project.run(&["config", "show", "--changed", "--port", "0"]).ok();
    assert!(text.contains("api.port") && !text.contains("api.max_rows"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&project.run(&["config", "show", "-o", "json"]).ok()).unwrap();
    let entry = json.as_array().unwrap().iter().find(|entry| entry["key"] == "project_id").unwrap();
    assert_eq!(
        *entry,
        serde_json::json!({ "key": "project_id", "value": "\"x\"", "origin": "supabase/config.toml:1" })
    );
}

#[test]
fn what_is_printed_is_toml() {
    let text = Project::empty().run(&["config", "show"]).ok();
    for line in text.lines() {
        let (key, value) = line.split_once(" = ").unwrap();
        assert!(!key.trim().is_empty() && value.contains("  # "), "{line}");
    }
}

#[test]
fn a_hostile_file_is_one_line_with_the_place() {
    let refused = |text: &str| {
        let done = Project::with(&[("supabase/config.toml", text)]).run(&["config", "show"]);
        assert_eq!(done.code, 1);
        assert_eq!(done.stdout, "");
        done.stderr
    };
    assert_eq!(
        refused("[api]\nport = \"many\"\n"),
        "error: supabase/config.toml:2:8: `api.port` must be a number from 0 to 65535, not a string\n"
    );
    assert!(refused("[api]\n[api]\n").starts_with("error: supabase/config.toml:2:2: duplicate key"));
    let deep = refused(&format!("x = {}", "[".repeat(500_000)));
    assert_eq!(deep.lines().count(), 1, "{deep}");
    let long = refused(&format!("[api]\nport = \"{}\"\n", "9".repeat(900_000)));
    assert!(long.len() < 500, "a value is not repeated");
}

#[test]
fn a_file_of_another_encoding_is_refused() {
    let project = Project::with(&[("supabase/config.toml", "")]);
    std::fs::write(project.path("supabase/config.toml"), b"\xff\xfe[\0a\0]\0").unwrap();
    let done = project.run(&["config", "show"]);
    assert_eq!(done.code, 1);
    assert_eq!(
        done.stderr,
        "error: supabase/config.toml:1:1: not UTF-8 text\nhint: save the file as UTF-8\n"
    );
}

#[test]
fn unknown_keys_warn_and_do_not_stop() {
    let project = Project::with(&[("supabase/config.toml", "[api]\nmax_row = 1\n")]);
    let done = project.run(&["config", "show"]);
    assert_eq!(done.code, 0);
    assert_eq!(
        done.stderr,
        "warning: supabase/config.toml:2:1: unknown key `api.max_row`\nhint: did you mean `max_rows`?\n"
    );
    assert_eq!(project.run(&["config", "show", "--quiet"]).stderr, "");
}

#[test]
fn an_applications_database_url_is_seen_and_ignored() {
    let project = Project::with(&[(".env", "DATABASE_URL=postgres://u:secret@prod.example/db\n")]);
    let done = project.run(&["config", "show"]);
    assert_eq!(
        done.stderr.lines().next().unwrap(),
        "warning: DATABASE_URL is set and ignored: in development the environment does not choose where data lives"
    );
    assert!(done.stdout.lines().all(|line| !line.starts_with("monobase.database_url")));
    assert!(!(done.stdout + &done.stderr).contains("secret@"));
    let chosen = project.run(&["config", "show", "--production"]).ok();
    assert!(
        chosen
            .lines()
            .any(|line| line.starts_with("monobase.database_url") && line.contains("DATABASE_URL in .env"))
    );
}

#[test]
fn production_refuses_the_published_secrets() {
    for arguments in [&["start", "--production"][..], &["start", "--production", "--detach"]] {
        let project = Project::empty();
        let done = project.run(arguments);
        assert_eq!(done.code, 1);
        assert_eq!(
            done.stderr,
            "error: --production refuses secrets that everyone knows: JWT_SECRET, ANON_KEY, SERVICE_ROLE_KEY, \
             POSTGRES_PASSWORD\nhint: `monobase keys generate` makes real ones and writes them to .env\n"
        );
        assert!(!project.path(".monobase").exists());
    }
}

#[test]
fn an_open_address_refuses_the_published_secrets() {
    let done = Project::empty().run(&["start", "--host", "0.0.0.0", "--port", "0"]);
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.starts_with("error: an address beyond loopback refuses secrets that everyone knows: "),
        "{}",
        done.stderr
    );
}

#[test]
fn differing_secrets_are_an_error() {
    let environment =
        [("JWT_SECRET", "first-secret-of-the-two"), ("GOTRUE_JWT_SECRET", "second-secret-of-the-two")];
    let done = Project::empty().run_with(&["config", "show"], &environment);
    assert_eq!(done.code, 1);
    assert_eq!(
        done.stderr,
        "error: JWT_SECRET and GOTRUE_JWT_SECRET differ: services would refuse each other's tokens\n\
         hint: set JWT_SECRET alone; every service under `monobase start` uses it\n"
    );
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let project = Project::empty();
    assert_eq!(project.run(&["config", "show", "--config", "no.toml"]).code, 1);
    let done = project.run(&["config", "show", "--env-file", "no.env"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.ends_with("hint: check the path given with --env-file\n"), "{}", done.stderr);
    let done = project.run(&["config", "show", "--workdir", "nowhere"]);
    assert_eq!(done.code, 1);
}
