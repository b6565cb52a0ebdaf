//! A mail program that vanishes from the network without a word loses its lock within 60 s.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::network::Machine;
use e2e::{pop3, say, wait};

use crate::support::{ANA, PASSWORD, TestSite};

const BO: &str = "bo@example.org";

/// What is promised.
const LIMIT: Duration = Duration::from_secs(60);

/// Logs in over TLS, asks for what it is told to, says so, and then neither reads nor writes.
const CLIENT: &str = r"
import socket, ssl, sys
host, port, ca, user, password, ask = sys.argv[1:7]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
plain = socket.create_connection((host, int(port)), timeout=60)
peer = context.wrap_socket(plain)
lines = peer.makefile('rb')
assert lines.readline().startswith(b'+OK')
for command in ('USER ' + user, 'PASS ' + password):
    peer.sendall(command.encode() + b'\r\n')
    line = lines.readline()
    assert line.startswith(b'+OK'), line
peer.sendall(ask.encode() + b'\r\n')
assert lines.readline().startswith(b'+OK')
print('busy', flush=True)
sys.stdin.read()
";

/// A client over there; it ends with this value.
struct Client {
    child: Child,
    _said: BufReader<ChildStdout>,
}

impl Client {
    fn start(machine: &Machine, site: &TestSite, user: &str, ask: &str) -> Result<Self> {
        let mut command = machine.command("python3");
        command.args(["-c", CLIENT, &machine.here().to_string()]);
        command.arg(site.ports().pop3s.to_string()).arg(site.ca());
        command.args([user, PASSWORD, ask]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the client does not start")?;
        let mut said = BufReader::new(child.stdout.take().context("there is a pipe")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line == "busy\n", "the client says {line:?}");
        Ok(Self { child, _said: said })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[cfg_attr(
    not(namespaces),
    ignore = "network namespaces cannot be made here (root, iproute2)"
)]
async fn a_client_that_vanished_loses_its_lock() {
    let site = TestSite::with_flags(&["--listen", "0.0.0.0"])
        .await
        .unwrap();
    site.add_domain("example.org").unwrap();
    for user in [ANA, BO] {
        site.add_account(user, PASSWORD).unwrap();
    }
    // More than all buffers on its way hold: who does not read stops us in the middle of it.
    let text = e2e::message::compose(1, crate::support::FROM, BO, 40 << 20);
    site.send_text(BO, &text).await.unwrap();
    let machine = Machine::plug_in().unwrap();
    let idle = Client::start(&machine, &site, ANA, "NOOP").unwrap();
    let stuck = Client::start(&machine, &site, BO, "RETR 1").unwrap();
    for user in [ANA, BO] {
        let refused = format!("{:#}", site.login(user).await.err().unwrap());
        assert!(refused.contains("[IN-USE]"), "{refused}");
    }
    machine.unplug().unwrap();
    let unplugged = Instant::now();
    for user in [ANA, BO] {
        lock_is_free(&site, user, unplugged).await.unwrap();
        let after = unplugged.elapsed().as_secs_f64();
        say::line(&format!("dead peer: {user} may log in after {after:.0} s"));
    }
    drop((idle, stuck));
}

async fn lock_is_free(site: &TestSite, user: &str, since: Instant) -> Result<()> {
    let left = LIMIT.saturating_sub(since.elapsed());
    let client: pop3::Client = wait::until("the lock is free", left, || async {
        match site.login(user).await {
            Ok(client) => Ok(client),
            Err(error) => bail!("{error:#}"),
        }
    })
    .await?;
    client.quit().await
}
