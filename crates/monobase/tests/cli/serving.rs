//! One service alone: its file, its environment, its signals, its exit codes.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

/// PostgREST's file, with one of each kind of value.
const FILE: &str = "# who asks\n\
    db-anon-role = \"$(ROLE)\"\n\
    db-config = false\n\
    db-max-rows = 5\n\
    app.settings.greeting = \"hello\" # said to everybody\n";

#[test]
fn a_file_is_read_under_the_environment_and_shown() {
    let project = Project::with(&[("rest.conf", FILE)]);
    let environment = [("ROLE", "visitor"), ("PGRST_DB_MAX_ROWS", "7")];
    let shown = project.run_with(&["serve", "rest", "rest.conf", "--dump-config"], &environment).ok();
    for line in [
        "db-anon-role = \"visitor\"",
        "db-max-rows = 7",
        "db-pool = 10",
        "server-host = \"!4\"",
        "app.settings.greeting = \"hello\"",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
    }
    // What is shown is a file that says the same.
    let again = Project::with(&[("rest.conf", &shown)]);
    assert_eq!(again.run(&["serve", "rest", "rest.conf", "--dump-config"]).ok(), shown);
}

#[test]
fn what_cannot_be_used_ends_with_a_reason() {
    let project = Project::with(&[("rest.conf", FILE), ("wrong.conf", "yaml:\n  is: not")]);
    for (arguments, environment, reason) in [
        (&["serve", "rest", "none.conf"][..], &[][..], "none.conf"),
        (&["serve", "rest", "wrong.conf"], &[], "wrong.conf: line 1: not of the form key = value"),
        (&["serve", "rest", "rest.conf"], &[], "there is no variable ROLE"),
        (&["serve", "rest"], &[("PGRST_LOG_LEVEL", "never")], "log-level"),
        (&["serve", "rest"], &[("PGRST_JWT_SECRET", "short")], "at least 32 characters"),
        (
            &["serve", "rest"],
            &[("PGRST_SERVER_PORT", "3001"), ("PGRST_ADMIN_SERVER_PORT", "3001")],
            "cannot be the same",
        ),
        (&["serve", "imgproxy", "rest.conf"], &[], "takes no configuration file"),
        (&["serve", "imgproxy", "--dump-config"], &[], "has nothing to dump"),
        (&["serve", "rest", "--ready"], &[], "not ready: admin-server-port is not set"),
    ] {
        let done = project.run_with(arguments, environment);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(reason), "{arguments:?}: {}", done.stderr);
    }
}

/// The rest service without a database.
struct Alone {
    project: Project,
    child: Child,
}

impl Alone {
    fn start(environment: &[(&str, &str)]) -> Alone {
        let project = Project::empty();
        let child = project
            .command(&["serve", "rest"])
            .env("PGRST_DB_URI", "postgres://nobody@127.0.0.1:1/none")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_SERVER_UNIX_SOCKET", project.path("s"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Alone { project, child }
    }

    /// The answer to a request, once somebody listens.
    fn ask(&self) -> String {
        let began = Instant::now();
        loop {
            if let Ok(mut socket) = UnixStream::connect(self.project.path("s")) {
                socket.write_all(b"GET /things HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                socket.read_to_string(&mut answer).unwrap();
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "nobody listens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn end(&mut self) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_a_database_it_says_so_lives_through_signals_and_ends_when_told() {
    let mut alone = Alone::start(&[]);
    let answer = alone.ask();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for part in ["server: postgrest/13.0.7", "retry-after: ", "\"code\":\"PGRST002\""] {
        assert!(answer.contains(part), "{answer}");
    }
    alone.signal("-USR1");
    alone.signal("-USR2");
    std::thread::sleep(Duration::from_millis(200));
    assert!(alone.ask().starts_with("HTTP/1.1 503 "));
    let asked = alone.project.run_with(&["serve", "rest", "--ready"], &[("PGRST_ADMIN_SERVER_PORT", "1")]);
    assert_eq!(asked.code, 1);
    assert!(asked.stderr.contains("not ready: http://127.0.0.1:1/ready"), "{}", asked.stderr);
    alone.signal("-TERM");
    assert_eq!(alone.end(), Some(0));
    assert!(!alone.project.path("s").exists());
}

#[test]
fn told_not_to_wait_for_a_database_it_ends() {
    let mut alone = Alone::start(&[("PGRST_DB_POOL_AUTOMATIC_RECOVERY", "false")]);
    assert_eq!(alone.end(), Some(1));
}
