//! Whoever keeps a Kubernetes with nodes: a process of its own, which begins the nodes, makes volumes
//! and balances load while they run, and ends with them.

use std::fs;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{interval, timeout};

use super::balancer::Balancer;
use super::commands::run;
use super::node::{Node, POLICY, Site};
use super::state::State;
use super::switch::Switch;
use super::{add_ons, files, volumes};
use crate::kubernetes::access::Access;
use crate::kubernetes::pki::{Pki, kubeconfig};
use crate::{say, wait};

/// For each step of a start, on a busy machine.
const START: Duration = Duration::from_secs(120);
/// Between two looks at claims and Services, and for one of them.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);
/// The hidden command that becomes the keeper.
pub(super) const COMMAND: &str = "kubernetes-keeper";
/// Said to the keeper: from now on it stays when nobody listens any more.
pub(super) const STAY: &str = "stay";
/// Said to the keeper, with a number: that node is to come again.
pub(super) const AGAIN: &str = "again";

/// What is kept, and where.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    folder: PathBuf,
    #[arg(long)]
    nodes: u8,
}

/// Keeps it until told to end: by a signal, or when its standard input does and nobody said
/// [`STAY`]. Its folder goes too, unless it did not start: then the logs say why.
pub fn run_keeper(args: KeeperArgs) -> Result<bool> {
    // A signal that a terminal sends to whoever began us is not for us.
    rustix::process::setsid()?;
    // What it mounts shows up on nodes.
    run("mount", &["--make-rshared", "/"])?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut keeper = Keeper::new(args)?;
        let outcome = keeper.run().await;
        let state = keeper.end();
        state.sweep().await?;
        match outcome {
            Ok(folder) => {
                volumes::end(&folder)?;
                fs::remove_dir_all(folder)?;
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    })
}

struct Keeper {
    folder: PathBuf,
    count: u8,
    state: State,
    // In the order in which they end.
    nodes: Vec<(u8, Node)>,
    switch: Option<Switch>,
}

impl Keeper {
    fn new(args: KeeperArgs) -> Result<Self> {
        let state = State::ours()?;
        state.write(&args.folder)?;
        Ok(Self {
            folder: args.folder,
            count: args.nodes,
            state,
            nodes: Vec::new(),
            switch: None,
        })
    }

    /// Until it is told to end; the folder that may go then.
    async fn run(&mut self) -> Result<PathBuf> {
        let mut told = Told::new()?;
        let site = select! {
            outcome = self.boot() => outcome?,
            () = told.ends() => return Ok(self.folder.clone()),
        };
        let client = Access::new(&self.folder).client().await?;
        let mut balancer = Balancer::default();
        let mut trouble = String::new();
        let mut ticks = interval(LOOK);
        loop {
            select! {
                told = told.next() => match told {
                    Word::End => return Ok(self.folder.clone()),
                    // It has its images from before.
                    Word::Again(index) => self.begin(&site, index).await?,
                },
                _tick = ticks.tick() => {
                    let now = look(&client, &site, &mut balancer).await;
                    let now = now.map_or_else(|error| format!("{error:#}"), |()| String::new());
                    if now != trouble && !now.is_empty() {
                        say::line(&now);
                    }
                    trouble = now;
                }
            }
        }
    }

    async fn boot(&mut self) -> Result<Site> {
        let began = Instant::now();
        let after = |what: &str| {
            let seconds = began.elapsed().as_secs_f64();
            say::line(&format!("{what} after {seconds:.1} s"));
        };
        let switch = self.switch.insert(Switch::set_up(&self.folder).await?);
        let net = switch.net();
        self.state.net = Some(net);
        self.state.write(&self.folder)?;
        let site = Site {
            folder: self.folder.clone(),
            nodes: self.count,
            net,
        };
        write_access(&site)?;
        for index in 1..=self.count {
            self.begin(&site, index).await?;
        }
        after(&format!("{} begun", nodes(self.count)));
        for (index, _) in &self.nodes {
            self.bring(*index).await?;
        }
        after("images are there");
        let access = Access::new(&self.folder);
        let ready = || access.is_ready();
        wait::until("Kubernetes' API is ready", START, ready).await?;
        after("the API answers");
        add_ons::install(&access)?;
        let client = access.client().await?;
        wait::until("the nodes are ready", START, || self.are_ready(&client)).await?;
        after("the nodes are ready");
        let dns = || dns_is_ready(&client);
        wait::until("the cluster's DNS is ready", START, dns).await?;
        after("DNS answers");
        self.state.ready = true;
        self.state.write(&self.folder)?;
        Ok(site)
    }

