//! The index's keys: one octet for the kind of row, then ids and numbers that sort by value.

use wire::ids::{AccountId, DeliveryId};

/// How far the index has come.
pub(super) const PROGRESS: [u8; 1] = *b"P";
/// What is known of the volume.
pub(super) const VOLUME: [u8; 1] = *b"V";
/// All accounts.
pub(super) const ACCOUNTS: [u8; 1] = *b"A";
/// All accounts whose old rows are still to be removed.
pub(super) const SWEEPS: [u8; 1] = *b"S";
/// Remembered deliveries by time.
pub(super) const TIMES: [u8; 1] = *b"T";

pub(super) fn account(account: AccountId) -> [u8; 17] {
    with_account(b'A', account)
}

pub(super) fn sweep(account: AccountId) -> [u8; 17] {
    with_account(b'S', account)
}

/// All mailboxes of an account.
pub(super) fn mailboxes(account: AccountId) -> [u8; 17] {
    with_account(b'B', account)
}

pub(super) fn mailbox(account: AccountId, mailbox: u32) -> [u8; 21] {
    let mut key = [0; 21];
    key[..17].copy_from_slice(&mailboxes(account));
    key[17..].copy_from_slice(&mailbox.to_be_bytes());
    key
}

/// All messages of an account.
pub(super) fn messages(account: AccountId) -> [u8; 17] {
    with_account(b'M', account)
}

/// All messages of a mailbox.
pub(super) fn messages_of(account: AccountId, mailbox: u32) -> [u8; 21] {
    let mut key = [0; 21];
    key[..17].copy_from_slice(&messages(account));
    key[17..].copy_from_slice(&mailbox.to_be_bytes());
    key
}

pub(super) fn message(account: AccountId, mailbox: u32, uid: u32) -> [u8; 25] {
    let mut key = [0; 25];
    key[..21].copy_from_slice(&messages_of(account, mailbox));
    key[21..].copy_from_slice(&uid.to_be_bytes());
    key
}

/// All remembered deliveries of an account.
pub(super) fn deliveries(account: AccountId) -> [u8; 17] {
    with_account(b'D', account)
}

pub(super) fn delivery(account: AccountId, delivery: DeliveryId) -> [u8; 33] {
    let mut key = [0; 33];
    key[..17].copy_from_slice(&deliveries(account));
    key[17..].copy_from_slice(delivery.as_bytes());
    key
}

/// A remembered delivery in the order of forgetting. Times before 1970 sort as 1970.
pub(super) fn time(stored_at_ms: i64, account: AccountId, delivery: DeliveryId) -> [u8; 41] {
    let mut key = [0; 41];
    key[..9].copy_from_slice(&time_bound(stored_at_ms));
    key[9..25].copy_from_slice(account.as_bytes());
    key[25..].copy_from_slice(delivery.as_bytes());
    key
}

/// Sorts after all remembered deliveries that are older.
pub(super) fn time_bound(stored_at_ms: i64) -> [u8; 9] {
    let mut key = [0; 9];
    key[..1].copy_from_slice(&TIMES);
    let since = u64::try_from(stored_at_ms).unwrap_or(0);
    key[1..].copy_from_slice(&since.to_be_bytes());
    key
}

/// The big-endian number at the end of a key.
pub(super) fn last_number(key: &[u8]) -> Option<u32> {
    key.last_chunk().map(|octets| u32::from_be_bytes(*octets))
}

/// The account after the kind of row.
pub(super) fn account_of(key: &[u8]) -> Option<AccountId> {
    AccountId::from_slice(key.get(1..17)?).ok()
}

/// The delivery at the end of a key.
pub(super) fn delivery_of(key: &[u8]) -> Option<DeliveryId> {
    let octets: &[u8; 16] = key.last_chunk()?;
    Some(DeliveryId::from_bytes(*octets))
}

/// The account of a [`time`] key.
pub(super) fn account_of_time(key: &[u8]) -> Option<AccountId> {
    AccountId::from_slice(key.get(9..25)?).ok()
}

fn with_account(kind: u8, account: AccountId) -> [u8; 17] {
    let mut key = [kind; 17];
    key[1..].copy_from_slice(account.as_bytes());
    key
}

/// Any octets may be met as a key; what is read from one is in it.
pub(super) fn fuzz(data: &[u8]) {
    let within = |part: &[u8]| assert!(data.windows(part.len()).any(|window| window == part));
    if let Some(id) = account_of(data) {
        within(id.as_bytes());
    }
    if let Some(id) = account_of_time(data) {
        within(id.as_bytes());
    }
    if let Some(id) = delivery_of(data) {
        within(id.as_bytes());
    }
    if let Some(number) = last_number(data) {
        within(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_value_and_read_back() {
        let id = AccountId::from_bytes([7; 16]);
        let delivered = DeliveryId::from_bytes([9; 16]);
        assert!(message(id, 0, 255) < message(id, 0, 256));
        assert!(message(id, 0, u32::MAX) < message(id, 1, 0));
        assert_eq!(last_number(&message(id, 3, 300)), Some(300));
        assert_eq!(account_of(&message(id, 3, 300)), Some(id));
        assert_eq!(delivery_of(&delivery(id, delivered)), Some(delivered));
        assert!(time(-5, id, delivered)[..] < time_bound(1)[..]);
        assert!(time(1999, id, delivered)[..] < time_bound(2000)[..]);
        assert!(time(2000, id, delivered)[..] > time_bound(2000)[..]);
        assert_eq!(account_of_time(&time(5, id, delivered)), Some(id));
        assert_eq!(delivery_of(&time(5, id, delivered)), Some(delivered));
    }
}
