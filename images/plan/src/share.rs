//! Shares of all that the cluster holds, in whole numbers.

/// A part of [`WHOLE`]; differences are below 0.
pub type Share = i64;

/// All of it. So fine that one account of a hundred million is still much more than 1, and so coarse
/// that products of two shares and a third fit into 128 bits.
pub const WHOLE: Share = 1_000_000_000_000;

const WHOLE_WIDE: u128 = WHOLE as u128;

/// What all shards hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    pub(crate) accounts: u128,
    pub(crate) bytes: u128,
}

impl Sum {
    pub(crate) fn add(&mut self, accounts: u64, bytes: u64) {
        self.accounts += u128::from(accounts);
        self.bytes += u128::from(bytes);
    }

    /// The share that so many accounts with so many bytes are of this: accounts and bytes weigh the
    /// same. While there are no bytes, accounts weigh all.
    pub(crate) fn share(&self, accounts: u64, bytes: u64) -> Share {
        let accounts = part(accounts, self.accounts);
        let share = match self.bytes {
            0 => accounts,
            all => (accounts + part(bytes, all)) / 2,
        };
        narrow(share)
    }

    /// The share that so many bytes are of this on the average.
    pub(crate) fn mean_share(&self, bytes: u64) -> Share {
        match self.bytes {
            0 => WHOLE,
            all => narrow(part(bytes, all)),
        }
    }
}

fn part(of: u64, all: u128) -> u128 {
    u128::from(of) * WHOLE_WIDE / all.max(1)
}

/// `WHOLE` at most.
fn narrow(share: u128) -> Share {
    Share::try_from(share).unwrap_or(WHOLE).min(WHOLE)
}

/// `amount * by / of`, where `amount` is a part of `of`: what belongs to a part of a share.
pub(crate) fn portion(amount: Share, of: Share, by: u64) -> u64 {
    let amount = u128::from(amount.max(0).unsigned_abs());
    let portion = amount * u128::from(by) / u128::from(of.max(1).unsigned_abs());
    u64::try_from(portion).unwrap_or(u64::MAX)
}

/// The same, rounded to the nearest.
pub(crate) fn rounded(amount: Share, of: Share, by: u64) -> u64 {
    let (amount, of) = (amount.max(0).unsigned_abs(), of.max(1).unsigned_abs());
    let portion = (u128::from(amount) * u128::from(by) + u128::from(of / 2)) / u128::from(of);
    u64::try_from(portion).unwrap_or(u64::MAX)
}

/// The share that belongs to a portion: `of * part / whole`, `of` at most.
pub(crate) fn share_of_portion(part: u64, whole: u64, of: Share) -> Share {
    let product = u128::from(part) * u128::from(of.max(0).unsigned_abs());
    let share = product / u128::from(whole.max(1));
    Share::try_from(share).unwrap_or(of).min(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_bytes_weigh_the_same() {
        let mut all = Sum::default();
        all.add(4, 100);
        assert_eq!(all.share(4, 100), WHOLE);
        assert_eq!(all.share(4, 0), WHOLE / 2);
        assert_eq!(all.share(0, 50), WHOLE / 4);
        all.bytes = 0;
        assert_eq!(all.share(1, 0), WHOLE / 4);
        assert_eq!(Sum::default().share(0, 0), 0);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut all = Sum::default();
        for _ in 0..1000 {
            all.add(u64::MAX, u64::MAX);
        }
        assert_eq!(all.share(u64::MAX, u64::MAX), WHOLE / 1000);
        assert_eq!(portion(WHOLE, WHOLE, u64::MAX), u64::MAX);
        assert_eq!(portion(WHOLE, 0, u64::MAX), u64::MAX);
        assert_eq!(share_of_portion(u64::MAX, 1, WHOLE), WHOLE);
        assert_eq!(Sum::default().share(u64::MAX, u64::MAX), WHOLE);
    }
}