    /// Starts a node, again if it was there before.
    async fn begin(&mut self, site: &Site, index: u8) -> Result<()> {
        let name = Site::name(index);
        // Whatever is left of it goes first.
        self.nodes.retain(|(known, _)| *known != index);
        if let Some(before) = self.state.nodes.get(&name) {
            super::state::ended(&format!("{name} has ended"), before).await?;
        }
        let switch = self.switch.as_ref().context("there is no switch")?;
        let node = site.start(index, switch).await?;
        self.state.nodes.insert(name.clone(), node.first.clone());
        self.state.write(&self.folder)?;
        self.nodes.push((index, node));
        Ok(())
    }

    /// Brings the images that all pods need, as soon as the node takes some.
    async fn bring(&self, index: u8) -> Result<()> {
        let name = Site::name(index);
        let first = self.state.nodes.get(&name);
        let first = first.with_context(|| format!("{name} was not begun"))?;
        let bring = || async { add_ons::bring(&self.folder, first) };
        wait::until(&format!("{name} has images"), START, bring).await
    }

    async fn are_ready(&self, client: &Client) -> Result<()> {
        let all: Api<v1::Node> = Api::all(client.clone());
        let found = all.list(&ListParams::default()).await?.items;
        let ready = found.iter().filter(|node| is_ready(node)).count();
        ensure!(ready == usize::from(self.count), "{ready} are");
        Ok(())
    }

    /// Ends all that is a part of this process; what may be left is in the state.
    fn end(self) -> State {
        self.state
    }
}

/// "2 nodes".
fn nodes(count: u8) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} node{s}")
}

/// Certificates, and the files that lead in with them.
fn write_access(site: &Site) -> Result<()> {
    let pki = Pki::create(site.folder.join("pki"))?;
    pki.server("apiserver", &[site.net.node(1), super::addresses::API])?;
    pki.client("admin", "system:masters")?;
    let server = site.server();
    let admin = Access::new(&site.folder).kubeconfig();
    fs::write(admin, kubeconfig(&pki, "admin", &server))?;
    for index in 1..=site.nodes {
        let name = Site::name(index);
        pki.node(&name, site.net.node(index))?;
        let file = pki.folder().join(format!("{name}.kubeconfig"));
        fs::write(file, kubeconfig(&pki, &name, &server))?;
    }
    fs::write(site.folder.join(POLICY), files::audit().to_string())?;
    Ok(())
}

fn is_ready(node: &v1::Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

async fn dns_is_ready(client: &Client) -> Result<()> {
    let all: Api<Deployment> = Api::namespaced(client.clone(), "kube-system");
    let status = all.get("coredns").await?.status;
    let ready = status.and_then(|status| status.ready_replicas);
    ensure!(ready == Some(1), "{ready:?} are");
    Ok(())
}

async fn look(client: &Client, site: &Site, balancer: &mut Balancer) -> Result<()> {
    let both = async {
        volumes::look(client, &site.folder).await?;
        balancer.look(client, site.net).await
    };
    timeout(PATIENCE, both).await.context("the API hangs")?
}

/// What a keeper is told.
enum Word {
    End,
    Again(u8),
}

struct Told {
    /// Lines; none when standard input has ended.
    lines: UnboundedReceiver<Option<String>>,
    listens: bool,
    stays: bool,
    signals: [tokio::signal::unix::Signal; 2],
}

impl Told {
    fn new() -> Result<Self> {
        let (tell, lines) = unbounded_channel();
        // It may wait for ever, and ends with this process.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                // Whoever listened has ended.
                let _ = tell.send(Some(line));
            }
            let _ = tell.send(None);
        });
        Ok(Self {
            lines,
            listens: true,
            stays: false,
            signals: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            ],
        })
    }

    async fn ends(&mut self) {
        while !matches!(self.next().await, Word::End) {}
    }

    async fn next(&mut self) -> Word {
        let [terminate, interrupt] = &mut self.signals;
        loop {
            let line = select! {
                line = self.lines.recv(), if self.listens => line.flatten(),
                _ = terminate.recv() => return Word::End,
                _ = interrupt.recv() => return Word::End,
            };
            match line {
                Some(line) if line == STAY => self.stays = true,
                Some(line) => match again(&line) {
                    Some(index) => return Word::Again(index),
                    None => say::line(&format!("not understood: {line}")),
                },
                None if self.stays => self.listens = false,
                None => return Word::End,
            }
        }
    }
}

fn again(line: &str) -> Option<u8> {
    line.strip_prefix(AGAIN)?.trim().parse().ok()
}
