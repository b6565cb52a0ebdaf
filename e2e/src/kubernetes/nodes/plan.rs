//! What the first process of a node is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A node: what it is called, where it is, and what runs there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Its name.
    pub name: String,
    /// Its folder: what it keeps, and its logs.
    pub folder: PathBuf,
    /// Its address, in a network of 24 bits.
    pub address: Ipv4Addr,
    /// Where everything else is.
    pub gateway: Ipv4Addr,
    /// Networks, and the node that each is behind.
    pub routes: Vec<(String, Ipv4Addr)>,
    /// What runs there, begun in this order.
    pub programs: Vec<Program>,
}

/// A program that always runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Program {
    /// What its log is called.
    pub name: String,
    /// Itself.
    pub path: PathBuf,
    /// What it is told.
    pub arguments: Vec<String>,
    /// What has to answer before it begins.
    pub after: Vec<Door>,
}

/// Where a program listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Door {
    /// A port.
    Port(SocketAddr),
    /// A socket in the file system.
    Socket(PathBuf),
}
