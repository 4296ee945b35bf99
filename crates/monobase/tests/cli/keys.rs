//! `keys generate` and `keys show`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::Project;

fn mode(project: &Project, name: &str) -> u32 {
    fs::metadata(project.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn without_configuration_the_published_keys_are_shown() {
    let project = Project::empty();
    let shown = |name| project.run(&["keys", "show", name]).ok();
    assert_eq!(shown("anon"), format!("{}\n", tokens::development::ANON_KEY));
    assert_eq!(shown("service_role"), format!("{}\n", tokens::development::SERVICE_ROLE_KEY));
    assert_eq!(shown("jwt_secret"), "super-secret-jwt-token-with-at-least-32-characters-long\n");
    assert_eq!(shown("publishable"), "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH\n");
    assert_eq!(project.run(&["keys", "show", "nothing"]).code, 2);
}

#[test]
fn generated_keys_are_private_files_that_the_next_command_uses() {
    let project = Project::empty();
    let done = project.run(&["keys", "generate"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{}", done.stderr);
    assert_eq!(mode(&project, ".env"), 0o600);
    assert_eq!(mode(&project, "supabase/signing_keys.json"), 0o600);
    assert!(!done.stderr.contains("eyJ"), "keys are not printed");

    let secret = project.run(&["keys", "show", "jwt_secret"]).ok();
    assert!(secret.trim().len() >= 40);
    assert_ne!(secret.trim(), tokens::development::JWT_SECRET);
    let anon = project.run(&["keys", "show", "anon"]).ok();
    let keys = tokens::KeySet::from_secret(secret.trim()).unwrap();
    assert_eq!(keys.verify_signature(anon.trim()).unwrap().role(), Some("anon"));
    let jwks: serde_json::Value = serde_json::from_str(&project.run(&["keys", "show", "jwks"]).ok()).unwrap();
    assert_eq!(jwks["keys"][0]["alg"], "ES256");
    assert!(jwks["keys"][0].get("d").is_none());
    // Real keys are good for production: what is refused now is not a secret.
    let show = project.run(&["config", "show", "--production"]);
    assert_eq!((show.code, show.stderr.as_str()), (0, ""));
}

#[test]
fn nothing_is_overwritten_without_force() {
    let project = Project::with(&[(".env", "# mine\nOTHER=1\nJWT_SECRET=existing-secret-of-mine\n")]);
    let refused = project.run(&["keys", "generate"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains(".env already sets JWT_SECRET"), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .ends_with("hint: everything signed with them would stop working; --force replaces them\n")
    );
    assert!(!project.path("supabase").exists());

    assert_eq!(project.run(&["keys", "generate", "--force"]).code, 0);
    let text = project.read(".env");
    assert!(text.starts_with("# mine\nOTHER=1\n\n# Secrets of this installation"), "{text}");
    assert!(!text.contains("existing-secret-of-mine"));

    let first = project.run(&["keys", "show", "jwt_secret"]).ok();
    assert_eq!(project.run(&["keys", "generate", "--force"]).code, 0);
    assert_ne!(project.run(&["keys", "show", "jwt_secret"]).ok(), first);
    let lines = |text: &str| text.lines().count();
    assert_eq!(lines(&project.read(".env")), lines(&text), "a second time adds nothing");
}

#[test]
fn an_applications_env_file_is_added_to() {
    let project = Project::with(&[(".env", "OTHER=1")]);
    assert_eq!(project.run(&["keys", "generate"]).code, 0);
    assert!(project.read(".env").starts_with("OTHER=1\n\n# Secrets of this installation"));
}

#[test]
fn all_keys_can_be_sourced() {
    let project = Project::empty();
    let text = project.run(&["keys", "show", "-o", "env"]).ok();
    let names: Vec<&str> = text.lines().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["ANON_KEY", "JWT_SECRET", "PUBLISHABLE_KEY", "SECRET_KEY", "SERVICE_ROLE_KEY"]);
}
