//! Requests as a client sends them, through the whole service, with pictures in a folder.
#![allow(clippy::unwrap_used, missing_docs)]

mod pictures;

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use imaging::{Format, Header, Limits};
use imgproxy::{Addresses, Config, Detection, Fallback, Given, Imgproxy, Pattern, Presets, Signing};
use pictures::bitmap;
use tempfile::TempDir;
use tower::ServiceExt as _;

const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg' onload='x()'><script>x()</script><g/></svg>";

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("a b.bmp", &bitmap(400, 200));
    write("drawing.svg", SVG.as_bytes());
    write("text.txt", b"no picture");
    write("broken.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0");
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    folder
}

fn config(root: &Path) -> Config {
    Config { local_root: Some(root.to_owned()), ..Config::default() }
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> (u16, &str) {
        (self.status, std::str::from_utf8(&self.body).unwrap())
    }

    fn picture(&self) -> (u16, Format, u32, u32) {
        let header = Header::read(&self.body, &Limits::default()).unwrap();
        assert_eq!(self.header("content-type"), header.format.mime());
        assert_eq!(self.header("content-length"), self.body.len().to_string());
        (self.status, header.format, header.width, header.height)
    }
}

async fn ask(service: &Imgproxy, method: Method, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = service.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 10 << 20).await.unwrap();
    Got { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn get(service: &Imgproxy, path: &str) -> Got {
    ask(service, Method::GET, path, &[]).await
}

async fn started(config: Config) -> Imgproxy {
    Imgproxy::start(config).await.unwrap()
}

const PICTURE: &str = "plain/local:///a%2520b.bmp";

#[tokio::test]
async fn a_picture_comes_as_asked_with_its_headers() {
    let folder = folder();
    let service = started(config(folder.path())).await;
    let got = get(&service, &format!("/x/rs:fit:100:100/{PICTURE}")).await;
    assert_eq!(got.picture(), (200, Format::Jpeg, 100, 50));
    assert_eq!(got.header("content-disposition"), "inline; filename=\"a b.jpg\"");
    assert_eq!(got.header("cache-control"), "max-age=31536000, public");
    assert!(got.header("expires").ends_with(" GMT"));
    assert_eq!((got.header("server"), got.header("vary"), got.header("etag")), ("imgproxy", "", ""));
    assert_eq!(got.header("x-request-id").len(), 32);
    let got = ask(
        &service,
        Method::GET,
        &format!("/x/dpr:2/w:10/fn:n%22/att:1/{PICTURE}@png?q"),
        &[("x-request-id", "a-1")],
    )
    .await;
    assert_eq!(got.picture(), (200, Format::Png, 20, 10));
    assert_eq!(got.header("content-disposition"), "attachment; filename=\"n%22.png\"");
    assert_eq!((got.header("content-dpr"), got.header("x-request-id")), ("2.00", "a-1"));
}

#[tokio::test]
async fn the_other_routes_answer() {
    let folder = folder();
    let cors = Config {
        allow_origin: Some("*".to_owned()),
        health_check_path: Some("/up".to_owned()),
        ..config(folder.path())
    };
    let service = started(cors).await;
    assert_eq!(get(&service, "/health").await.text(), (200, "imgproxy is running"));
    assert_eq!(get(&service, "/up").await.text(), (200, "imgproxy is running"));
    assert_eq!(get(&service, "/favicon.ico").await.text(), (200, ""));
    assert_eq!(get(&service, "/").await.status, 200);
    let head = ask(&service, Method::HEAD, &format!("/x/{PICTURE}"), &[]).await;
    assert_eq!((head.status, head.header("access-control-allow-methods")), (200, "GET, OPTIONS"));
    assert_eq!(
        ask(&service, Method::OPTIONS, "/any/thing", &[]).await.header("access-control-allow-origin"),
        "*"
    );
    assert_eq!(ask(&service, Method::POST, &format!("/x/{PICTURE}"), &[]).await.text(), (404, ""));
    let under = started(Config { path_prefix: "/img".to_owned(), ..config(folder.path()) }).await;
    assert_eq!(get(&under, &format!("/img/x/{PICTURE}")).await.status, 200);
    assert_eq!(get(&under, &format!("/x/{PICTURE}")).await.text(), (404, ""));
}

#[tokio::test]
async fn errors_have_their_words() {
    let folder = folder();
    let service = started(config(folder.path())).await;
    let told = async |path: &str| {
        let got = get(&service, path).await;
        (got.status, String::from_utf8(got.body.to_vec()).unwrap())
    };
    let answer = |status: u16, words: &str| (status, words.to_owned());
    assert_eq!(told("/x").await, answer(404, "Invalid URL"));
    assert_eq!(told(&format!("/x/w:a/{PICTURE}")).await, answer(404, "Invalid URL"));
    assert_eq!(told(&format!("/x/{PICTURE}@heic")).await, answer(422, "Invalid URL"));
    assert_eq!(told(&format!("/x/{PICTURE}@svg")).await, answer(422, "Invalid URL"));
    assert_eq!(told("/x/plain/local:///none.jpg").await, answer(404, "Source image is unreachable"));
    assert_eq!(told("/x/plain/local:///folder").await, answer(404, "Source image is unreachable"));
    assert_eq!(told("/x/plain/ftp://a/b").await, answer(404, "Source image is unreachable"));
    assert_eq!(told("/x/plain/local:///../../etc/passwd").await, answer(404, "Source image is unreachable"));
    assert_eq!(told("/x/plain/local:///text.txt").await, answer(422, "Invalid source image"));
    assert_eq!(told("/x/plain/local:///broken.png").await, answer(500, "Internal error"));
    assert_eq!(told("/x/plain/local:///drawing.svg@png").await, answer(422, "Invalid URL"));
    let limits = Limits { pixels: 100, ..Limits::default() };
    let tight = started(Config { limits, development_errors: true, ..config(folder.path()) }).await;
    let words = "the source has 80000 pixels, 100 are allowed";
    assert_eq!(get(&tight, &format!("/x/{PICTURE}")).await.text(), (422, words));
    let limits = Limits { bytes: 100, ..Limits::default() };
    let tight = started(Config { limits, ..config(folder.path()) }).await;
    assert_eq!(get(&tight, &format!("/x/{PICTURE}")).await.text(), (422, "Invalid source image"));
    let hasty = started(Config { write_timeout: Duration::ZERO, ..config(folder.path()) }).await;
    assert_eq!(get(&hasty, &format!("/x/{PICTURE}")).await.text(), (503, "Timeout"));
}

#[tokio::test]
async fn keys_and_secrets_are_asked_for() {
    let folder = folder();
    let signing = Signing { pairs: vec![(b"key".to_vec(), b"salt".to_vec())], size: 32 };
    let path = format!("/w:10/{PICTURE}");
    let signature = signing.sign(&path).unwrap();
    let service = started(Config { signing, secret: Some("s".to_owned()), ..config(folder.path()) }).await;
    let bearer = [("authorization", "Bearer s")];
    assert_eq!(ask(&service, Method::GET, &format!("/{signature}{path}"), &bearer).await.picture().0, 200);
    assert_eq!(
        ask(&service, Method::GET, &format!("/{signature}/w:11/{PICTURE}"), &bearer).await.text(),
        (403, "Forbidden")
    );
    assert_eq!(get(&service, &format!("/{signature}{path}")).await.text(), (403, "Forbidden"));
}

#[tokio::test]
async fn only_allowed_sources_are_asked() {
    let folder = folder();
    let allowed_sources = vec![Pattern::new("local:///*.svg")];
    let service = started(Config { allowed_sources, ..config(folder.path()) }).await;
    assert_eq!(get(&service, "/x/plain/local:///drawing.svg").await.status, 200);
    assert_eq!(get(&service, &format!("/x/{PICTURE}")).await.text(), (404, "Invalid source"));
}

#[tokio::test]
async fn drawings_pass_without_their_scripts() {
    let folder = folder();
    let detection = Detection { webp: true, ..Detection::default() };
    let service = started(Config { detection, ..config(folder.path()) }).await;
    let got =
        ask(&service, Method::GET, "/x/w:5/plain/local:///drawing.svg", &[("accept", "image/webp")]).await;
    assert_eq!(got.text(), (200, "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>"));
    assert_eq!((got.header("content-type"), got.header("vary")), ("image/svg+xml", "Accept"));
}

#[tokio::test]
async fn types_are_negotiated_or_left_alone() {
    let folder = folder();
    let detection = Detection { webp: true, ..Detection::default() };
    let service = started(Config { detection, ..config(folder.path()) }).await;
    let webp = [("accept", "image/avif,image/webp,*/*")];
    let got = ask(&service, Method::GET, &format!("/x/w:50/{PICTURE}"), &webp).await;
    assert_eq!(got.picture(), (200, Format::Webp, 50, 25));
    let got = ask(&service, Method::GET, &format!("/x/w:50/f:gif/{PICTURE}"), &webp).await;
    assert_eq!(got.picture(), (200, Format::Gif, 50, 25));
    let got = ask(&service, Method::GET, &format!("/x/w:50/skp:bmp/{PICTURE}"), &webp).await;
    assert_eq!(got.picture(), (200, Format::Bmp, 400, 200));
}

#[tokio::test]
async fn a_copy_that_is_good_is_not_sent_again() {
    let folder = folder();
    for round in 0..2 {
        let service = started(Config { etag: true, ..config(folder.path()) }).await;
        let path = format!("/x/w:50/{PICTURE}");
        let first = get(&service, &path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.contains("/R"), "{tag} {round}");
        let again = ask(&service, Method::GET, &path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
        let other =
            ask(&service, Method::GET, &format!("/x/w:51/{PICTURE}"), &[("if-none-match", &tag)]).await;
        assert_eq!(other.status, 200);
        std::fs::write(folder.path().join("a b.bmp"), bitmap(300, 200)).unwrap();
        let changed = ask(&service, Method::GET, &path, &[("if-none-match", &tag)]).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), tag);
        std::fs::write(folder.path().join("a b.bmp"), bitmap(400, 200)).unwrap();
    }
}

