//! Exports that are whole, and those that do not fit.

use proptest::prelude::*;
use ring::digest::digest;

use super::*;

fn account(messages: u64, bytes: u64) -> Part {
    Part::Account(ExportAccount {
        messages,
        bytes,
        highest_modseq: 9,
        ..ExportAccount::default()
    })
}

fn inbox() -> Part {
    Part::Mailbox(ExportMailbox::default())
}

fn message(uid: u32, body: &[u8]) -> Part {
    Part::Message(ExportMessage {
        uid,
        prefix: Bytes::from_static(b"pp"),
        body_size: body.len() as u64,
        body_sha256: Bytes::copy_from_slice(digest(&SHA256, body).as_ref()),
        ..ExportMessage::default()
    })
}

fn with_uidl(uidl: &str) -> Part {
    Part::Message(ExportMessage {
        uid: 1,
        uidl: uidl.to_owned(),
        ..ExportMessage::default()
    })
}

fn body(body: &'static [u8]) -> Part {
    Part::Body(Bytes::from_static(body))
}

fn end(messages: u64, bytes: u64) -> Part {
    Part::End(ExportEnd { messages, bytes })
}

fn parts() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (0_u64..3, 0_u64..9).prop_map(|(messages, bytes)| account(messages, bytes)),
        Just(inbox()),
        (0_u32..4, "[a-c]{0,3}").prop_map(|(uid, text)| message(uid, text.as_bytes())),
        "[a-c]{0,3}".prop_map(|text| Part::Body(text.into())),
        (0_usize..17).prop_map(|length| Part::Deliveries(ExportDeliveries {
            deliveries: vec![wire::rpc::RememberedDelivery {
                delivery_id: vec![1; length].into(),
                ..Default::default()
            }],
        })),
        (0_u64..3, 0_u64..9).prop_map(|(messages, bytes)| end(messages, bytes)),
    ];
    prop::collection::vec(part, 0..9).prop_map(|parts| {
        let parts = parts
            .into_iter()
            .map(|part| ExportPart { part: Some(part) });
        parts
            .flat_map(|part| part.encode_length_delimited_to_vec())
            .collect()
    })
}

proptest! {
    #[test]
    fn any_octets(data: Vec<u8>) {
        fuzz(&data);
    }

    #[test]
    fn near_exports(export in parts(), position: prop::sample::Index, octet: Option<u8>) {
        let mut export = export;
        if let (Some(octet), false) = (octet, export.is_empty()) {
            let at = position.index(export.len());
            export[at] = octet;
        }
        fuzz(&export);
    }
}

fn assemble(parts: Vec<Part>) -> Result<Vec<Piece>, Misfit> {
    let mut assembler = Assembler::default();
    let mut pieces = Vec::new();
    for part in parts {
        pieces.extend(assembler.take(ExportPart { part: Some(part) })?);
    }
    match assembler.ended {
        true => Ok(pieces),
        false => Err(Misfit("unfinished")),
    }
}

#[test]
fn a_whole_account() {
    let pieces = assemble(vec![
        account(2, 9),
        inbox(),
        message(3, b"hello"),
        body(b"hel"),
        body(b"lo"),
        message(5, b""),
        end(2, 9),
    ])
    .unwrap();
    let [
        _,
        _,
        Piece::Message(first),
        Piece::Message(second),
        Piece::End(end),
    ] = &pieces[..]
    else {
        panic!("{pieces:?}");
    };
    assert_eq!(
        (first.imported.uid, first.octets(), first.body.len()),
        (3, 7, 2)
    );
    assert_eq!((second.imported.uid, second.octets()), (5, 2));
    assert_eq!(end.highest_modseq, 9);
}

#[test]
fn what_does_not_fit_is_refused() {
    let whole = || message(3, b"hello");
    for (parts, expected) in [
        (vec![inbox()], "the account does not come first"),
        (vec![account(0, 0), account(0, 0)], "a second account"),
        (
            vec![account(0, 0), inbox(), inbox()],
            "mailboxes do not ascend",
        ),
        (
            vec![account(1, 7), whole()],
            "UIDs do not ascend in the mailbox last named",
        ),
        (
            vec![account(2, 14), inbox(), whole(), body(b"hello"), whole()],
            "UIDs do not ascend in the mailbox last named",
        ),
        (
            vec![account(1, 7), inbox(), whole(), body(b"hell"), end(1, 7)],
            "a body is cut short",
        ),
        (
            vec![account(1, 7), inbox(), whole(), body(b"hello!")],
            "a body is longer than its head says",
        ),
        (
            vec![account(1, 7), inbox(), whole(), body(b"jello")],
            "a body has another SHA-256 than at the source",
        ),
        (
            vec![account(1, 7), inbox(), body(b"hello")],
            "a body of no message",
        ),
        (
            vec![account(1, 7), inbox(), with_uidl("1\r\n+OK")],
            "a unique-id is not of 70 printable octets at most",
        ),
        (
            vec![account(1, 7), inbox(), with_uidl(&"u".repeat(71))],
            "a unique-id is not of 70 printable octets at most",
        ),
        (
            vec![account(2, 7), inbox(), whole(), body(b"hello"), end(1, 7)],
            "counts of messages or octets differ",
        ),
        (
            vec![account(0, 0), end(0, 0), end(0, 0)],
            "a part after the end",
        ),
    ] {
        assert_eq!(assemble(parts).unwrap_err().0, expected);
    }
}
