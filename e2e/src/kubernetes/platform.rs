//! Buzonera on a Kubernetes with nodes, as a person has it: by its chart and `kubectl`.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::access::Access;
use super::nodes::etcd_image;
use crate::real::Pop3s;
use crate::{places, wait};

/// The chart's release, and the namespace that it is in.
pub const RELEASE: &str = "buzonera";
/// The namespace of the operator.
pub const OPERATOR: &str = "buzonera-system";

/// For an operator to be ready: its image is on the nodes.
const OPERATOR_START: &str = "120s";

/// For pods to come and for images to be read by two nodes on a busy machine.
const READY: Duration = Duration::from_secs(300);

/// The registry that images are called after which lie on the nodes alone.
const ON_NODES: &str = "localhost";

/// One MailCluster.
#[derive(Debug, Clone)]
pub struct Platform {
    access: Access,
    namespace: String,
    name: String,
}

/// Installs the chart; the operator keeps the MailClusters of one namespace, or of all (`*`). `more`
/// is for helm.
pub fn install(access: &Access, watched: &str, more: &[&str]) -> Result<()> {
    let chart = chart();
    let watched = format!("watchNamespaces={{{watched}}}");
    let etcd = format!("etcdImage={}", etcd_image());
    let registry = format!("image.registry={ON_NODES}");
    let words = ["install", RELEASE, &chart, "--namespace", OPERATOR];
    let how = ["--create-namespace", "--wait", "--timeout", OPERATOR_START];
    let values = ["--set", &watched, "--set", &etcd, "--set", &registry];
    access.helm(&[&words[..], &how, &values, more].concat())?;
    Ok(())
}

/// The chart's folder.
pub fn chart() -> String {
    let folder = places::workspace().join("charts/buzonera");
    folder.display().to_string()
}

impl Platform {
    /// The MailCluster of that name, whether it is there or not.
    pub fn of(access: &Access, namespace: &str, name: &str) -> Self {
        Self {
            access: access.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Runs `kubectl` in its namespace.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        let within = ["--namespace", &self.namespace];
        Ok(self.access.kubectl(&[&within, words].concat())?.out)
    }

    /// As `kubectl apply --filename -` does.
    pub fn apply(&self, text: &str) -> Result<()> {
        let within = ["--namespace", &self.namespace];
        let words = [&within[..], &["apply", "--filename", "-"]].concat();
        let output = self.access.kubectl_fed(&words, text)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "kubectl apply: {said}");
        Ok(())
    }

    /// Edits the number of shards.
    pub fn scale(&self, shards: u32) -> Result<()> {
        let replicas = format!("--replicas={shards}");
        self.kubectl(&["scale", "mailcluster", &self.name, &replicas])?;
        Ok(())
    }

    /// The MailCluster as it is.
    pub fn look(&self) -> Result<Value> {
        let words = ["get", "mailcluster", &self.name, "--output", "json"];
        Ok(serde_json::from_str(&self.kubectl(&words)?)?)
    }

    /// The names of its shards, in order.
    pub fn shards(&self) -> Result<Vec<String>> {
        let said = self.kubectl(&["get", "mailboxshards", "--output", "name"])?;
        let name = |line: &str| line.rsplit('/').next().map(str::to_owned);
        Ok(said.lines().filter_map(name).collect())
    }

    /// Waits until all that was asked for is there and serves; `show` gets why it is not yet.
    pub async fn ready(&self, show: impl Fn(&str)) -> Result<()> {
        let ready = || async {
            let condition = Condition::of(&self.look()?, "Ready")?;
            show(&condition.to_string());
            ensure!(condition.is("True"), "{condition}");
            Ok(())
        };
        wait::until("the MailCluster is Ready", READY, ready).await
    }

    /// Runs `buzonera` beside a directory, as the README shows it; `input` is its standard input.
    pub fn buzonera(&self, words: &[&str], input: &str) -> Result<Output> {
        let directory = format!("{}-directory-0", self.name);
        let within = ["--namespace", &self.namespace, "exec", "--stdin", "--quiet"];
        let run = [&directory, "--", "buzonera"];
        self.access
            .kubectl_fed(&[&within[..], &run, words].concat(), input)
    }

    /// As [`Self::buzonera`], and it must succeed; its result in JSON.
    pub fn ask(&self, words: &[&str], input: &str) -> Result<Value> {
        let output = self.buzonera(&[words, &["--output", "json"]].concat(), input)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = words.join(" ");
        ensure!(output.status.success(), "buzonera {line}: {said}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Where the load balancer takes what is for a port of a Service.
    pub async fn address(&self, service: &str, port: u16) -> Result<SocketAddr> {
        let service = format!("{}-{service}", self.name);
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let words = ["get", "service", &service, "--output", path];
        let address = || async {
            let said = self.kubectl(&words)?;
            let address = said.trim().parse();
            address.map_err(|_| anyhow!("{service} has no address yet"))
        };
        let address = wait::until(&format!("{service} has an address"), READY, address).await?;
        Ok(SocketAddr::new(address, port))
    }

    /// Where mail is read; its CA's certificate is written into `folder`.
    pub async fn pop3s(&self, folder: &Path) -> Result<Pop3s> {
        let spec = &self.look()?["spec"];
        let name = spec["hostname"].as_str().context("no hostname")?;
        Ok(Pop3s {
            address: self.address("proxy-public", 995).await?,
            name: name.to_owned(),
            ca: self.ca(folder)?,
        })
    }

    /// Writes the certificate of its CA into `folder`; the file.
    pub fn ca(&self, folder: &Path) -> Result<PathBuf> {
        let secret = format!("{}-ca", self.name);
        let path = "jsonpath={.data.ca\\.pem}";
        let said = self.kubectl(&["get", "secret", &secret, "--output", path])?;
        let file = folder.join("ca.pem");
        fs::write(&file, STANDARD.decode(said.trim())?)?;
        Ok(file)
    }
}

/// One of a MailCluster's conditions.
#[derive(Debug)]
pub struct Condition {
    status: String,
    reason: String,
    message: String,
}

impl Condition {
    /// The one of that type.
    pub fn of(cluster: &Value, about: &str) -> Result<Self> {
        let conditions = cluster["status"]["conditions"].as_array();
        let found = conditions.and_then(|all| all.iter().find(|it| it["type"] == about));
        let found = found.with_context(|| format!("{about} is not told yet"))?;
        let word = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let generation = &cluster["metadata"]["generation"];
        let seen = &found["observedGeneration"];
        ensure!(seen == generation, "{about} is told of an older spec");
        Ok(Self {
            status: word("status"),
            reason: word("reason"),
            message: word("message"),
        })
    }

    /// Whether it is `True`, `False` or `Unknown`.
    pub fn is(&self, status: &str) -> bool {
        self.status == status
    }

    /// Its reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}
