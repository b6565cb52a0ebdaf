//! The network between this machine and the nodes: a switch in a namespace of its own, so that no
//! rule of this machine's firewall is in the way, and nothing of it stays when that ends.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::addresses::Net;
use super::commands::run;
use crate::process::Process;
use crate::wait;

/// For the holder to have its namespace.
const START: Duration = Duration::from_secs(10);

/// A switch with a cable to this machine. It goes with this value, or with this process.
pub(super) struct Switch {
    net: Net,
    // It only is there: its network namespace is the switch's.
    holder: Process,
}

impl Switch {
    /// Sets it up, in the first network that is free.
    pub(super) async fn set_up(folder: &Path) -> Result<Self> {
        let unshare = Path::new("unshare");
        let holder = Process::start("switch", folder, unshare, ["--net", "sleep", "infinity"])?;
        wait::until("the switch has a namespace", START, || async {
            let own = fs::read_link(format!("/proc/{}/ns/net", holder.id()))?;
            ensure!(own != fs::read_link("/proc/self/ns/net")?, "not yet");
            Ok(())
        })
        .await?;
        let net = plug_in_here(&holder)?;
        let switch = Self { net, holder };
        switch.ip(&["link", "add", "switch", "type", "bridge"])?;
        switch.ip(&["link", "set", "switch", "up"])?;
        switch.connect("here")?;
        let (name, here) = (net.name(), format!("{}/24", net.here()));
        run("ip", &["address", "add", &here, "dev", &name])?;
        run("ip", &["link", "set", &name, "up"])?;
        Ok(switch)
    }

    /// Which network it is.
    pub(super) fn net(&self) -> Net {
        self.net
    }

    /// Connects the `eth0` of a node, whose first process has that id here.
    pub(super) fn plug_in(&self, node: &str, pid: u32) -> Result<()> {
        let pid = pid.to_string();
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &pid];
        self.ip(&[&["link", "add", node][..], &peer].concat())?;
        self.connect(node)
    }

    fn connect(&self, cable: &str) -> Result<()> {
        self.ip(&["link", "set", cable, "master", "switch", "up"])
    }

    fn ip(&self, words: &[&str]) -> Result<()> {
        let holder = self.holder.id().to_string();
        let within = ["--target", &holder, "--net", "ip"];
        run("nsenter", &[&within, words].concat()).map(drop)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // It would go with the namespace, but in its own time.
        let _ = unplug(self.net);
    }
}

/// Takes this machine's end of the cable away, and with it the routes that lead there.
pub(super) fn unplug(net: Net) -> Result<()> {
    let name = net.name();
    match is_plugged_in(net) {
        true => run("ip", &["link", "delete", &name]).map(drop),
        false => Ok(()),
    }
}

/// Whether this machine has an end of the cable.
pub(super) fn is_plugged_in(net: Net) -> bool {
    Path::new("/sys/class/net").join(net.name()).exists()
}

/// The cable's name claims the network: the kernel gives it once.
fn plug_in_here(holder: &Process) -> Result<Net> {
    let holder = holder.id().to_string();
    for net in Net::all() {
        let name = net.name();
        let peer = ["type", "veth", "peer", "name", "here", "netns", &holder];
        let made = run("ip", &[&["link", "add", &name][..], &peer].concat());
        match made {
            Ok(_) => return Ok(net),
            Err(error) if !is_plugged_in(net) => {
                return Err(error).context("no cable can be made");
            }
            Err(_taken) => {}
        }
    }
    bail!("every network for tests is taken: `ip link` shows them")
}