#[tokio::test]
async fn raw_passes_the_source_on() {
    let folder = folder();
    let service = started(config(folder.path())).await;
    let got = get(&service, "/x/raw:1/plain/local:///text.txt").await;
    assert_eq!(got.text(), (200, "no picture"));
    assert_eq!(got.header("content-disposition"), "inline; filename=\"text.txt\"");
    let part =
        ask(&service, Method::GET, "/x/raw:1/plain/local:///text.txt", &[("range", "bytes=3-6")]).await;
    assert_eq!((part.text(), part.header("content-range")), ((206, "pict"), "bytes 3-6/10"));
    assert_eq!(get(&service, "/x/raw:1/plain/local:///none").await.status, 404);
}

#[tokio::test]
async fn a_fallback_stands_in() {
    let folder = folder();
    let fallback = Fallback { image: Given::Path(folder.path().join("a b.bmp")), status: 202, ttl: 7 };
    let service = started(Config { fallback: Some(fallback), ..config(folder.path()) }).await;
    let got = get(&service, "/x/w:40/plain/local:///none.jpg").await;
    assert_eq!(got.picture(), (202, Format::Jpeg, 40, 20));
    assert_eq!(got.header("cache-control"), "max-age=7, public");
}

#[tokio::test]
async fn presets_and_marks_are_used() {
    let folder = folder();
    let presets = Presets::parse(["default=w:40", "marked=wm:1:ce:0:0:0.5"]).unwrap();
    let watermark = Some((Given::Path(folder.path().join("a b.bmp")), 1.0));
    let service = started(Config { presets, watermark, debug_headers: true, ..config(folder.path()) }).await;
    let got = get(&service, &format!("/x/pr:marked/{PICTURE}")).await;
    assert_eq!(got.picture(), (200, Format::Jpeg, 40, 20));
    let sizes = ["x-origin-width", "x-origin-height", "x-result-width", "x-result-height"]
        .map(|name| got.header(name));
    assert_eq!(sizes, ["400", "200", "40", "20"]);
}

