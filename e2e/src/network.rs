//! Another machine on the network: a namespace at the end of a virtual cable, which can be pulled.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A network namespace with one cable to this machine's. It goes with this value.
pub struct Machine {
    name: String,
    cable: String,
}

/// Addresses of RFC 2544's range for tests.
const HERE: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 2);

impl Machine {
    /// Makes it; takes root. One at a time: its addresses are always the same.
    pub fn plug_in() -> Result<Self> {
        let id = std::process::id();
        let machine = Self {
            name: format!("buzonera-{id}"),
            cable: format!("buz{id}"),
        };
        let Self { name, cable } = &machine;
        ip(&["netns", "add", name])?;
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", name];
        ip(&[&["link", "add", cable][..], &peer].concat())?;
        ip(&["address", "add", &format!("{HERE}/30"), "dev", cable])?;
        ip(&["link", "set", cable, "up"])?;
        ip(&[
            "-n",
            name,
            "address",
            "add",
            &format!("{THERE}/30"),
            "dev",
            "eth0",
        ])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        Ok(machine)
    }

    /// This machine's address at its end of the cable.
    pub fn here(&self) -> IpAddr {
        HERE.into()
    }

    /// A command that runs over there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Pulls the cable at the other end: nothing more comes from there, not even a FIN.
    pub fn unplug(&self) -> Result<()> {
        ip(&["-n", &self.name, "link", "set", "eth0", "down"])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its end of the cable goes with the namespace, and ours with that.
        let _ = ip(&["netns", "delete", &self.name]);
        let _ = ip(&["link", "delete", &self.cable]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output();
    let output = output.context("ip does not start")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {}: {said}", words.join(" "));
    Ok(())
}
