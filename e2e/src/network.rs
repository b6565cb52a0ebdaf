//! Other machines on the network: namespaces at the ends of virtual cables, which can be pulled.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;

/// A network namespace with one cable to this machine's. It goes with this value.
pub struct Machine {
    name: String,
    cable: String,
    here: Ipv4Addr,
    there: Ipv4Addr,
}

/// Machines that this process made.
static MADE: AtomicU8 = AtomicU8::new(0);

impl Machine {
    /// Makes it; takes root. Its addresses are of RFC 2544's range for tests.
    pub fn plug_in() -> Result<Self> {
        let id = std::process::id();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let machine = Self {
            name: format!("buzonera-{id}-{number}"),
            cable: format!("buz{id}n{number}"),
            here: Ipv4Addr::new(198, 18, number, 1),
            there: Ipv4Addr::new(198, 18, number, 2),
        };
        let Self {
            name,
            cable,
            here,
            there,
        } = &machine;
        ip(&["netns", "add", name])?;
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", name];
        ip(&[&["link", "add", cable][..], &peer].concat())?;
        ip(&["address", "add", &format!("{here}/30"), "dev", cable])?;
        ip(&["link", "set", cable, "up"])?;
        ip(&[
            "-n",
            name,
            "address",
            "add",
            &format!("{there}/30"),
            "dev",
            "eth0",
        ])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        Ok(machine)
    }

    /// This machine's address at its end of the cable.
    pub fn here(&self) -> IpAddr {
        self.here.into()
    }

    /// The other machine's address at its end.
    pub fn there(&self) -> IpAddr {
        self.there.into()
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

/// Machines on one switch, each a network namespace with a cable of its own; this machine is on the
/// switch too. All goes with this value.
pub struct Lan {
    switch: String,
    subnet: [u8; 3],
    machines: Mutex<Vec<String>>,
}

/// This machine's place on a switch.
const SWITCH: u8 = 254;

impl Lan {
    /// Sets up the switch; takes root.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let (id, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Names of interfaces have 15 octets at most.
        let switch = format!("buz{}-{number}", id % 1_000_000);
        let block = u8::try_from(id % 200).unwrap_or(0).wrapping_add(number);
        let subnet = [198, 19, block];
        ip(&["link", "add", &switch, "type", "bridge"])?;
        let lan = Self {
            switch,
            subnet,
            machines: Mutex::default(),
        };
        let here = format!("{}/24", lan.at(SWITCH));
        ip(&["address", "add", &here, "dev", &lan.switch])?;
        ip(&["link", "set", &lan.switch, "up"])?;
        Ok(lan)
    }

    /// The address of a machine, which is plugged in when it is first named.
    pub fn address(&self, machine: &str) -> Result<IpAddr> {
        let mut machines = self.machines.lock();
        let known = machines.iter().position(|known| known == machine);
        let index = known.unwrap_or(machines.len());
        let place = u8::try_from(index + 1).context("too many machines")?;
        if known.is_none() {
            machines.push(machine.to_owned());
            self.plug_in(machine, place)?;
        }
        Ok(self.at(place))
    }

    /// The words that put a program onto a machine.
    pub fn onto(&self, machine: &str) -> Vec<String> {
        let words = ["ip", "netns", "exec", &self.namespace(machine)];
        words.map(str::to_owned).to_vec()
    }

    /// Pulls a machine's cable: nothing comes from there and nothing gets there, not even a FIN.
    pub fn unplug(&self, machine: &str) -> Result<()> {
        ip(&["link", "set", &self.cable(machine)?, "down"])
    }

    /// Plugs it in again.
    pub fn plug(&self, machine: &str) -> Result<()> {
        ip(&["link", "set", &self.cable(machine)?, "up"])
    }

    /// From now on nothing that `machine` sends gets to `other`, and only to it.
    pub fn part(&self, machine: &str, other: &str) -> Result<()> {
        self.route("add", machine, other)
    }

    /// They reach each other again.
    pub fn join(&self, machine: &str, other: &str) -> Result<()> {
        self.route("delete", machine, other)
    }

    fn route(&self, verb: &str, machine: &str, other: &str) -> Result<()> {
        let (there, name) = (self.address(other)?.to_string(), self.namespace(machine));
        ip(&["-n", &name, "route", verb, "blackhole", &there])
    }

    fn plug_in(&self, machine: &str, place: u8) -> Result<()> {
        let (name, cable) = (&self.namespace(machine), &self.cable_at(place));
        ip(&["netns", "add", name])?;
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", name];
        ip(&[&["link", "add", cable][..], &peer].concat())?;
        ip(&["link", "set", cable, "master", &self.switch, "up"])?;
        let there = format!("{}/24", self.at(place));
        ip(&["-n", name, "address", "add", &there, "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])
    }

    fn at(&self, place: u8) -> IpAddr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, place).into()
    }

    fn namespace(&self, machine: &str) -> String {
        format!("{}-{machine}", self.switch)
    }

    fn cable(&self, machine: &str) -> Result<String> {
        let machines = self.machines.lock();
        let index = machines.iter().position(|known| known == machine);
        let index = index.with_context(|| format!("there is no machine {machine}"))?;
        Ok(self.cable_at(u8::try_from(index + 1)?))
    }

    fn cable_at(&self, place: u8) -> String {
        format!("{}.{place}", self.switch)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for machine in self.machines.lock().iter() {
            // Its cable goes with it.
            let _ = ip(&["netns", "delete", &self.namespace(machine)]);
        }
        let _ = ip(&["link", "delete", &self.switch]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output();
    let output = output.context("ip does not start")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {}: {said}", words.join(" "));
    Ok(())
}
