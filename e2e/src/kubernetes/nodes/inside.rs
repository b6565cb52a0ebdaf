//! The first process of a node. Whatever runs on the node began here, and ends with it at once.

use std::fs::{self, OpenOptions};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{WaitOptions, wait};

use super::commands::run;
use super::plan::{Door, Plan, Program};
use crate::say;

/// For the cable to be plugged in, and for a program to answer on a busy machine.
const START: Duration = Duration::from_secs(120);
/// Between two looks, and before a program that ended begins again.
const PAUSE: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_secs(1);
/// How often one program may end before the node gives up.
const ENDS: u32 = 10;
/// Where the system has its own programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What kubelet would set for this whole machine. It finds them as it likes them instead.
const SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Becomes the node that the file says. Returns only if the node cannot go on.
pub fn run_node(plan: &Path) -> Result<bool> {
    let plan: Plan = serde_json::from_slice(&fs::read(plan)?)?;
    own_files(&plan)?;
    own_network(&plan)?;
    Node::boot(plan)?.keep()
}

/// Its own `/run`, `/var/lib` and `/var/log`; the last two are kept for when it comes again.
fn own_files(plan: &Plan) -> Result<()> {
    // Pods' volumes have to show up in them.
    run("mount", &["--make-rshared", "/"])?;
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    for folder in ["/run/netns", "/run/tmp", "/run/settings"] {
        fs::create_dir_all(folder)?;
    }
    for folder in ["lib", "log"] {
        let kept = plan.folder.join("var").join(folder);
        fs::create_dir_all(&kept)?;
        let shown = format!("/var/{folder}");
        run("mount", &["--bind", &kept.display().to_string(), &shown])?;
    }
    for (name, value) in SETTINGS {
        let ours = format!("/run/settings/{}", name.replace('/', "."));
        fs::write(&ours, format!("{value}\n"))?;
        run("mount", &["--bind", &ours, &format!("/proc/sys/{name}")])?;
    }
    Ok(())
}

/// Its name, its end of the cable, and the ways to other nodes' pods.
fn own_network(plan: &Plan) -> Result<()> {
    fs::write("/proc/sys/kernel/hostname", &plan.name)?;
    let began = Instant::now();
    while run("ip", &["link", "show", "eth0"]).is_err() {
        if began.elapsed() > START {
            bail!("nobody plugs {} in", plan.name);
        }
        sleep(PAUSE);
    }
    run("ip", &["link", "set", "lo", "up"])?;
    let address = format!("{}/24", plan.address);
    run("ip", &["address", "add", &address, "dev", "eth0"])?;
    run("ip", &["link", "set", "eth0", "up"])?;
    let route = |to: &str, by: &str| run("ip", &["route", "add", to, "via", by]);
    route("default", &plan.gateway.to_string())?;
    for (network, node) in &plan.routes {
        route(network, &node.to_string())?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    // Pods of one node reach each other by a Service's address, and the answers come back by it.
    fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1")?;
    Ok(())
}

/// A node's programs, which always run.
struct Node {
    plan: Plan,
    running: Vec<Running>,
}

struct Running {
    child: Child,
    ends: u32,
}

impl Node {
    /// Starts one program after the other, each when those answer that it needs.
    fn boot(plan: Plan) -> Result<Self> {
        let mut running = Vec::new();
        for program in &plan.programs {
            for door in &program.after {
                opens(door, &plan.programs, &mut running)?;
            }
            let child = start(program, &plan.folder)?;
            running.push(Running { child, ends: 0 });
        }
        say::line(&format!("{} has begun", plan.name));
        Ok(Self { plan, running })
    }

    /// Collects whatever ends on the node, and starts programs again.
    fn keep(mut self) -> Result<bool> {
        loop {
            let Some((pid, status)) = wait(WaitOptions::empty())? else {
                continue;
            };
            let pid = pid.as_raw_nonzero().get().cast_unsigned();
            let ours = self.running.iter().position(|ours| ours.child.id() == pid);
            if let Some(index) = ours {
                say::line(&format!("{}: {status:?}", self.plan.programs[index].name));
                self.again(index)?;
            }
        }
    }

    fn again(&mut self, index: usize) -> Result<()> {
        let program = &self.plan.programs[index];
        let ends = self.running[index].ends + 1;
        if ends > ENDS {
            bail!("{} ended {ENDS} times", program.name);
        }
        sleep(AGAIN);
        let child = start(program, &self.plan.folder)?;
        self.running[index] = Running { child, ends };
        Ok(())
    }
}

fn start(program: &Program, folder: &Path) -> Result<Child> {
    let Program { name, path, .. } = program;
    let logs = folder.join("log");
    fs::create_dir_all(&logs)?;
    let log = logs.join(format!("{name}.log"));
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(path);
    command.args(&program.arguments).current_dir(folder);
    command.env("PATH", PATH).env("TMPDIR", "/run/tmp");
    command.env("HOME", folder).env_remove("KUBECONFIG");
    command.stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    let child = command.spawn();
    child.with_context(|| format!("cannot start {name} ({})", path.display()))
}

/// Waits until somebody answers there; should a program end meanwhile, that is why nobody will.
fn opens(door: &Door, programs: &[Program], running: &mut [Running]) -> Result<()> {
    let began = Instant::now();
    while !is_open(door) {
        for (program, ours) in programs.iter().zip(running.iter_mut()) {
            if let Some(status) = ours.child.try_wait()? {
                bail!("{} ended: {status}", program.name);
            }
        }
        if began.elapsed() > START {
            bail!("{door:?}: nobody answers");
        }
        sleep(PAUSE);
    }
    Ok(())
}

fn is_open(door: &Door) -> bool {
    match door {
        Door::Port(address) => TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok(),
        Door::Socket(path) => UnixStream::connect(path).is_ok(),
    }
}
