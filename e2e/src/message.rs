//! Test messages: of real sizes, and each recognisable when it is read again.

use std::fmt::Write as _;

use crate::ledger::Digest;

/// Median size of the `skynet` distribution, in octets.
const MEDIAN: f64 = 9_282.0;
/// Its sigma (of the logarithm).
const SIGMA: f64 = 1.94;
/// Smallest message: its header.
const SMALLEST: usize = 300;

/// A small reproducible source of random numbers (SplitMix64); not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from 0 to 1, neither.
    fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let numerator = (self.next() >> 11) as f64 + 0.5;
        numerator / (1_u64 << 53) as f64
    }

    /// A size of the `skynet` distribution: log-normal, cut at `largest` octets.
    pub fn size(&mut self, largest: usize) -> usize {
        let (u, v) = (self.unit(), self.unit());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let size = MEDIAN * (SIGMA * normal).exp();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let size = size.clamp(SMALLEST as f64, largest as f64) as usize;
        size
    }
}

/// The header field that carries a test message's number.
const MARK: &str = "X-Buzonera-Test: ";

/// A message of about `size` octets with lines ending in CRLF, recognisable by its `number`. Its
/// text is never the same as another's.
pub fn compose(number: u64, from: &str, to: &str, size: usize) -> String {
    let mut text = String::with_capacity(size + 200);
    let fields = format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: test {number}\r\n\
         Message-ID: <{number}.{from}>\r\nDate: Sun, 22 Nov 2026 00:00:00 +0000\r\n\
         {MARK}{number}\r\n\r\n"
    );
    text.push_str(&fields);
    let mut random = Random::new(number);
    while text.len() < size {
        let room = (size - text.len()).min(78);
        write_line(&mut text, &mut random, room);
    }
    text
}

fn write_line(text: &mut String, random: &mut Random, room: usize) {
    let end = text.len() + room;
    while text.len() < end {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:016x} ", random.next());
    }
    text.truncate(end);
    text.push_str("\r\n");
}

/// The number of a test message as it was read back; none: it is not one.
pub fn number(message: &[u8]) -> Option<u64> {
    let header = message.split(|octet| *octet == b'\n').take(40);
    let mark = MARK.as_bytes();
    let value = header.filter_map(|line| line.strip_prefix(mark)).next()?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// SHA-256 of a message's body: of all behind the first empty line.
pub fn body_digest(message: &[u8]) -> Digest {
    let end = message.windows(4).position(|octets| octets == b"\r\n\r\n");
    let body = end.map_or(&[][..], |end| &message[end + 4..]);
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    let mut octets = Digest::default();
    octets.copy_from_slice(digest.as_ref());
    octets
}

/// Whether what was read ends with what was sent: servers put header lines in front only.
pub fn is_whole(read: &[u8], sent: &str) -> bool {
    read.ends_with(sent.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognised_behind_a_servers_lines() {
        let sent = compose(17, "a@b.c", "d@e.f", 2_000);
        assert!((1_900..2_200).contains(&sent.len()));
        let read = format!("Return-Path: <a@b.c>\r\n{sent}");
        assert_eq!(number(read.as_bytes()), Some(17));
        assert!(is_whole(read.as_bytes(), &sent));
        assert!(!is_whole(&read.as_bytes()[..1_000], &sent));
        assert_eq!(number(b"Subject: x\r\n\r\n"), None);
        assert_eq!(body_digest(read.as_bytes()), body_digest(sent.as_bytes()));
        let cut = &sent.as_bytes()[..1_000];
        assert_ne!(body_digest(cut), body_digest(sent.as_bytes()));
        assert!(sent.lines().all(|line| line.len() <= 78));
    }

    #[test]
    fn sizes_follow_the_distribution() {
        let mut random = Random::new(1);
        let mut sizes: Vec<usize> = (0..10_001).map(|_| random.size(1 << 20)).collect();
        sizes.sort_unstable();
        assert!(
            (8_500..10_200).contains(&sizes[5_000]),
            "median {}",
            sizes[5_000]
        );
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((40_000..52_000).contains(&mean), "mean {mean}");
    }
}
