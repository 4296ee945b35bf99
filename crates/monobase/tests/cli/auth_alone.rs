//! `serve auth`: several instances on one database, configurations that change, and an end without warning.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Project;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A database for instances: a stack without auth.
struct Database {
    project: Project,
    url: String,
    /// An administrator's token.
    admin: String,
}

impl Database {
    fn start() -> Database {
        let project = Project::empty();
        project.run(&["start", "--detach", "--port", "0", "--ephemeral", "--only", "rest"]).ok();
        let status: Value = serde_json::from_str(&project.run(&["status", "-o", "json"]).ok()).unwrap();
        let place = status["DB_URL"].as_str().unwrap().split_once('@').unwrap().1.to_owned();
        let url = format!("postgres://supabase_auth_admin:postgres@{place}");
        let admin = status["SERVICE_ROLE_KEY"].as_str().unwrap().to_owned();
        Database { project, url, admin }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.project.run(&["stop"]);
    }
}

/// An instance; killed when dropped.
struct Instance {
    child: Child,
    address: String,
    project: Project,
}

impl Instance {
    fn start(
        database: &Database,
        files: &[(&str, &str)],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Instance {
        let project = Project::with(files);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let log = fs::File::create(project.path("log")).unwrap();
        let mut command: Command = project.command(&[&["serve", "auth"], arguments].concat());
        let child = command
            .env("GOTRUE_API_HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("API_EXTERNAL_URL", format!("http://{address}"))
            .env("GOTRUE_SITE_URL", "http://localhost:3000")
            .env("GOTRUE_DB_DRIVER", "postgres")
            .env("DATABASE_URL", &database.url)
            .env("GOTRUE_JWT_SECRET", "super-secret-jwt-token-with-at-least-32-characters-long")
            .env("GOTRUE_JWT_AUD", "authenticated")
            .env("GOTRUE_JWT_DEFAULT_GROUP_NAME", "authenticated")
            .env("GOTRUE_MAILER_AUTOCONFIRM", "true")
            // Passwords are hashed when nobody else wants the processor, which other tests do.
            .env("GOTRUE_API_MAX_REQUEST_DURATION", "120s")
            .env("GOTRUE_RELOADING_GRACE_PERIOD_INTERVAL", "100ms")
            .env("MONOBASE_LOG_FORMAT", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let instance = Instance { child, address, project };
        instance.eventually(|| instance.get("/health").is_some());
        instance
    }

    fn eventually(&self, holds: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        self.project.read("log")
    }

    fn get(&self, path: &str) -> Option<Value> {
        request(&self.address, "GET", path, None).map(|(_, body)| body)
    }

    fn refresh(&self, token: &str) -> (u16, Value) {
        let body = json!({"refresh_token": token});
        request(&self.address, "POST", "/token?grant_type=refresh_token", Some(&body)).unwrap()
    }

    fn is_closed(&self) -> bool {
        self.get("/settings").is_some_and(|settings| settings["disable_signup"] == true)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer that came whole.
fn request(address: &str, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
    request_as(address, "", method, path, body)
}

/// The same with a token.
fn request_as(
    address: &str,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: auth\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).ok()?))
}

#[test]
fn a_folder_of_variables_is_read_again_when_it_changes() {
    let database = Database::start();
    let files = [("base.env", "GOTRUE_JWT_EXP=60\n"), ("conf/10.env", "GOTRUE_DISABLE_SIGNUP=false\n")];
    let arguments = ["base.env", "-d", "conf"];
    let instance = Instance::start(&database, &files, &arguments, &[("GOTRUE_JWT_EXP", "90")]);
    let person = json!({"email": "ann@x.test", "password": "secret1"});
    let (status, session) = request(&instance.address, "POST", "/signup", Some(&person)).unwrap();
    assert_eq!((status, &session["expires_in"]), (200, &json!(60)));
    assert!(!instance.is_closed());

    // A later file wins over an earlier one.
    fs::write(instance.project.path("conf/20.env"), "GOTRUE_DISABLE_SIGNUP=true\n").unwrap();
    instance.eventually(|| instance.is_closed());
    // A bad one is told and not used.
    fs::write(instance.project.path("conf/30.env"), "GOTRUE_DISABLE_SIGNUP=false\nGOTRUE_JWT_EXP=soon\n")
        .unwrap();
    instance.eventually(|| instance.log().contains("GOTRUE_JWT_EXP: \\\"soon\\\" is not a number"));
    assert!(instance.is_closed(), "{}", instance.log());
    fs::remove_file(instance.project.path("conf/30.env")).unwrap();
    fs::remove_file(instance.project.path("conf/20.env")).unwrap();
    instance.eventually(|| !instance.is_closed());

    // Another one on the same database has its own.
    let files = [(".env", "GOTRUE_DISABLE_SIGNUP=true\nGOTRUE_JWT_EXP=30\n")];
    let other = Instance::start(&database, &files, &[], &[("GOTRUE_JWT_EXP", "90")]);
    assert!(other.is_closed() && !instance.is_closed());
    let (_, session) = request(&other.address, "POST", "/token?grant_type=password", Some(&person)).unwrap();
    assert_eq!(session["expires_in"], 90);
}

/// Signs up and refreshes until the instance is gone; what was acknowledged.
fn work(address: &str, lane: usize, stop: &AtomicBool, done: &AtomicUsize) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    for turn in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let email = format!("lane{lane}-{turn}@x.test");
        let person = json!({"email": email, "password": "secret1"});
        let Some((200, session)) = request(address, "POST", "/signup", Some(&person)) else { break };
        let mut token = session["refresh_token"].as_str().unwrap().to_owned();
        acknowledged.push((email, token.clone()));
        done.fetch_add(1, Ordering::SeqCst);
        for _ in 0..5 {
            let body = json!({"refresh_token": token});
            let Some((200, session)) =
                request(address, "POST", "/token?grant_type=refresh_token", Some(&body))
            else {
                break;
            };
            token = session["refresh_token"].as_str().unwrap().to_owned();
            acknowledged.last_mut().unwrap().1.clone_from(&token);
        }
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_survives_a_kill_in_the_middle() {
    let database = Database::start();
    let mut instance = Instance::start(&database, &[], &[], &[]);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let lanes: Vec<_> = (0..8)
        .map(|lane| {
            let (address, stop, done) = (instance.address.clone(), stop.clone(), done.clone());
            thread::spawn(move || work(&address, lane, &stop, &done))
        })
        .collect();
    let until = Instant::now() + PATIENCE;
    while done.load(Ordering::SeqCst) < 16 && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    instance.child.kill().unwrap();
    instance.child.wait().unwrap();
    stop.store(true, Ordering::SeqCst);
    let acknowledged: Vec<_> = lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
    assert!(acknowledged.len() >= 8, "only {} people signed up", acknowledged.len());

    let again = Instance::start(&database, &[], &[], &[]);
    for (email, token) in &acknowledged {
        // The token that was handed out last works, be it because a later one never arrived.
        let answer = again.refresh(token);
        assert_eq!(answer.0, 200, "{email}: {}", answer.1);
        assert_eq!(answer.1["user"]["identities"][0]["email"], email.as_str());
    }
    let (email, _) = acknowledged.last().unwrap();
    let person = json!({"email": email, "password": "secret1"});
    assert_eq!(request(&again.address, "POST", "/token?grant_type=password", Some(&person)).unwrap().0, 200);
    // Nobody is there by half: who was not acknowledged either is there whole or can sign up.
    for lane in 0..8 {
        for turn in 0.. {
            let email = format!("lane{lane}-{turn}@x.test");
            let person = json!({"email": email, "password": "secret1"});
            let (status, answer) = request(&again.address, "POST", "/signup", Some(&person)).unwrap();
            if status == 200 {
                break;
            }
            assert_eq!((status, &answer["error_code"]), (422, &json!("user_already_exists")), "{email}");
        }
    }
}

#[test]
fn a_kill_in_the_middle_of_a_crowd_leaves_one_user_and_one_family() {
    let database = Database::start();
    let mut instance = Instance::start(&database, &[], &[], &[]);
    let person = json!({"email": "ann@x.test", "password": "secret1"});
    let (_, session) = request(&instance.address, "POST", "/signup", Some(&person)).unwrap();
    let token = session["refresh_token"].as_str().unwrap().to_owned();

    let answered = Arc::new(AtomicUsize::new(0));
    let ask = |path: &'static str, body: Value, times: usize| {
        let (address, answered) = (instance.address.clone(), answered.clone());
        thread::spawn(move || {
            let mut answers = Vec::new();
            for _ in 0..times {
                let Some(answer) = request(&address, "POST", path, Some(&body)) else { break };
                answered.fetch_add(1, Ordering::SeqCst);
                answers.push(answer);
            }
            answers
        })
    };
    let crowd = json!({"email": "crowd@x.test", "password": "secret1"});
    let refreshes: Vec<_> =
        (0..50).map(|_| ask("/token?grant_type=refresh_token", json!({"refresh_token": token}), 1)).collect();
    let sign_ups: Vec<_> = (0..50).map(|_| ask("/signup", crowd.clone(), 20)).collect();
    let until = Instant::now() + PATIENCE;
    while answered.load(Ordering::SeqCst) < 30 && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    instance.child.kill().unwrap();
    instance.child.wait().unwrap();
    let all = |threads: Vec<thread::JoinHandle<Vec<(u16, Value)>>>| -> Vec<(u16, Value)> {
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    };
    let (refreshed, signed_up) = (all(refreshes), all(sign_ups));
    assert!(refreshed.len() + signed_up.len() < 1050, "the kill came after the crowd");

    let again = Instance::start(&database, &[], &[], &[]);
    // Whatever was handed out works, and so does the token that all of them held.
    for (status, session) in refreshed.iter().filter(|(status, _)| *status == 200) {
        let next = again.refresh(session["refresh_token"].as_str().unwrap());
        assert_eq!((next.0, &next.1["user"]["email"]), (*status, &json!("ann@x.test")), "{}", next.1);
    }
    if refreshed.iter().all(|(status, _)| *status != 200) {
        assert_eq!(again.refresh(&token).0, 200);
    }
    let successes: Vec<_> = signed_up.iter().filter(|(status, _)| *status == 200).collect();
    assert!(successes.len() <= 1, "{} sign-ups of one address succeeded", successes.len());
    let (status, last) = request(&again.address, "POST", "/signup", Some(&crowd)).unwrap();
    if !successes.is_empty() {
        assert_eq!((status, &last["error_code"]), (422, &json!("user_already_exists")));
    }
    let asked = |path: &str| request_as(&again.address, &database.admin, "GET", path, None).unwrap().1;
    let listed = asked("/admin/users");
    let of_crowd: Vec<_> =
        listed["users"].as_array().unwrap().iter().filter(|user| user["email"] == "crowd@x.test").collect();
    assert_eq!(of_crowd.len(), 1, "{listed}");
    let user = asked(&format!("/admin/users/{}", of_crowd[0]["id"].as_str().unwrap()));
    assert_eq!(user["identities"].as_array().map(Vec::len), Some(1), "{user}");
}