/// A server that answers everything with the same picture.
async fn web() -> std::net::SocketAddr {
    let router = axum::Router::new().route(
        "/moved",
        axum::routing::get(|| async { axum::response::Redirect::temporary("/picture.bmp") }),
    );
    let router = router.route(
        "/picture.bmp",
        axum::routing::get(|| async {
            ([("cache-control", "max-age=5"), ("etag", "\"v1\"")], bitmap(30, 20))
        }),
    );
    let router = router.route("/broken", axum::routing::get(|| async { StatusCode::BAD_GATEWAY }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn sources_on_the_web_are_asked_where_allowed() {
    let address = web().await;
    let service = started(Config::default()).await;
    let refused = get(&service, &format!("/x/plain/http://{address}/picture.bmp")).await;
    assert_eq!(refused.text(), (500, "Source image is unreachable"));
    let named = get(&service, &format!("/x/plain/http://localhost:{}/picture.bmp", address.port())).await;
    assert_eq!(named.text(), (500, "Source image is unreachable"));

    let addresses = Addresses::ANY;
    let open = Config {
        addresses,
        cache_control_passthrough: true,
        canonical_header: true,
        etag: true,
        ..Config::default()
    };
    let service = started(open).await;
    let got = get(&service, &format!("/x/plain/http://{address}/moved")).await;
    assert_eq!(got.picture(), (200, Format::Jpeg, 30, 20));
    assert_eq!(got.header("cache-control"), "max-age=5");
    assert_eq!(got.header("link"), format!("<http://{address}/moved>; rel=\"canonical\""));
    let again = [("if-none-match", got.header("etag"))];
    assert_eq!(
        ask(&service, Method::GET, &format!("/x/plain/http://{address}/moved"), &again).await.status,
        304
    );
    assert_eq!(
        get(&service, &format!("/x/plain/http://{address}/none")).await.text(),
        (404, "Source image is unreachable")
    );
    assert_eq!(
        get(&service, &format!("/x/plain/http://{address}/broken")).await.text(),
        (500, "Source image is unreachable")
    );
}

#[tokio::test]
async fn more_than_may_wait_are_refused() {
    let folder = folder();
    let service = started(Config { queue: 1, concurrency: 1, ..config(folder.path()) }).await;
    let paths: Vec<String> =
        (0..12).map(|width| format!("/x/w:{}/bl:8/f:png/{PICTURE}", width + 300)).collect();
    let mut asked = tokio::task::JoinSet::new();
    for path in paths {
        let service = service.clone();
        asked.spawn(async move { get(&service, &path).await.status });
    }
    let statuses = asked.join_all().await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert!(count(200) >= 2 && count(429) >= 1 && count(200) + count(429) == 12, "{statuses:?}");
}
