//! What pods run on the tests' Kubernetes: the first process of every pod, and small works for tests.
//! It is static, as the tiers are, and its image has nothing else.

use std::io::{self, Write as _};
use std::net::{Ipv6Addr, TcpListener, ToSocketAddrs as _};
use std::time::Duration;
use std::{env, fs};

use rustix::process::{WaitOptions, wait};

/// Between two looks for children, while there are none.
const PAUSE: Duration = Duration::from_secs(1);

/// Without words it holds a pod. What goes wrong ends it with 1 and says why.
fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => hold(),
        ["resolve", host] => resolve(host),
        ["read", file] => say(&fs::read_to_string(file)?),
        ["write", file, text] => fs::write(file, text),
        ["serve", port, text] => serve(port, text),
        _ => Err(io::Error::other(
            "resolve HOST, read FILE, write FILE TEXT or serve PORT TEXT",
        )),
    }
}

/// Collects what ends in the pod when its containers share their processes. It is the pod's first
/// process, so that no signal but SIGKILL ends it.
fn hold() -> io::Result<()> {
    loop {
        // It waits for a child to end, and fails at once when there is none.
        if wait(WaitOptions::empty()).is_err() {
            std::thread::sleep(PAUSE);
        }
    }
}

/// As every program of ours finds others: by the system's resolver.
fn resolve(host: &str) -> io::Result<()> {
    for address in (host, 0).to_socket_addrs()? {
        say(&format!("{}\n", address.ip()))?;
    }
    Ok(())
}

/// Tells everybody who connects.
fn serve(port: &str, text: &str) -> io::Result<()> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    for stream in listener.incoming() {
        // Whoever went away is told nothing.
        let _ = stream.and_then(|mut stream| stream.write_all(text.as_bytes()));
    }
    Ok(())
}

fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}
