use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parsed(frame: &Frame) -> Value {
    serde_json::from_slice(frame.payload()).unwrap()
}

#[test]
fn versions_are_read_as_the_original_reads_them() {
    assert_eq!(Version::of(None), Some(Version::V1));
    for (vsn, version) in [
        ("1.0.0", Some(Version::V1)),
        ("1.0.9", Some(Version::V1)),
        ("2.0.0", Some(Version::V2)),
        ("2.0.0+build", Some(Version::V2)),
        ("1.1.0", None),
        ("2", None),
        ("2.0", None),
        ("2.0.01", None),
        ("", None),
    ] {
        assert_eq!(Version::of(Some(vsn)), version, "{vsn}");
    }
}

#[test]
fn frames_of_every_length_have_the_right_head() {
    for (len, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let frame = Frame::text(&[&"x".repeat(len)]);
        assert_eq!((frame.len(), frame.payload().len()), (len + head, len));
    }
}

proptest! {
    #[test]
    fn strings_are_quoted_as_json(text in any::<String>()) {
        prop_assert_eq!(quoted(&text), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn what_is_rendered_is_json_that_says_so(topic in any::<String>(), event in any::<String>(), reference in any::<String>()) {
        let own = Ref::string(&reference);
        let v2 = parsed(&push(Version::V2, &own, &topic, &event, "{\"a\":1}"));
        prop_assert_eq!(v2, json!([reference, null, topic, event, { "a": 1 }]));
        let v1 = parsed(&reply(Version::V1, &Ref::NULL, &own, &topic, Status::Error, "{}"));
        prop_assert_eq!(v1, json!({
            "topic": topic, "event": "phx_reply", "ref": reference,
            "payload": { "status": "error", "response": {} }
        }));
    }

    #[test]
    fn what_a_client_writes_is_read(
        topic in any::<String>(),
        event in any::<String>(),
        reference in proptest::option::of(any::<String>()),
        version in prop::sample::select(vec![Version::V1, Version::V2]),
    ) {
        let payload = json!({ "a": [1, null] });
        let text = match version {
            Version::V1 => json!({ "topic": topic, "event": event, "payload": payload, "ref": reference }),
            Version::V2 => json!([null, reference, topic, event, payload]),
        }
        .to_string();
        let inbound = Inbound::from_text(version, &text).unwrap();
        prop_assert_eq!(&*inbound.topic, &topic);
        prop_assert_eq!(&*inbound.event, &event);
        prop_assert_eq!(inbound.reference.as_json(), serde_json::to_string(&reference).unwrap());
        prop_assert!(inbound.join_ref.is_null());
    }

    #[test]
    fn binary_broadcasts_are_read_as_they_were_written(
        names in prop::array::uniform5("[a-z:é]{1,40}"),
        json in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = vec![3];
        bytes.extend(names.iter().map(|name| name.len() as u8));
        bytes.push(u8::from(json));
        names.iter().for_each(|name| bytes.extend(name.as_bytes()));
        bytes.extend(&payload);
        let inbound = Inbound::from_binary(Version::V2, bytes.into()).unwrap();
        prop_assert_eq!(inbound.join_ref, Ref::string(&names[0]));
        prop_assert_eq!(inbound.reference, Ref::string(&names[1]));
        prop_assert_eq!(&*inbound.topic, &names[2]);
        let Payload::User(user) = inbound.payload else { panic!() };
        prop_assert_eq!(&*user.event, &names[3]);
        prop_assert_eq!(&*user.metadata, &names[4]);
        prop_assert_eq!(user.encoding, if json { Encoding::Json } else { Encoding::Opaque });
        prop_assert_eq!(&user.payload[..], &payload[..]);
    }

    #[test]
    fn no_message_makes_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in any::<String>()) {
        let _ = Inbound::from_binary(Version::V2, bytes.into());
        let _ = Inbound::from_text(Version::V1, &text);
        let _ = Inbound::from_text(Version::V2, &text);
    }
}
