//! Where a listener listens, as configured.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Where to listen: `ADDRESS:PORT`, or `*:PORT` for every address of the machine. Port 0 takes a
/// free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ListenAt {
    /// At every address, IPv6 and IPv4, or IPv4 alone where the kernel has no IPv6.
    Everywhere(u16),
    /// At this address only.
    Address(SocketAddr),
}

/// Text that names no place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place to listen at: write ADDRESS:PORT, or *:PORT for every address")]
pub struct BadListenAt(String);

/// As much of a bad text as an error shows.
const MAX_TEXT: usize = 100;

impl ListenAt {
    /// Whether only this machine can connect.
    pub fn is_loopback(self) -> bool {
        match self {
            Self::Everywhere(_) => false,
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
        }
    }

    /// Whether it is no address that somebody could connect to.
    pub fn is_unspecified(self) -> bool {
        match self {
            Self::Everywhere(_) => true,
            Self::Address(address) => address.ip().is_unspecified(),
        }
    }

    /// Opens it with `open`, which is given one address after the other until the kernel knows
    /// that kind of address.
    pub(super) fn open<T>(self, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
        let port = match self {
            Self::Address(address) => return open(address),
            Self::Everywhere(port) => port,
        };
        let any = |ip: IpAddr| SocketAddr::new(ip, port);
        match open(any(Ipv6Addr::UNSPECIFIED.into())) {
            Err(error) if is_without_ipv6(&error) => open(any(Ipv4Addr::UNSPECIFIED.into())),
            opened => opened,
        }
    }
}

/// A kernel that was built or started without IPv6 knows no such socket.
fn is_without_ipv6(error: &io::Error) -> bool {
    let known = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    known
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl From<SocketAddr> for ListenAt {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl FromStr for ListenAt {
    type Err = BadListenAt;

    fn from_str(text: &str) -> Result<Self, BadListenAt> {
        let wrong = || BadListenAt(text.chars().take(MAX_TEXT).collect());
        match text.strip_prefix("*:") {
            Some(port) if port.bytes().all(|octet| octet.is_ascii_digit()) => {
                port.parse().map(Self::Everywhere).map_err(|_| wrong())
            }
            Some(_) => Err(wrong()),
            None => text.parse().map(Self::Address).map_err(|_| wrong()),
        }
    }
}

impl TryFrom<String> for ListenAt {
    type Error = BadListenAt;

    fn try_from(text: String) -> Result<Self, BadListenAt> {
        text.parse()
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, "*:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl From<ListenAt> for String {
    fn from(at: ListenAt) -> Self {
        at.to_string()
    }
}

/// Feeds any text to the parser; what it accepts prints to something it reads the same.
pub(crate) fn fuzz(text: &str) {
    if let Ok(at) = text.parse::<ListenAt>() {
        assert_eq!(at.to_string().parse(), Ok(at));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> ListenAt {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_addresses_or_everywhere() {
        assert_eq!(at("*:25"), ListenAt::Everywhere(25));
        for text in ["*:0", "127.0.0.1:25", "[::1]:7400", "[::]:110"] {
            assert_eq!(at(text).to_string(), text);
        }
        for bad in [
            "", "*", "*:", "*:+1", "*:65536", "*25", "a:1", "::1:25", "25",
        ] {
            assert!(bad.parse::<ListenAt>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_can_connect() {
        assert!(at("127.0.0.1:1").is_loopback() && at("[::ffff:127.0.0.1]:1").is_loopback());
        assert!(!at("*:1").is_loopback() && !at("192.0.2.1:1").is_loopback());
        assert!(at("*:1").is_unspecified() && at("[::]:1").is_unspecified());
        assert!(!at("[::1]:1").is_unspecified());
    }

    /// The addresses that were tried, by a kernel that fails IPv6 with `errno`.
    fn tried(place: &str, errno: Errno) -> (Vec<String>, bool) {
        let tried = RefCell::new(Vec::new());
        let opened = at(place).open(|address| {
            tried.borrow_mut().push(address.to_string());
            match address {
                SocketAddr::V4(_) => Ok(()),
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(errno.raw_os_error())),
            }
        });
        (tried.into_inner(), opened.is_ok())
    }

    #[test]
    fn everywhere_is_ipv4_on_a_kernel_without_ipv6() {
        let both = vec!["[::]:25".to_owned(), "0.0.0.0:25".to_owned()];
        assert_eq!(tried("*:25", Errno::AFNOSUPPORT), (both.clone(), true));
        assert_eq!(tried("*:25", Errno::ADDRNOTAVAIL), (both, true));
    }

    #[test]
    fn a_busy_port_is_no_reason_to_listen_to_half_of_the_world() {
        let first = vec!["[::]:25".to_owned()];
        assert_eq!(tried("*:25", Errno::ADDRINUSE), (first, false));
        let asked = vec!["[::1]:25".to_owned()];
        assert_eq!(tried("[::1]:25", Errno::AFNOSUPPORT), (asked, false));
    }

    proptest! {
        #[test]
        fn near_places(text in "(\\*|[0-9.]{7,9}|\\[::1?\\]):?[+0-9]{0,6}") {
            fuzz(&text);
        }
    }
}
