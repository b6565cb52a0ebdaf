//! Ports are tried before anything starts, so that a busy one is named with its flag.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::failure::Failure;
use crate::local::args::Port;

/// Tries every port and names all that cannot be had.
pub fn check(ports: &[Port]) -> Result<(), Failure> {
    let mut held = Vec::new();
    let mut wrong = Vec::new();
    for port in ports {
        match TcpListener::bind(port.address) {
            Ok(listener) => held.push(listener),
            Err(error) => wrong.push(complaint(port, &error)),
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(wrong.join("\n         "))),
    }
}

fn complaint(port: &Port, error: &io::Error) -> String {
    let Port { flag, address } = port;
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is busy: choose another port with {flag}.")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{address} needs privileges: choose a port above 1023 with {flag}.")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is not an address of this machine: mend --listen.")
        }
        _ => format!("{address} ({flag}): {error}."),
    }
}

/// A free port on loopback for traffic between tiers.
pub fn free() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_names_its_flag() {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = busy.local_addr().unwrap();
        let ports = [Port {
            flag: "--smtp",
            address,
        }];
        let refused = check(&ports).unwrap_err().to_string();
        let expected = format!("{address} is busy: choose another port with --smtp.");
        assert_eq!(refused, expected);
    }

    #[test]
    fn the_same_port_twice_is_busy_too() {
        let address = free().unwrap();
        let port = |flag| Port { flag, address };
        let refused = check(&[port("--smtp"), port("--pop3")]).unwrap_err();
        assert!(refused.to_string().ends_with("with --pop3."), "{refused}");
    }
}
