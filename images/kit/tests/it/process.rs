//! A whole process: settings, signals, descriptors running out. Each runs in a child, which is
//! this test binary again, with only the ignored test below.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use buzonera_kit::config::{Program, Settings};
use buzonera_kit::listener::{Admission, Listener, ListenerConfig};
use buzonera_kit::process::{Process, main_from};
use rustix::fs::Mode;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit, umask};

use crate::support::{ANY, PATIENCE};

/// The command line for the child, words separated by blanks.
const ARGS: &str = "BUZONERA_TEST_ARGS";
/// What its lines for us begin with; libtest prints others.
const TAG: &str = "child:";

buzonera_kit::settings! {
    struct Sample {
        /// Whether a session never ends.
        hold: bool as "true|false",
        /// Whether it never returns, whatever it is asked.
        stuck: bool as "true|false",
        /// The most open files; 0 leaves the limit alone.
        files: u64 as "N",
    }
}

impl Settings for Sample {}

const PROGRAM: Program = Program {
    name: "buzonera-sample",
    about: "A sample tier",
    version: "1",
};

#[test]
#[ignore = "run as a child by the other tests of this file"]
fn child() {
    let words = std::env::var(ARGS).unwrap();
    let args = [PROGRAM.name].into_iter().chain(words.split_whitespace());
    let code = main_from(&PROGRAM, args.map(Into::into), run);
    // A failed assertion would end with 101; this is the code that a tier's main returns.
    std::process::exit(if code == 0.into() { 0 } else { 3 });
}

/// A tier that accepts connections until it is to close.
async fn run(config: Sample, process: Process) -> Result<(), std::io::Error> {
    if config.files > 0 {
        let limit = Some(config.files);
        let limit = Rlimit {
            current: limit,
            maximum: limit,
        };
        setrlimit(Resource::Nofile, limit)?;
    }
    if config.hold {
        process.shutdown.spawn("held", std::future::pending());
    }
    let mut listener = Listener::bind(ListenerConfig::new("sample", "--listen", ANY)).unwrap();
    tell(&format!("listening {}", listener.local_addr()));
    let mut inside = Vec::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = process.shutdown.closing() => break,
        };
        if let Admission::Admitted(permit) = accepted.admission {
            tell("accepted");
            inside.push((accepted.stream, permit));
        }
    }
    if config.stuck {
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn tell(what: &str) {
    println!("{TAG}{what}");
}

struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(args: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::child", "--ignored", "--nocapture"])
            .env(ARGS, args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The next line that the child wrote for us, without its tag.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "the child ended");
            if let Some((_, told)) = line.split_once(TAG) {
                return told.trim_end().to_owned();
            }
        }
    }

    fn address(&mut self) -> SocketAddr {
        let line = self.line();
        line.strip_prefix("listening ").unwrap().parse().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ended(&mut self) -> (ExitStatus, String) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                let err = self.child.stderr.as_mut().unwrap();
                err.read_to_string(&mut said).unwrap();
                return (status, said);
            }
            assert!(started.elapsed() < PATIENCE, "the child does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_accepts_through_the_lame_duck_time_and_ends_well() {
    let mut running = Running::start("--lame-duck 2s --admin-listen 127.0.0.1:0");
    let address = running.address();
    running.signal(Signal::TERM);
    let asked = Instant::now();
    TcpStream::connect(address).unwrap();
    assert_eq!(running.line(), "accepted");
    let (status, said) = running.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(asked.elapsed() >= Duration::from_millis(1900));
    assert!(said.contains("SIGTERM"), "{said}");
    TcpStream::connect(address).unwrap_err();
}

/// The child begins with the umask that it inherits from us, which lets others read.
#[test]
fn what_it_creates_is_its_users_alone() {
    umask(Mode::WGRP | Mode::WOTH);
    let mut running = Running::start("--admin-listen 127.0.0.1:0");
    running.address();
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id()));
    let status = status.unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    assert_eq!(mask.map(str::trim), Some("0077"), "{status}");
}

#[test]
fn a_second_signal_cuts_what_is_at_work() {
    let mut running =
        Running::start("--hold true --lame-duck 1h --drain 1h --admin-listen 127.0.0.1:0");
    let address = running.address();
    running.signal(Signal::TERM);
    TcpStream::connect(address).unwrap();
    assert_eq!(running.line(), "accepted");
    running.signal(Signal::INT);
    let (status, said) = running.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("cut off at the deadline: 1 held"), "{said}");
}

#[test]
fn after_lame_duck_and_drain_it_has_ended() {
    let mut running =
        Running::start("--hold true --lame-duck 1s --drain 1s --admin-listen 127.0.0.1:0");
    running.address();
    running.signal(Signal::TERM);
    let asked = Instant::now();
    let (status, said) = running.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(asked.elapsed() >= Duration::from_secs(2));
    assert!(said.contains("cut off at the deadline: 1 held"), "{said}");
}

#[test]
fn a_tier_that_does_not_return_is_ended() {
    let mut running =
        Running::start("--stuck true --lame-duck 0s --drain 0s --admin-listen 127.0.0.1:0");
    running.address();
    running.signal(Signal::TERM);
    let (status, said) = running.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("not ended in time"), "{said}");
}

#[test]
fn wrong_settings_are_all_named_and_no_port_opens() {
    let mut running = Running::start("--hold maybe --lame-duck soon --log loud");
    let (status, said) = running.ended();
    assert_eq!(status.code(), Some(3), "{said}");
    for part in ["buzonera-sample", "--hold", "--lame-duck", "--log", "20s"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn without_descriptors_it_waits_and_does_not_spin() {
    let mut running =
        Running::start("--files 40 --lame-duck 0s --admin-listen 127.0.0.1:0 --log json");
    let address = running.address();
    // More than it has descriptors for: the rest waits in the kernel.
    let _clients: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let before = cpu_ticks(running.child.id());
    let mut log = BufReader::new(running.child.stderr.take().unwrap());
    let mut complaints = 0;
    while complaints < 4 {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the child ended");
        complaints += usize::from(line.contains("cannot accept"));
    }
    let spent = cpu_ticks(running.child.id()) - before;
    assert!(spent < 50, "{spent} ticks spent on waiting");
    running.signal(Signal::TERM);
    assert!(running.child.wait().unwrap().success());
}

/// CPU time of a process, user and system, in hundredths of a second.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), counted from 3 after the name.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
