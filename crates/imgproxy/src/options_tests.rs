#![allow(clippy::unwrap_used)]
use imaging::Accepts;

use super::*;
use crate::config::Detection;

fn parsed_with(config: &Config, path: &str) -> Result<Request, (u16, &'static str)> {
    let told = |error: Error| (error.status.as_u16(), error.public);
    Request::parse(config, path, &HeaderMap::new()).map_err(told)
}

fn parsed(options: &str) -> Transform {
    parsed_with(&Config::default(), &format!("{options}/plain/http://a/b.jpg")).unwrap().transform
}

fn refused(options: &str) -> bool {
    parsed_with(&Config::default(), &format!("{options}/plain/http://a/b.jpg")) == Err((404, "Invalid URL"))
}

fn usual() -> Transform {
    Transform::default()
}

fn at(place: Place, x: f64, y: f64) -> Gravity {
    Gravity { place, x, y }
}

#[test]
fn each_option_sets_its_part() {
    assert_eq!(parsed("/width:100/h:200"), Transform { width: 100, height: 200, ..usual() });
    assert_eq!(parsed("/mw:1/min-height:2"), Transform { min_width: 1, min_height: 2, ..usual() });
    assert_eq!(
        parsed("/rt:fill-down/el:1"),
        Transform { resize: Resize::FillDown, enlarge: true, ..usual() }
    );
    let resized = Transform {
        resize: Resize::Fill,
        width: 100,
        height: 200,
        enlarge: true,
        extend: Some(at(Place::North, 1.0, 2.0)),
        ..usual()
    };
    assert_eq!(parsed("/rs:fill:100:200:1:1:no:1:2"), resized);
    assert_eq!(parsed("/rs:force::50"), Transform { resize: Resize::Force, height: 50, ..usual() });
    assert_eq!(parsed("/s:10"), Transform { width: 10, ..usual() });
    assert_eq!(parsed("/z:2/dpr:1.5"), Transform { zoom: (2.0, 2.0), dpr: 1.5, ..usual() });
    assert_eq!(parsed("/z:2:3"), Transform { zoom: (2.0, 3.0), ..usual() });
    assert_eq!(parsed("/g:soea:-1:2.5"), Transform { gravity: at(Place::SouthEast, -1.0, 2.5), ..usual() });
    assert_eq!(parsed("/g:fp:0.5:1"), Transform { gravity: at(Place::FocusPoint, 0.5, 1.0), ..usual() });
    let crop = imaging::Crop { width: 0.5, height: 30.0, gravity: Some(at(Place::West, 0.0, 0.0)) };
    assert_eq!(parsed("/c:0.5:30:we"), Transform { crop, ..usual() });
    let trim = Trim {
        threshold: 5.0,
        colour: Some([255, 0, 17]),
        equal_horizontally: true,
        equal_vertically: false,
    };
    assert_eq!(parsed("/t:5:f01:1:0"), Transform { trim: Some(trim), ..usual() });
    assert_eq!(parsed("/pd:1:2::4").padding, Padding { top: 1, right: 2, bottom: 1, left: 4 });
    assert_eq!(parsed("/ar:0/rot:-90"), Transform { auto_rotate: false, rotate: 270, ..usual() });
    assert_eq!(parsed("/bg:ff00aa").background, Some([255, 0, 170]));
    assert_eq!(parsed("/bg:1:2:3/bg:").background, None);
    assert_eq!(parsed("/bl:1.5/sh:2/pix:3"), Transform { blur: 1.5, sharpen: 2.0, pixelate: 3, ..usual() });
    let watermark =
        Watermark { opacity: 0.5, replicate: false, gravity: at(Place::North, -5.0, 7.0), scale: 0.2 };
    assert_eq!(parsed("/wm:0.5:no:-5:7:0.2").watermark, Some(watermark));
    assert_eq!(parsed("/wm:0").watermark, None);
    let kept = Transform { strip_metadata: false, keep_copyright: false, strip_profile: false, ..usual() };
    assert_eq!(parsed("/sm:0/kcr:f/scp:false"), kept);
    assert_eq!(parsed("/q:55/mb:1000").quality.of(Format::Avif), 55);
    assert_eq!(parsed("/fq:png:10:avif:20").quality.of(Format::Avif), 20);
    assert_eq!(parsed("/f:webp").format, Some(Format::Webp));
    assert_eq!(parsed("/exp:0/cb:x/eth:1"), usual());
    assert_eq!(parsed("/exp:32503680000"), usual());
    assert_eq!(parsed("/w:1/w:2").width, 2);
}

