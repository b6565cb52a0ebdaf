//! Every tier as a process of its own, over etcd: what is frozen and killed.

mod admin;
mod etcd;
mod member;
mod places;
mod sick;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kit::authority::Authority;
use rustls::ClientConfig;
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;

pub use self::admin::Admin;
pub use self::etcd::Etcd;
pub use self::member::Member;
pub use self::places::Places;
pub use self::sick::{SlowDisk, fill};
use crate::errors::Announced;
use crate::site::feed;
use crate::{binaries, pop3, ports, wait};

/// How long the whole may take to come up on a busy machine.
const START: Duration = Duration::from_secs(90);

/// A cluster in a folder: etcd, two directory replicas, shards, an MX and a proxy.
pub struct Cluster {
    folder: PathBuf,
    authority: Authority,
    directories: Vec<SocketAddr>,
    at: Places,
    /// The store; not a tier.
    pub etcd: Etcd,
    /// Directory replicas, shards, the MX and the proxy.
    pub tiers: Vec<Member>,
    /// Where mail comes in.
    pub smtp: SocketAddr,
    /// Where mail is read.
    pub pop3s: SocketAddr,
    /// Where MX answers for its spool.
    pub mx: SocketAddr,
    announced: Announced,
}

/// Directory replicas.
const REPLICAS: usize = 2;

impl Cluster {
    /// Starts one in `folder` with so many shards over one etcd, all on this machine, and returns
    /// when every tier is ready.
    pub async fn start(folder: &Path, shards: usize) -> Result<Self> {
        Self::start_at(folder, shards, 1, Places::together()).await
    }

    /// As [`Self::start`], with so many members of etcd, and wherever `at` says.
    pub async fn start_at(folder: &Path, shards: usize, etcds: usize, at: Places) -> Result<Self> {
        let cluster = ClusterId::random();
        let authority = Authority::create(&folder.join("ca"), cluster)?;
        authority.issue_public(&["localhost", "127.0.0.1"], &folder.join("public"))?;
        let etcd = Etcd::new(etcds, folder, &at)?;
        let mut this = Self {
            folder: folder.to_owned(),
            authority,
            directories: (0..REPLICAS)
                .map(|replica| at.address(&directory_name(replica)))
                .collect::<Result<_>>()?,
            etcd,
            tiers: Vec::new(),
            smtp: at.address("mx-1")?,
            pop3s: at.address("proxy-1")?,
            mx: at.address("mx-1")?,
            at,
            announced: Announced::default(),
        };
        this.list_replicas()?;
        for member in &mut this.etcd.members {
            member.start()?;
        }
        for replica in 0..REPLICAS {
            this.add_directory(replica)?;
            this.tiers[replica].start()?;
        }
        wait::until("the store is the cluster's", START, async || {
            let output = this.buzonera(&["directory", "bootstrap"], "")?;
            ensure!(output.status.success(), "{output:?}");
            Ok(())
        })
        .await?;
        for replica in 0..REPLICAS {
            this.tiers[replica].ready(START).await?;
            let admin = this.admin(replica)?;
            // A replica is ready before it has loaded: it sends callers to another meanwhile.
            wait::until("the replica answers", START, || admin.shards()).await?;
        }
        let admin = this.admin(0)?;
        for number in 1..=shards {
            admin.add_shard(&format!("shard-{number}")).await?;
            this.add_shard(number)?;
        }
        this.add_mx()?;
        this.add_proxy()?;
        for member in this.tiers.iter_mut().skip(REPLICAS) {
            member.start()?;
        }
        for member in &mut this.tiers {
            member.ready(START).await?;
        }
        Ok(this)
    }

    /// An administrator who asks one of the directory's replicas.
    pub fn admin(&self, replica: usize) -> Result<Admin> {
        let folder = self.identity(Tier::Admin, "tester")?;
        Admin::new(&folder, self.directories[replica], &directory_name(replica))
    }

    /// Runs `buzonera` as an administrator elsewhere does, who asks the first replica.
    pub fn buzonera(&self, words: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(binaries::path("buzonera")?);
        command.args(words).args(self.reach()?);
        if words.first() == Some(&"spool") {
            command.args(["--mx", &self.mx.to_string(), "--mx-instance", "mx-1"]);
        }
        feed(command, input)
    }

    /// The flags by which `buzonera` finds the first replica.
    pub fn reach(&self) -> Result<Vec<String>> {
        let identity = path(&self.identity(Tier::Admin, "tester")?);
        let server = self.directories[0].to_string();
        let flags = [
            ("--server", server),
            ("--identity", identity),
            ("--instance", directory_name(0)),
        ];
        let words = flags.into_iter();
        Ok(words
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect())
    }

    /// Where its members run.
    pub fn places(&self) -> &Places {
        &self.at
    }

    /// Waits until an incarnation of the shard after this one serves; which one it is.
    pub async fn serves(&self, shard: &str, after: u64, limit: Duration) -> Result<u64> {
        let admin = self.admin(0)?;
        wait::until(&format!("{shard} serves"), limit, || async {
            let shards = admin.shards().await?;
            let found = shards.into_iter().find(|info| info.name == shard);
            let info = found.context("there is no such shard")?;
            anyhow::ensure!(info.serving && info.incarnation > after, "{info:?}");
            anyhow::Ok(info.incarnation)
        })
        .await
    }

