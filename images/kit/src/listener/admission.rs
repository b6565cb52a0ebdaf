//! Who is let in: counts in all and by client address.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::descriptors::{Descriptors, Share, Taken};
use super::refusal::Refusal;

/// Whether a connection may stay. Either way it counts until this is dropped.
#[derive(Debug)]
pub enum Admission {
    /// Serve it, and keep the permit as long as the connection.
    Admitted(Permit),
    /// Say why, within the refusal's time, and close.
    Refused(Refusal),
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The listener is full.
    Full,
    /// This client address has too many connections.
    AddressFull,
    /// The process has no descriptors left for such clients.
    NoDescriptors,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full | Self::NoDescriptors => "too many connections, try again later",
            Self::AddressFull => "too many connections from your address",
        })
    }
}

/// Refusals under way at once. Each lives a few seconds at most; more than this is a flood, and
/// gets no words. At most a sixteenth of the process's descriptors for each listener.
const MAX_REFUSALS: usize = 256;

/// The bounds of one listener and what counts against them.
#[derive(Debug)]
pub(super) struct Doors {
    max_connections: usize,
    max_per_address: usize,
    share: Share,
    descriptors: Arc<Descriptors>,
    inside: Mutex<Inside>,
    refusals: AtomicUsize,
    pub(super) open: Gauge,
    pub(super) accepted: Counter,
    pub(super) full: Counter,
    pub(super) address_full: Counter,
    pub(super) no_descriptors: Counter,
    pub(super) dropped: Counter,
}

/// `by_address` holds only addresses with connections, so the cap bounds it.
#[derive(Debug, Default)]
struct Inside {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Doors {
    pub(super) fn new(
        max_connections: usize,
        max_per_address: usize,
        share: Share,
        descriptors: Arc<Descriptors>,
    ) -> Arc<Self> {
        Arc::new(Self {
            max_connections,
            max_per_address,
            share,
            descriptors,
            inside: Mutex::new(Inside::default()),
            refusals: AtomicUsize::new(0),
            open: Gauge::default(),
            accepted: Counter::default(),
            full: Counter::default(),
            address_full: Counter::default(),
            no_descriptors: Counter::default(),
            dropped: Counter::default(),
        })
    }

    /// `None`: drop the connection without a word.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        let client = client_of(address);
        match self.enter(client) {
            Ok(descriptors) => {
                self.accepted.inc();
                self.open.inc();
                Some(Admission::Admitted(Permit {
                    doors: self.clone(),
                    client,
                    _descriptors: descriptors,
                }))
            }
            Err(reason) => self.refuse(reason).map(Admission::Refused),
        }
    }

    fn enter(&self, client: IpAddr) -> Result<Taken, Reason> {
        let mut inside = self.inside();
        if inside.total >= self.max_connections {
            return Err(Reason::Full);
        }
        let of_client = inside.by_address.get(&client).copied().unwrap_or(0);
        if of_client >= self.max_per_address {
            return Err(Reason::AddressFull);
        }
        let descriptors = self.descriptors.take(self.share);
        let descriptors = descriptors.ok_or(Reason::NoDescriptors)?;
        inside.total += 1;
        inside.by_address.insert(client, of_client + 1);
        Ok(descriptors)
    }

    fn leave(&self, client: IpAddr) {
        let mut inside = self.inside();
        inside.total -= 1;
        if let Some(of_client) = inside.by_address.get_mut(&client) {
            *of_client -= 1;
            if *of_client == 0 {
                inside.by_address.remove(&client);
            }
        }
    }

    fn refuse(self: &Arc<Self>, reason: Reason) -> Option<Refusal> {
        match reason {
            Reason::Full => self.full.inc(),
            Reason::AddressFull => self.address_full.inc(),
            Reason::NoDescriptors => self.no_descriptors.inc(),
        };
        let under_way = self.refusals.fetch_add(1, Ordering::Relaxed);
        if under_way >= MAX_REFUSALS.min(self.descriptors.limit() / 16) {
            self.end_refusal();
            self.dropped.inc();
            return None;
        }
        Some(Refusal::new(reason, self.clone()))
    }

    pub(super) fn end_refusal(&self) {
        self.refusals.fetch_sub(1, Ordering::Relaxed);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

/// A place inside; dropping it frees the place.
#[derive(Debug)]
pub struct Permit {
    doors: Arc<Doors>,
    client: IpAddr,
    _descriptors: Taken,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.doors.leave(self.client);
        self.doors.open.dec();
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 customer is given whole
/// (RFC 6177).
pub(super) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(max_connections: usize, max_per_address: usize) -> Arc<Doors> {
        let descriptors = Descriptors::new(1 << 20);
        Doors::new(
            max_connections,
            max_per_address,
            Share::Inbound,
            descriptors,
        )
    }

    fn admitted(doors: &Arc<Doors>, address: &str) -> Result<Permit, Reason> {
        match doors.admit(address.parse().unwrap()).unwrap() {
            Admission::Admitted(permit) => Ok(permit),
            Admission::Refused(refusal) => Err(refusal.reason()),
        }
    }

    #[test]
    fn counts_in_all_and_by_client() {
        let doors = doors(3, 2);
        let first = admitted(&doors, "192.0.2.1").unwrap();
        let _second = admitted(&doors, "::ffff:192.0.2.1").unwrap();
        assert_eq!(
            admitted(&doors, "192.0.2.1").unwrap_err(),
            Reason::AddressFull
        );
        let _third = admitted(&doors, "192.0.2.2").unwrap();
        assert_eq!(admitted(&doors, "192.0.2.3").unwrap_err(), Reason::Full);
        drop(first);
        let _fourth = admitted(&doors, "192.0.2.3").unwrap();
        assert_eq!(doors.open.get(), 3);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let doors = doors(10, 1);
        let _permit = admitted(&doors, "2001:db8::1").unwrap();
        assert_eq!(
            admitted(&doors, "2001:db8::ffff:2").unwrap_err(),
            Reason::AddressFull
        );
        admitted(&doors, "2001:db8:0:1::1").unwrap();
    }

    #[test]
    fn forgets_clients_that_left() {
        let doors = doors(10, 1);
        drop(admitted(&doors, "192.0.2.1").unwrap());
        assert!(doors.inside().by_address.is_empty());
        assert_eq!((doors.inside().total, doors.open.get()), (0, 0));
    }

    #[test]
    fn listeners_share_the_descriptors() {
        let descriptors = Descriptors::new(8);
        let inbound = Doors::new(100, 100, Share::Inbound, descriptors.clone());
        let readers = Doors::new(100, 100, Share::Readers, descriptors);
        let _first = admitted(&inbound, "192.0.2.1").unwrap();
        let second = admitted(&inbound, "192.0.2.1").unwrap();
        assert!(inbound.admit("192.0.2.1".parse().unwrap()).is_none());
        assert_eq!(inbound.no_descriptors.get(), 1);
        admitted(&readers, "192.0.2.1").unwrap();
        drop(second);
        admitted(&inbound, "192.0.2.1").unwrap();
    }

    #[test]
    fn a_flood_gets_no_words() {
        let doors = doors(0, 1);
        let address = "192.0.2.1".parse().unwrap();
        let refusals: Vec<_> = (0..MAX_REFUSALS).map(|_| doors.admit(address)).collect();
        assert!(refusals.iter().all(Option::is_some));
        assert!(doors.admit(address).is_none());
        assert_eq!(doors.dropped.get(), 1);
        drop(refusals);
        assert!(doors.admit(address).is_some());
    }
}
