//! Every option, good and bad, applied to one picture: status, and type and size or the words of the refusal. The table
//! holds what imgproxy 3.8.0 answers, too.
#![allow(clippy::unwrap_used, missing_docs)]

mod pictures;

use axum::body::{Body, to_bytes};
use http::Request;
use imaging::{Header, Limits};
use imgproxy::{Config, Imgproxy, Presets};
use pictures::bitmap;
use tower::ServiceExt as _;

#[tokio::test]
async fn every_option_does_what_the_original_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wide.bmp"), bitmap(400, 200)).unwrap();
    let presets = Presets::parse(["thumb=rs:fill:120:90/q:70", "blurry=bl:3"]).unwrap();
    let config = Config { local_root: Some(folder.path().to_owned()), presets, ..Config::default() };
    let service = Imgproxy::start(config).await.unwrap();
    let mut wrong = Vec::new();
    for line in include_str!("options.txt").lines() {
        let (option, wanted) = line.split_once(' ').unwrap();
        let request = Request::get(format!("/x/{option}/plain/local:///wide.bmp"));
        let response = service.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10 << 20).await.unwrap();
        let found = match Header::read(&body, &Limits::default()) {
            Ok(header) => format!("{status} {} {}x{}", header.format, header.width, header.height),
            Err(_) => format!("{status} {}", String::from_utf8_lossy(&body)),
        };
        if found != wanted {
            wrong.push(format!("{option}: {found}, not {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
