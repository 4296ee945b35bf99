//! A whole stack from start to stop, as a script drives it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Done, Project};

/// A running stack, stopped at the end of its test.
struct Stack {
    project: Project,
}

impl Stack {
    fn start(project: Project) -> Stack {
        let stack = Stack { project };
        stack.start_again().ok();
        stack
    }

    fn start_again(&self) -> Done {
        self.project.run(&["start", "--detach", "--port", "0", "--ephemeral"])
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.project.run(&["status", "-o", "json"]).ok()).unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.project.run(&["stop"]);
    }
}

/// One request over a connection of its own; the status line.
fn get(url: &str, key: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {address}\r\napikey: {key}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_stack_starts_in_the_background_tells_its_addresses_and_stops() {
    let stack = Stack::start(Project::empty());
    let status = stack.status();
    let text = |name: &str| status[name].as_str().unwrap().to_owned();
    assert_eq!(text("ANON_KEY"), tokens::development::ANON_KEY);
    assert_eq!(text("REST_URL"), format!("{}/rest/v1", text("API_URL")));
    assert!(text("DB_URL").starts_with("postgresql://postgres:postgres@127.0.0.1:"));
    assert_eq!(get(&format!("{}/", text("REST_URL")), &text("ANON_KEY")), "HTTP/1.1 200 OK");

    // A shell can source it, under other names too.
    let script = "eval \"$($0 status -o env --override-name api.url=MY_URL)\" && printf '%s %s' \"$MY_URL\" \"$SERVICE_ROLE_KEY\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_monobase")])
        .current_dir(stack.project.path(""))
        .output()
        .unwrap();
    let expected = format!("{} {}", text("API_URL"), tokens::development::SERVICE_ROLE_KEY);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);

    // Asked again, it is the same one.
    let again = stack.start_again();
    assert!(again.stderr.contains("monobase is already running here"), "{}", again.stderr);
    assert_eq!(again.code, 0);
    assert_eq!(stack.status(), status);
    let foreground = stack.project.run(&["start", "--port", "0"]);
    assert_eq!(foreground.code, 1);

    let stop = stack.project.run(&["stop"]);
    assert_eq!((stop.code, stop.stderr.as_str()), (0, "monobase: stopped\n"));
    assert_eq!(stack.project.run(&["status"]).code, 3);
    assert!(TcpStream::connect(text("API_URL").trim_start_matches("http://")).is_err());
}

#[test]
fn the_block_after_a_start_can_be_copied_from() {
    let project = Project::empty();
    let stack = Stack { project };
    let done = stack.start_again();
    assert!(done.stderr.contains("Starting PostgreSQL\n"), "steps are told: {}", done.stderr);
    let printed = done.ok();
    let status = stack.status();
    for (label, name) in [("API URL", "API_URL"), ("DB URL", "DB_URL"), ("anon key", "ANON_KEY")] {
        let line = format!("{label:>16}: {}\n", status[name].as_str().unwrap());
        assert!(printed.contains(&line), "{line} is not in {printed}");
    }
    // The log of the background process holds no keys.
    let log = stack.project.read(".monobase/monobase.log");
    assert!(!log.contains("eyJ"), "{log}");
}

#[test]
fn a_stack_in_the_foreground_ends_with_an_interrupt() {
    let project = Project::with(&[("supabase/config.toml", "[db]\nmajor_version = 15\n")]);
    let mut child = project
        .command(&["start", "--port", "0", "--ephemeral"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "Ready.");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("is PostgreSQL 18, not 15"), "{told}");
    assert_eq!(project.run(&["status"]).code, 3);
}

#[test]
fn a_start_that_fails_in_the_background_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let project = Project::empty();
    let done = project.run(&["start", "--detach", "--port", &port, "--db-port", "0", "--ephemeral"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains(&format!("error: port {port} is taken")), "{}", done.stderr);
    assert!(done.stderr.contains("hint: "), "{}", done.stderr);
    assert_eq!(done.stdout, "");
    assert_eq!(project.run(&["status"]).code, 3);
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgresql://postgres:hush@127.0.0.1:{closed}/postgres");
    let project = Project::empty();
    let done = project.run(&["start", "--port", "0", "--db-url", &url]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("error: "), "{}", done.stderr);
    assert!(done.stderr.contains("127.0.0.1") && !done.stderr.contains("hush"), "{}", done.stderr);
}
