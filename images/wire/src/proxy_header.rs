//! The header that a balancer puts before a connection: whose it is (PROXY protocol, version 2).
//!
//! "The PROXY protocol, versions 1 & 2" (HAProxy), section 2.2. Version 1, a line of text, is
//! refused: it has no length in front, and every balancer speaks 2. So are datagrams and local
//! sockets, which no mail client uses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of the part that every header begins with.
pub const HEAD: usize = 16;

/// The most octets after it: addresses take 36, balancers add a few hundred about TLS and networks.
pub const MAX_REST: usize = 1024;

/// What every header begins with; no line of any mail protocol does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const TEXT: &[u8] = b"PROXY ";

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// The connection begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Signature,
    /// Version 1, or one that is yet to come.
    #[error("only version 2 of the PROXY protocol is read")]
    Version,
    /// Neither LOCAL nor PROXY.
    #[error("the PROXY header has an unknown command")]
    Command,
    /// Not TCP over IPv4 or IPv6.
    #[error("the PROXY header is of no TCP connection")]
    Family,
    /// Longer than [`MAX_REST`].
    #[error("the PROXY header is longer than {MAX_REST} octets")]
    TooLong,
    /// Shorter than its addresses.
    #[error("the PROXY header ends within its addresses")]
    TooShort,
}

/// The first part of a header; it says how long the rest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    whose: Whose,
    rest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The balancer's own: it looks whether we are well.
    Balancer,
    Ipv4,
    Ipv6,
}

impl Head {
    /// Reads the first part.
    pub fn parse(head: &[u8; HEAD]) -> Result<Self, BadHeader> {
        if head.starts_with(TEXT) {
            return Err(BadHeader::Version);
        }
        if !head.starts_with(&SIGNATURE) {
            return Err(BadHeader::Signature);
        }
        let [version_and_command, family, high, low] = [head[12], head[13], head[14], head[15]];
        if version_and_command >> 4 != 2 {
            return Err(BadHeader::Version);
        }
        let rest = usize::from(u16::from_be_bytes([high, low]));
        if rest > MAX_REST {
            return Err(BadHeader::TooLong);
        }
        let whose = match (version_and_command & 0x0f, family) {
            (0, _) => Whose::Balancer,
            (1, 0x11) => Whose::Ipv4,
            (1, 0x21) => Whose::Ipv6,
            (1, _) => return Err(BadHeader::Family),
            (_, _) => return Err(BadHeader::Command),
        };
        Ok(Self { whose, rest })
    }

    /// How many octets follow, all of which belong to the header.
    pub fn rest(&self) -> usize {
        self.rest
    }

    /// Whose connection it is; `None`: the balancer's own. `rest` are the octets that follow; what
    /// comes after the addresses in them is passed over.
    pub fn client(&self, rest: &[u8]) -> Result<Option<SocketAddr>, BadHeader> {
        match self.whose {
            Whose::Balancer => Ok(None),
            // Source address, destination address, source port, destination port.
            Whose::Ipv4 => {
                let [a, b, c, d, .., high, low, _, _] = *first::<12>(rest)?;
                let ip = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
                Ok(Some(client(ip, high, low)))
            }
            Whose::Ipv6 => {
                let addresses = first::<36>(rest)?;
                let ip = IpAddr::V6(Ipv6Addr::from_octets(*first::<16>(addresses)?));
                Ok(Some(client(ip, addresses[32], addresses[33])))
            }
        }
    }
}

fn client(ip: IpAddr, high: u8, low: u8) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), u16::from_be_bytes([high, low]))
}

fn first<const N: usize>(octets: &[u8]) -> Result<&[u8; N], BadHeader> {
    octets.first_chunk().ok_or(BadHeader::TooShort)
}

/// The header of a client's connection to `to`, as a balancer writes it; both of one kind, else the
/// balancer's own.
pub fn header(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (command, family, ips) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (0x21, 0x11, [&from.octets()[..], &to.octets()[..]].concat())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            (0x21, 0x21, [&from.octets()[..], &to.octets()[..]].concat())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => (0x20, 0, Vec::new()),
    };
    let ports = match ips.is_empty() {
        true => Vec::new(),
        false => [from.port().to_be_bytes(), to.port().to_be_bytes()].concat(),
    };
    let rest = [ips, ports].concat();
    let length = [0, rest.len() as u8];
    [&SIGNATURE[..], &[command, family], &length[..], &rest].concat()
}

/// Feeds any octets to the parser, as they are and behind a good beginning.
pub fn fuzz(data: &[u8]) {
    read(data);
    read(&[&SIGNATURE[..], data].concat());
}

fn read(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk() else {
        return;
    };
    if let Ok(head) = Head::parse(head) {
        assert!(head.rest() <= MAX_REST);
        // Whatever it says of the rest, it reads no more than is there.
        let _ = head.client(&rest[..rest.len().min(head.rest())]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn parsed(octets: &[u8]) -> Result<Option<SocketAddr>, BadHeader> {
        let (head, rest) = octets.split_first_chunk().unwrap();
        let head = Head::parse(head)?;
        head.client(&rest[..head.rest().min(rest.len())])
    }

    /// Octets as the specification shows them.
    fn known(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length[..], rest].concat()
    }

    #[test]
    fn known_headers() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xc0, 0x01, 0, 25];
        assert_eq!(
            parsed(&known(0x21, 0x11, &v4)),
            Ok(Some(at("192.0.2.7:49153")))
        );
        let with_more = [&v4[..], &[0x04, 0, 1, 0]].concat();
        assert_eq!(
            parsed(&known(0x21, 0x11, &with_more)),
            Ok(Some(at("192.0.2.7:49153")))
        );
        assert_eq!(parsed(&known(0x20, 0, &[])), Ok(None));
        assert_eq!(parsed(&known(0x20, 0x11, &v4)), Ok(None));
    }

    #[test]
    fn what_is_written_is_read() {
        for (from, to) in [
            ("192.0.2.7:49153", "198.51.100.1:25"),
            ("[2001:db8::7]:1", "[2001:db8::1]:995"),
        ] {
            assert_eq!(parsed(&header(at(from), at(to))), Ok(Some(at(from))));
        }
        let mixed = header(at("192.0.2.7:1"), at("[2001:db8::1]:995"));
        assert_eq!(parsed(&mixed), Ok(None));
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_balancer_is_ipv4() {
        let octets = header(at("[::ffff:192.0.2.7]:9"), at("[2001:db8::1]:25"));
        assert_eq!(parsed(&octets), Ok(Some(at("192.0.2.7:9"))));
    }

    #[test]
    fn everything_else_is_refused() {
        let rest = [0; 36];
        for (octets, why) in [
            (b"PROXY TCP4 192.0.2.7 ".to_vec(), BadHeader::Version),
            (b"EHLO client.example\r\n".to_vec(), BadHeader::Signature),
            (known(0x11, 0x11, &rest), BadHeader::Version),
            (known(0x31, 0x11, &rest), BadHeader::Version),
            (known(0x22, 0x11, &rest), BadHeader::Command),
            (known(0x21, 0x12, &rest), BadHeader::Family),
            (known(0x21, 0x31, &rest), BadHeader::Family),
            (known(0x21, 0x00, &rest), BadHeader::Family),
            (known(0x21, 0x11, &rest[..11]), BadHeader::TooShort),
            (known(0x21, 0x21, &rest[..35]), BadHeader::TooShort),
            (known(0x21, 0x11, &[0; MAX_REST + 1]), BadHeader::TooLong),
        ] {
            assert_eq!(parsed(&octets), Err(why), "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