    /// The member of that name.
    pub fn member(&mut self, name: &str) -> Result<&mut Member> {
        let found = self.tiers.iter_mut().find(|member| member.name() == name);
        found.with_context(|| format!("there is no {name}"))
    }

    /// Trust in the public ports' certificate.
    pub fn trust(&self) -> Result<Arc<ClientConfig>> {
        pop3::trust(&self.folder.join("ca/ca.pem"))
    }

    /// ERROR lines that contain `part` are what the test is about.
    pub fn announce(&mut self, part: &str) {
        self.announced.announce(part);
    }

    /// The ERROR lines in the logs of all tiers that nobody announced.
    pub fn surprises(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for member in &self.tiers {
            found.extend(self.announced.surprises(&member.log())?);
        }
        Ok(found)
    }

    /// The ends of all logs, for a failure's report.
    pub fn logs(&self) -> String {
        let all = self.tiers.iter().chain(&self.etcd.members);
        all.map(|member| member.log_tail(6_000))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn add_directory(&mut self, replica: usize) -> Result<()> {
        let name = directory_name(replica);
        let flags = vec![
            ("--identity", path(&self.identity(Tier::Directory, &name)?)),
            ("--listen", self.directories[replica].to_string()),
            ("--store", self.etcd.store()),
        ];
        self.add("buzonera-directory", &name, flags)
    }

    fn add_shard(&mut self, number: usize) -> Result<()> {
        let name = format!("shard-{number}");
        let rpc = self.at.address(&name)?;
        let flags = vec![
            ("--identity", path(&self.identity(Tier::Storage, &name)?)),
            ("--data", path(&self.folder.join(&name).join("data"))),
            ("--directory-file", path(&self.replicas_file())),
            ("--rpc-listen", rpc.to_string()),
            ("--pop3-listen", self.at.address(&name)?.to_string()),
            ("--advertise", rpc.ip().to_string()),
        ];
        self.add("buzonera-storage", &name, flags)
    }

    fn add_mx(&mut self) -> Result<()> {
        let flags = vec![
            ("--identity", path(&self.identity(Tier::Mx, "mx-1")?)),
            ("--data", path(&self.folder.join("mx-1").join("data"))),
            ("--directory-file", path(&self.replicas_file())),
            ("--hostname", "mx.example.org".to_owned()),
            ("--smtp-listen", self.smtp.to_string()),
            ("--lmtp-listen", format!("127.0.0.1:{}", ports::free()?)),
            ("--rpc-listen", self.mx.to_string()),
            ("--tls", path(&self.folder.join("public"))),
        ];
        self.add("buzonera-mx", "mx-1", flags)
    }

    fn add_proxy(&mut self) -> Result<()> {
        let flags = vec![
            ("--identity", path(&self.identity(Tier::Proxy, "proxy-1")?)),
            ("--directory-file", path(&self.replicas_file())),
            ("--pop3-listen", self.at.address("proxy-1")?.to_string()),
            ("--pop3s-listen", self.pop3s.to_string()),
            ("--tls", path(&self.folder.join("public"))),
        ];
        self.add("buzonera-proxy", "proxy-1", flags)
    }

    fn add(&mut self, program: &str, name: &str, flags: Vec<(&str, String)>) -> Result<()> {
        let member = Member::tier(program, name, &self.folder, &self.at, flags)?;
        self.tiers.push(member);
        Ok(())
    }

    /// The identity folder of a process or person, made at the first call.
    pub fn identity(&self, tier: Tier, instance: &str) -> Result<PathBuf> {
        let folder = self
            .folder
            .join("identities")
            .join(format!("{tier}-{instance}"));
        if !folder.exists() {
            let identity = Identity::new(self.authority.cluster(), tier, instance)?;
            self.authority.issue(&identity, &folder)?;
        }
        Ok(folder)
    }

    /// Where every tier reads which replicas there are.
    fn replicas_file(&self) -> PathBuf {
        self.folder.join("replicas")
    }

    fn list_replicas(&self) -> Result<()> {
        let replicas = self.directories.iter().enumerate();
        let lines = replicas.map(|(index, at)| format!("{}={at}\n", directory_name(index)));
        Ok(fs::write(self.replicas_file(), lines.collect::<String>())?)
    }

    /// One more replica of the directory, as on Kubernetes: it starts before its identity is
    /// there, one of several in its folder, and the others learn of it by their list.
    pub async fn add_replica(&mut self) -> Result<()> {
        let replica = self.directories.len();
        let name = directory_name(replica);
        self.directories.push(self.at.address(&name)?);
        let shared = self.folder.join("identities").join("directory");
        fs::create_dir_all(&shared)?;
        let flags = vec![
            ("--identity", path(&shared)),
            ("--instance", name.clone()),
            ("--listen", self.directories[replica].to_string()),
            ("--store", self.etcd.store()),
        ];
        let mut member = Member::tier("buzonera-directory", &name, &self.folder, &self.at, flags)?;
        member.start()?;
        let own = self.identity(Tier::Directory, &name)?;
        fs::copy(own.join("ca.pem"), shared.join("ca.pem"))?;
        for file in ["cert.pem", "key.pem"] {
            fs::copy(own.join(file), shared.join(format!("{name}.{file}")))?;
        }
        member.ready(START).await?;
        self.tiers.push(member);
        self.list_replicas()
    }
}

fn directory_name(replica: usize) -> String {
    format!("directory-{}", replica + 1)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
