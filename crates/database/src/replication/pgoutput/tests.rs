#![allow(clippy::unwrap_used)]

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn put_tuple(out: &mut BytesMut, tuple: &Tuple) {
    out.put_u16(tuple.0.len() as u16);
    for value in &tuple.0 {
        match value {
            Datum::Null => out.put_u8(b'n'),
            Datum::Unchanged => out.put_u8(b'u'),
            Datum::Text(bytes) | Datum::Binary(bytes) => {
                out.put_u8(if matches!(value, Datum::Text(_)) { b't' } else { b'b' });
                out.put_u32(bytes.len() as u32);
                out.put_slice(bytes);
            }
        }
    }
}

fn put_old(out: &mut BytesMut, old: &OldTuple) {
    match old {
        OldTuple::Key(tuple) => {
            out.put_u8(b'K');
            put_tuple(out, tuple);
        }
        OldTuple::Full(tuple) => {
            out.put_u8(b'O');
            put_tuple(out, tuple);
        }
    }
}

/// The message as the server would write it, with a transaction id inside a streamed block.
fn encode(message: &Message, xid: Option<u32>) -> Bytes {
    let mut out = BytesMut::new();
    let tag = match message {
        Message::Begin { .. } => b'B',
        Message::Commit { .. } => b'C',
        Message::Origin { .. } => b'O',
        Message::Relation(_) => b'R',
        Message::Type { .. } => b'Y',
        Message::Insert { .. } => b'I',
        Message::Update { .. } => b'U',
        Message::Delete { .. } => b'D',
        Message::Truncate { .. } => b'T',
        Message::Logical { .. } => b'M',
        Message::StreamStart { .. } => b'S',
        Message::StreamStop => b'E',
        Message::StreamCommit { .. } => b'c',
        Message::StreamAbort { .. } => b'A',
    };
    out.put_u8(tag);
    if let Some(xid) = xid.filter(|_| b"MRYIUDT".contains(&tag)) {
        out.put_u32(xid);
    }
    match message {
        Message::Begin { final_lsn, committed, xid } => {
            out.put_u64(final_lsn.0);
            out.put_i64(*committed);
            out.put_u32(*xid);
        }
        Message::Commit { commit_lsn, end_lsn, committed } => {
            out.put_u8(0);
            out.put_u64(commit_lsn.0);
            out.put_u64(end_lsn.0);
            out.put_i64(*committed);
        }
        Message::Origin { lsn, name } => {
            out.put_u64(lsn.0);
            put_string(&mut out, name);
        }
        Message::Relation(relation) => {
            out.put_u32(relation.oid);
            put_string(&mut out, &relation.schema);
            put_string(&mut out, &relation.name);
            out.put_u8(match relation.identity {
                ReplicaIdentity::Default => b'd',
                ReplicaIdentity::Nothing => b'n',
                ReplicaIdentity::Full => b'f',
                ReplicaIdentity::Index => b'i',
            });
            out.put_u16(relation.columns.len() as u16);
            for column in &relation.columns {
                out.put_u8(u8::from(column.in_identity));
                put_string(&mut out, &column.name);
                out.put_u32(column.type_oid);
                out.put_i32(column.type_modifier);
            }
        }
        Message::Type { oid, schema, name } => {
            out.put_u32(*oid);
            put_string(&mut out, schema);
            put_string(&mut out, name);
        }
        Message::Insert { relation, new } => {
            out.put_u32(*relation);
            out.put_u8(b'N');
            put_tuple(&mut out, new);
        }
        Message::Update { relation, old, new } => {
            out.put_u32(*relation);
            if let Some(old) = old {
                put_old(&mut out, old);
            }
            out.put_u8(b'N');
            put_tuple(&mut out, new);
        }
        Message::Delete { relation, old } => {
            out.put_u32(*relation);
            put_old(&mut out, old);
        }
        Message::Truncate { relations, cascade, restart_identity } => {
            out.put_u32(relations.len() as u32);
            out.put_u8(u8::from(*cascade) | u8::from(*restart_identity) << 1);
            relations.iter().for_each(|oid| out.put_u32(*oid));
        }
        Message::Logical { transactional, lsn, prefix, content } => {
            out.put_u8(u8::from(*transactional));
            out.put_u64(lsn.0);
            put_string(&mut out, prefix);
            out.put_u32(content.len() as u32);
            out.put_slice(content);
        }
        Message::StreamStart { xid, first } => {
            out.put_u32(*xid);
            out.put_u8(u8::from(*first));
        }
        Message::StreamStop => {}
        Message::StreamCommit { xid, end_lsn, committed } => {
            out.put_u32(*xid);
            out.put_u8(0);
            out.put_u64(0);
            out.put_u64(end_lsn.0);
            out.put_i64(*committed);
        }
        Message::StreamAbort { xid, subxid } => {
            out.put_u32(*xid);
            out.put_u32(*subxid);
        }
    }
    out.freeze()
}

