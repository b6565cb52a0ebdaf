//! The host that other processes are told to connect to.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wire::ids::is_label;

/// An IP address or a host name, without a port: `192.0.2.1`, `2001:db8::1`, `shard-1.example`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(Written);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Written {
    Ip(IpAddr),
    Name(String),
}

/// Text that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host: write an IP address or a host name, without a port")]
pub struct BadHost(String);

/// The longest host name (RFC 1035 section 2.3.4, as text).
const MAX_HOST: usize = 253;

impl Host {
    /// `host:port` to connect to; an IPv6 address gets its brackets (RFC 3986 section 3.2.2).
    pub fn endpoint(&self, port: u16) -> String {
        match &self.0 {
            Written::Ip(ip) => std::net::SocketAddr::new(*ip, port).to_string(),
            Written::Name(name) => format!("{name}:{port}"),
        }
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let wrong = || BadHost(text.chars().take(MAX_HOST).collect());
        let ip = match bracketed(text) {
            Some(inner) => Some(IpAddr::V6(inner.parse::<Ipv6Addr>().map_err(|_| wrong())?)),
            None => text.parse().ok(),
        };
        match ip {
            Some(ip) if ip.is_unspecified() => Err(wrong()),
            Some(ip) => Ok(Self(Written::Ip(ip))),
            None if is_name(text) => Ok(Self(Written::Name(text.to_owned()))),
            None => Err(wrong()),
        }
    }
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// Labels, the last of which is no number: or a mistyped IPv4 address would pass.
fn is_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_HOST
        && text.split('.').all(is_label)
        && !last.bytes().all(|octet| octet.is_ascii_digit())
}

impl TryFrom<String> for Host {
    type Error = BadHost;

    fn try_from(text: String) -> Result<Self, BadHost> {
        text.parse()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Written::Ip(ip) => ip.fmt(f),
            Written::Name(name) => f.write_str(name),
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

/// Feeds any text to the parser; the endpoint of what it accepts can be connected to.
pub(crate) fn fuzz(text: &str) {
    if let Ok(host) = text.parse::<Host>() {
        assert_eq!(host.to_string().parse(), Ok(host.clone()));
        assert!(super::connect::parse_endpoint(&host.endpoint(7410)).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_endpoint_of_an_ipv6_address_has_brackets() {
        for (text, endpoint) in [
            ("192.0.2.1", "192.0.2.1:7410"),
            ("2001:db8::1", "[2001:db8::1]:7410"),
            ("[2001:db8::1]", "[2001:db8::1]:7410"),
            ("shard-1.example", "shard-1.example:7410"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().endpoint(7410), endpoint);
        }
    }

    #[test]
    fn refuses_ports_and_addresses_that_nobody_can_connect_to() {
        for bad in [
            "",
            "*",
            "0.0.0.0",
            "::",
            "h:1",
            "[::1",
            "[h]",
            "192.0.2",
            "1.2.3.4:5",
            "a b",
            "a..b",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn near_hosts(text in "\\[?[a-f0-9.:-]{0,20}\\]?") {
            fuzz(&text);
        }
    }
}
