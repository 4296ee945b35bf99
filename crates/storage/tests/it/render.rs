use futures_util::future::join_all;
use imaging::{Format, Header, Limits};
use serde_json::json;
use storage::Config;

use crate::service::{Answer, Service, config, refused};

/// A bitmap's header, and as many red pixels as wanted.
fn bitmap(width: u32, height: u32, pixels: usize) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    file.extend_from_slice(&(54 + width.wrapping_mul(height).wrapping_mul(3)).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&54u32.to_le_bytes());
    file.extend_from_slice(&40u32.to_le_bytes());
    file.extend_from_slice(&width.to_le_bytes());
    file.extend_from_slice(&height.to_le_bytes());
    file.extend_from_slice(&[1, 0, 24, 0]);
    file.extend_from_slice(&[0; 24]);
    file.extend_from_slice(&[20, 20, 220].repeat(pixels));
    file
}

async fn upload(service: &Service, path: &str, kind: &str, body: impl Into<Vec<u8>>) {
    let put = service.request("PUT", &format!("/object/{path}")).admin(service);
    let answer = put.header("content-type", kind).body(body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// One with pictures in the public bucket `p`: `a.bmp`, 400 by 200.
async fn service(change: impl FnOnce(&mut Config)) -> Service {
    let mut config = config();
    config.images.enabled = true;
    change(&mut config);
    let service = Service::start_with(config).await;
    service.bucket("p", json!({"public": true})).await;
    upload(&service, "p/a.bmp", "image/bmp", bitmap(400, 200, 400 * 200)).await;
    service
}

const A: &str = "/render/image/public/p/a.bmp";

fn shape(answer: &Answer) -> (u16, Format, u32, u32) {
    let header = Header::read(&answer.body, &Limits::default()).unwrap();
    assert_eq!(answer.header("content-type"), header.format.mime());
    (answer.status, header.format, header.width, header.height)
}

#[tokio::test]
async fn a_picture_comes_in_the_size_and_type_asked_for() {
    let service = service(|_| {}).await;
    let plain = service.get(&format!("{A}?width=100")).send().await;
    assert_eq!(shape(&plain), (200, Format::Jpeg, 100, 50));
    assert_eq!(plain.header("x-transformations"), "width:100,resizing_type:fill");
    assert_eq!((plain.header("vary"), plain.header("cache-control")), ("Accept", "no-cache"));
    let sized = async |query: &str| shape(&service.get(&format!("{A}?{query}")).send().await);
    assert_eq!(sized("width=100&height=100").await, (200, Format::Jpeg, 100, 100));
    assert_eq!(sized("width=100&height=100&resize=contain").await, (200, Format::Jpeg, 100, 50));
    assert_eq!(sized("width=100&height=100&resize=fill").await, (200, Format::Jpeg, 100, 100));
    assert_eq!(sized("width=2000").await, (200, Format::Jpeg, 400, 200));
    assert_eq!(sized("").await, (200, Format::Jpeg, 400, 200));
    assert_eq!(sized("width=40&format=avif").await, (200, Format::Avif, 40, 20));
    let webp = service.get(&format!("{A}?width=100")).header("accept", "image/webp,*/*").send().await;
    assert_eq!(shape(&webp), (200, Format::Webp, 100, 50));
    assert_ne!(webp.header("etag"), plain.header("etag"));
    let head = service.request("HEAD", &format!("{A}?width=100")).send().await;
    assert_eq!((head.status, head.header("content-length")), (200, plain.header("content-length")));
    let known = service.get(&format!("{A}?width=100")).header("if-none-match", plain.header("etag"));
    assert_eq!(known.send().await.status, 304);
}

#[tokio::test]
async fn what_is_wanted_by_many_is_made_once_and_kept() {
    let service = service(|_| {}).await;
    let ask = || service.get(&format!("{A}?width=30&height=20")).send();
    let answers = join_all((0..8).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!(service.blobs(2).await, 2);
    // What is found in the store is believed, which shows that it is looked for there.
    let png = service.get(&format!("{A}?width=8&format=avif")).send().await.body;
    assert_eq!(service.blobs(3).await, 3);
    let kept = answers[0].body.clone();
    let replaced = replace(&service.folder.path().join("blobs"), &kept, &png);
    assert_eq!((replaced, ask().await.body == png), (1, true));
    // A picture of another version of the object is another picture.
    upload(&service, "p/a.bmp", "image/bmp", bitmap(300, 200, 300 * 200)).await;
    assert_eq!(shape(&ask().await), (200, Format::Jpeg, 30, 20));
}

/// Puts other bytes into the files that hold these.
fn replace(folder: &std::path::Path, old: &[u8], new: &[u8]) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => replace(&path, old, new),
            path if std::fs::read(&path).unwrap() == old => {
                std::fs::write(&path, new).unwrap();
                1
            }
            _ => 0,
        })
        .sum()
}

#[tokio::test]
async fn no_more_is_made_than_is_allowed() {
    let service = service(|config| config.images.max_per_second = Some(1)).await;
    let invalid = refused(400, "422", "InvalidRequest", "Invalid source image");
    // A header that promises too much is not followed by what it promises.
    upload(&service, "p/bomb.bmp", "image/bmp", bitmap(20_000, 20_000, 1)).await;
    let bomb = service.get("/render/image/public/p/bomb.bmp?width=9").send().await;
    assert_eq!(bomb.refusal(), invalid);
    upload(&service, "p/text", "image/png", "no picture").await;
    assert_eq!(service.get("/render/image/public/p/text").send().await.refusal(), invalid);
    // Four at once are one a second; the others come again later.
    let from = async |address: &str| {
        let answer = service.get(&format!("{A}?width=9")).header("x-real-ip", address).send().await;
        (answer.status, answer.text().contains("Rate limit exceeded, retry in 4 seconds"))
    };
    for _ in 0..4 {
        assert_eq!(from("192.0.2.1").await, (200, false));
    }
    assert_eq!(from("192.0.2.1").await, (429, true));
    assert_eq!(from("192.0.2.2").await, (200, false));
}

#[tokio::test]
async fn a_drawing_passes_without_what_would_run() {
    let service = service(|_| {}).await;
    let drawing = "<svg xmlns='http://www.w3.org/2000/svg' onload='x()'><script>x()</script><g/></svg>";
    upload(&service, "p/a.svg", "image/svg+xml", drawing).await;
    let answer = service.get("/render/image/public/p/a.svg?width=10").send().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/svg+xml"));
    assert_eq!(answer.header("content-security-policy"), "script-src 'none'; sandbox");
    assert!(!answer.text().contains("x()"), "{}", answer.text());
}

#[tokio::test]
async fn there_are_no_such_routes_where_they_are_off() {
    let service = service(|config| config.images.enabled = false).await;
    assert_eq!(service.get(A).send().await.status, 404);
}