fn name() -> impl Strategy<Value = Box<str>> {
    "[^\0]{1,12}".prop_map(Into::into)
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let value = prop_oneof![
        Just(Datum::Null),
        Just(Datum::Unchanged),
        bytes().prop_map(Datum::Text),
        bytes().prop_map(Datum::Binary),
    ];
    prop::collection::vec(value, 0..6).prop_map(Tuple)
}

fn old() -> impl Strategy<Value = OldTuple> {
    prop_oneof![tuple().prop_map(OldTuple::Key), tuple().prop_map(OldTuple::Full)]
}

fn lsn() -> impl Strategy<Value = Lsn> {
    any::<u64>().prop_map(Lsn)
}

fn relation() -> impl Strategy<Value = Relation> {
    let identity = prop_oneof![
        Just(ReplicaIdentity::Default),
        Just(ReplicaIdentity::Nothing),
        Just(ReplicaIdentity::Full),
        Just(ReplicaIdentity::Index),
    ];
    let column = (name(), any::<u32>(), any::<i32>(), any::<bool>()).prop_map(
        |(name, type_oid, type_modifier, in_identity)| RelationColumn {
            name,
            type_oid,
            type_modifier,
            in_identity,
        },
    );
    (any::<u32>(), name(), name(), identity, prop::collection::vec(column, 0..5)).prop_map(
        |(oid, schema, name, identity, columns)| Relation {
            oid,
            schema,
            name,
            identity,
            columns: columns.into(),
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (lsn(), any::<i64>(), any::<u32>()).prop_map(|(final_lsn, committed, xid)| Message::Begin {
            final_lsn,
            committed,
            xid
        }),
        (lsn(), lsn(), any::<i64>()).prop_map(|(commit_lsn, end_lsn, committed)| Message::Commit {
            commit_lsn,
            end_lsn,
            committed
        }),
        (lsn(), name()).prop_map(|(lsn, name)| Message::Origin { lsn, name }),
        relation().prop_map(Message::Relation),
        (any::<u32>(), name(), name()).prop_map(|(oid, schema, name)| Message::Type { oid, schema, name }),
        (any::<u32>(), tuple()).prop_map(|(relation, new)| Message::Insert { relation, new }),
        (any::<u32>(), prop::option::of(old()), tuple()).prop_map(|(relation, old, new)| Message::Update {
            relation,
            old,
            new
        }),
        (any::<u32>(), old()).prop_map(|(relation, old)| Message::Delete { relation, old }),
        (prop::collection::vec(any::<u32>(), 0..4), any::<bool>(), any::<bool>()).prop_map(
            |(relations, cascade, restart_identity)| Message::Truncate {
                relations: relations.into(),
                cascade,
                restart_identity
            }
        ),
        (any::<bool>(), lsn(), name(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(
            |(transactional, lsn, prefix, content)| Message::Logical {
                transactional,
                lsn,
                prefix,
                content: content.into()
            }
        ),
        (any::<u32>(), any::<bool>()).prop_map(|(xid, first)| Message::StreamStart { xid, first }),
        Just(Message::StreamStop),
        (any::<u32>(), lsn(), any::<i64>()).prop_map(|(xid, end_lsn, committed)| Message::StreamCommit {
            xid,
            end_lsn,
            committed
        }),
        (any::<u32>(), any::<u32>()).prop_map(|(xid, subxid)| Message::StreamAbort { xid, subxid }),
    ]
}

proptest! {
    #[test]
    fn what_the_server_writes_is_read(messages in prop::collection::vec(message(), 1..8)) {
        let mut decoder = Decoder::new();
        let mut xid = None;
        for message in messages {
            let read = decoder.decode(encode(&message, xid));
            match &message {
                Message::StreamStart { xid: streamed, .. } => xid = Some(*streamed),
                Message::StreamStop => xid = None,
                _ => {}
            }
            prop_assert_eq!(read, Ok(message));
        }
    }

    #[test]
    fn a_message_that_is_cut_is_refused(message in message(), cut in 1usize..40) {
        // A streamed rollback has two forms, one a part of the other.
        let whole = encode(&message, None);
        if cut < whole.len() {
            prop_assert!(Decoder::new().decode(whole.slice(..whole.len() - cut)).is_err());
        }
        let mut longer = BytesMut::from(&whole[..]);
        longer.put_u8(0);
        prop_assert!(Decoder::new().decode(longer.freeze()).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..4)) {
        let mut decoder = Decoder::new();
        for message in messages {
            let _ = decoder.decode(Bytes::from(message));
        }
    }
}

#[test]
fn counts_that_cannot_be_true_allocate_nothing() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(Bytes::from_static(b"T\xff\xff\xff\xff\0")), Err(DecodeError::Short));
    assert_eq!(decoder.decode(Bytes::from_static(b"I\0\0\0\x01N\xff\xff")), Err(DecodeError::Short));
    let text = Bytes::from_static(b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xffa");
    assert_eq!(decoder.decode(text), Err(DecodeError::Short));
}
