//! A shard that is stopped on purpose runs, leaves its volume to others, and ends when asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_stopped_shard_leaves_its_volume_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let admin = free();
    let mut shard = Running(start(&data, admin));
    until("it is not ready, and says why", || {
        let answer = get(admin, "/readyz")?;
        (answer.contains(" 503 ") && answer.contains("stopped on purpose")).then_some(())
    });
    assert!(get(admin, "/livez").unwrap().contains(" 200 "));
    let rebuilt = program()
        .args(["rebuild-index", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&rebuilt.stderr);
    assert!(rebuilt.status.success(), "{said}");
    let pid = Pid::from_child(&shard.0);
    kill_process(pid, Signal::TERM).unwrap();
    until("it ended as asked", || {
        let ended = shard.0.try_wait().unwrap()?;
        assert!(ended.success(), "{ended}");
        Some(())
    });
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_buzonera-storage"))
}

/// Its identity is not looked at: nobody is told anything.
fn start(data: &Path, admin: SocketAddr) -> Child {
    program()
        .args(["--stopped=true", "--identity=nowhere", "--lame-duck=0s"])
        .args(["--directory=directory-0=127.0.0.1:1", "--advertise=::1"])
        .arg(format!("--admin-listen={admin}"))
        .arg("--data")
        .arg(data)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn get(at: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::yield_now();
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
