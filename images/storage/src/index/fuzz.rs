//! Any octets as keys and rows.

use prost::Message as _;

use super::keys;
use crate::account::{Account, Mailbox};
use crate::records::proto::{
    AccountRow, DeliveryRow, MailboxRow, MessageRow, ProgressRow, VolumeRow,
};

/// Feeds any octets to everything that reads keys and rows; what is read is what was written.
pub(crate) fn fuzz(data: &[u8]) {
    keys::fuzz(data);
    if let Ok(row) = AccountRow::decode(data) {
        let account = Account::from(row);
        assert_eq!(Account::from(AccountRow::from(&account)), account);
    }
    if let Ok(row) = MailboxRow::decode(data) {
        let mailbox = Mailbox::from(row);
        assert_eq!(Mailbox::from(MailboxRow::from(&mailbox)), mailbox);
    }
    let again = |row: &MessageRow| MessageRow::decode(&*row.encode_to_vec());
    if let Ok(row) = MessageRow::decode(data) {
        assert_eq!(again(&row), Ok(row));
    }
    // These have no reading of their own; they must be refused or read, never more.
    let _ = (
        ProgressRow::decode(data),
        VolumeRow::decode(data),
        DeliveryRow::decode(data),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::records::proto::Holding;

    fn rows() -> Vec<Vec<u8>> {
        let at = Some(Default::default());
        vec![
            AccountRow {
                holding: Holding::Fenced.into(),
                epoch: 7,
                move_id: vec![1; 16].into(),
                peer: "b".to_owned(),
                changed: at,
                ..AccountRow::default()
            }
            .encode_to_vec(),
            MailboxRow {
                name: "INBOX".to_owned(),
                uid_next: 9,
                ..MailboxRow::default()
            }
            .encode_to_vec(),
            MessageRow {
                at,
                modseq: 8,
                body_length: 1 << 40,
                flags: vec!["x".to_owned()],
                ..MessageRow::default()
            }
            .encode_to_vec(),
        ]
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_rows(which in 0_usize..3, position: prop::sample::Index, octet: u8) {
            let mut row = rows().swap_remove(which);
            let at = position.index(row.len());
            row[at] = octet;
            fuzz(&row);
        }
    }
}