#[test]
fn what_is_wrong_is_not_found() {
    for options in [
        "/w:-1",
        "/w:a",
        "/w:1:2",
        "/w:",
        "/rs:huge",
        "/rs:fit:1:2:3:4:5:6:7:8",
        "/z:0",
        "/dpr:0",
        "/dpr:nan",
        "/g:xx",
        "/g:sm:1",
        "/g:fp:1",
        "/g:fp:2:0",
        "/ex:1:sm",
        "/c:-1",
        "/c:1:2:3:4:5:6",
        "/t:-1",
        "/t:1:zzz",
        "/pd:1:2:3:4:5",
        "/rot:45",
        "/bg:12",
        "/bg:1:2",
        "/bg:1:2:300",
        "/bl:-1",
        "/wm:2",
        "/wm:1:sm",
        "/wm:1:xx",
        "/q:101",
        "/fq:png",
        "/fq:png:101",
        "/f:doc",
        "/skp:doc",
        "/exp:1",
        "/exp:x",
        "/pr:none",
        "/adjust:1",
        "/autoquality:1",
        "/max_src_resolution:1",
        "/nonsense:1",
    ] {
        assert!(refused(options), "{options}");
    }
    let config = Config::default();
    for path in ["/fit/100/100/ce/0/plain/http://a", "/w:1", "/", "", "/w:1/plain/a@b@c"] {
        assert_eq!(parsed_with(&config, path), Err((404, "Invalid URL")), "{path}");
    }
}

#[test]
fn the_source_may_name_the_type() {
    let config = Config::default();
    let request = parsed_with(&config, "/f:webp/plain/http://a/b%3Fc.jpg@png").unwrap();
    assert_eq!((request.source.as_str(), request.transform.format), ("http://a/b?c.jpg", Some(Format::Png)));
    let request = parsed_with(&config, "/fn:name/att:1/raw:1/skp:png:gif/aHR0cDovL2EvYi5qcGc").unwrap();
    assert_eq!((request.filename.as_str(), request.attachment, request.raw), ("name", true, true));
    assert_eq!(request.skip, [Format::Png, Format::Gif]);
}

#[test]
fn presets_stand_for_options() {
    let presets =
        Presets::parse(["default=q:70", " thumb = rs:fill:50:50/pr:thumb:other", "other=bl:2", "# none", ""])
            .unwrap();
    let config = Config { presets, ..Config::default() };
    assert_eq!(Presets::check(&config), Ok(()));
    let transform = parsed_with(&config, "/pr:thumb/w:60/plain/http://a").unwrap().transform;
    assert_eq!(
        (transform.width, transform.height, transform.blur, transform.quality.explicit),
        (60, 50, 2.0, Some(70))
    );
    let only = Config { only_presets: true, ..config };
    assert_eq!(parsed_with(&only, "/thumb:other/plain/http://a").unwrap().transform.height, 50);
    assert!(parsed_with(&only, "/w:60/plain/http://a").is_err());
}

#[test]
fn wrong_presets_are_told() {
    let parse = |text| Presets::parse([text]).unwrap_err();
    assert_eq!(parse("a"), "Invalid preset string: a");
    assert_eq!(parse("a=w:1=b"), "Invalid preset string: a=w:1=b");
    assert_eq!(parse("=w:1"), "Empty preset name: =w:1");
    assert_eq!(parse("a= "), "Empty preset value: a=");
    assert_eq!(parse("a=w:1/b"), "Invalid preset value: a=w:1/b");
    let config = Config { presets: Presets::parse(["a=w:x"]).unwrap(), ..Config::default() };
    assert_eq!(Presets::check(&config), Err("Error in preset `a`: Invalid number: x".to_owned()));
}

#[test]
fn a_substring_of_accept_decides() {
    let accepts = |detection, accept: &str| {
        let config = Config { detection, ..Config::default() };
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        Request::parse(&config, "/plain/http://a", &headers).unwrap().transform.accepts
    };
    let webp = Detection { webp: true, ..Detection::default() };
    assert_eq!(
        accepts(webp, "image/avif,image/webp;q=0"),
        Accepts { prefer_webp: true, ..Accepts::default() }
    );
    assert_eq!(accepts(webp, "image/*,*/*"), Accepts::default());
    let enforced = Detection { enforce_avif: true, ..Detection::default() };
    let avif = Accepts { prefer_avif: true, enforce_avif: true, ..Accepts::default() };
    assert_eq!(accepts(enforced, "image/avif,image/webp"), avif);
}

#[test]
fn hints_set_width_and_ratio() {
    let config = Config { client_hints: true, ..Config::default() };
    let mut headers = HeaderMap::new();
    headers.insert("dpr", "2".parse().unwrap());
    headers.insert("width", "101".parse().unwrap());
    let transform = Request::parse(&config, "/plain/http://a", &headers).unwrap().transform;
    assert_eq!((transform.width, transform.dpr), (51, 2.0));
}

proptest::proptest! {
    #[test]
    fn no_options_make_it_panic(options in "(/[a-z_-]{1,9}(:[a-z0-9.-]{0,6}){0,8}){0,4}") {
        let _ = parsed_with(&Config::default(), &format!("{options}/plain/http://a"));
    }
}
