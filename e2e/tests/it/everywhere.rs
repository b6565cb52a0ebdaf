//! `*:PORT` is every address of a machine, of both kinds, also where IPv6 is switched off.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::network::Machine;
use e2e::{binaries, wait};
use kit::authority::Authority;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;

const PATIENCE: Duration = Duration::from_secs(60);

/// Greets who connects to it by IPv6 over there.
const BY_IPV6: &str = r"
import socket
print(socket.create_connection(('::1', 1110), timeout=10).recv(3).decode())
";

/// A proxy over there; it ends with this value.
struct Proxy {
    child: Child,
    _folder: TempDir,
}

impl Proxy {
    fn start(machine: &Machine) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let cluster = ClusterId::random();
        let authority = Authority::create(&at("ca"), cluster)?;
        let proxy = Identity::new(cluster, Tier::Proxy, "proxy-0")?;
        authority.issue(&proxy, &at("proxy-0"))?;
        authority.issue_public(&["localhost"], &at("public"))?;
        let mut command = machine.command(&binaries::path("buzonera-proxy")?.to_string_lossy());
        command
            .args(["--pop3-listen=*:1110", "--pop3s-listen=*:1995"])
            .args(["--admin-listen=*:9400", "--lame-duck=0s"])
            .arg("--directory=directory-0=127.0.0.1:1")
            .arg("--identity")
            .arg(at("proxy-0"))
            .arg("--tls")
            .arg(at("public"))
            .stderr(Stdio::null());
        let child = command.spawn().context("the proxy does not start")?;
        Ok(Self {
            child,
            _folder: folder,
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn greets(at: SocketAddr) -> Result<()> {
    let mut greeting = [0; 3];
    let mut stream = TcpStream::connect(at).await?;
    stream.read_exact(&mut greeting).await?;
    ensure!(&greeting == b"+OK", "{greeting:?}");
    Ok(())
}

fn over_there(mut command: Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn switch_ipv6(machine: &Machine, disabled: &str) -> Result<()> {
    let mut command = machine.command("sysctl");
    command.args(["-q", "-w"]);
    command.arg(format!("net.ipv6.conf.all.disable_ipv6={disabled}"));
    over_there(command).map(|_| ())
}

#[tokio::test]
#[cfg_attr(
    not(namespaces),
    ignore = "network namespaces cannot be made here (root, iproute2)"
)]
async fn a_star_listens_at_every_address_of_both_kinds() {
    let machine = Machine::plug_in().unwrap();
    let mut loopback = machine.command("ip");
    loopback.args(["link", "set", "lo", "up"]);
    over_there(loopback).unwrap();
    let at = SocketAddr::new(machine.there(), 1110);
    let proxy = Proxy::start(&machine).unwrap();
    wait::until("it greets by IPv4", PATIENCE, || greets(at))
        .await
        .unwrap();
    let mut client = machine.command("python3");
    client.args(["-c", BY_IPV6]);
    assert_eq!(over_there(client).unwrap(), "+OK\n");
    drop(proxy);

    switch_ipv6(&machine, "1").unwrap();
    let _proxy = Proxy::start(&machine).unwrap();
    wait::until("it greets without IPv6", PATIENCE, || greets(at))
        .await
        .unwrap();
}
