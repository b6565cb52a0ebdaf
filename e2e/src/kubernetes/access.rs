//! How a Kubernetes is reached: by `kubectl`, by `helm` and by kube's client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};

use super::programs;
use crate::site::feed;

/// How much of each log a dump shows.
const TAIL: usize = 8000;

/// A pod's logs are in `NODE/var/log/pods/POD/CONTAINER`.
const DEPTH: u8 = 6;

/// The folder of a Kubernetes: the way in, and logs.
#[derive(Debug, Clone)]
pub struct Access {
    folder: PathBuf,
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// What it was asked for.
    pub out: String,
    /// Warnings.
    pub err: String,
}

impl Access {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The file that leads in, as an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A client of its own: it lives with the runtime that it is made in.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// What a client is made of.
    pub async fn config(&self) -> Result<Config> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let options = KubeConfigOptions::default();
        Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
    }

    /// A client that is a program in a pod: one with that service account.
    pub async fn client_as(&self, namespace: &str, account: &str) -> Result<Client> {
        Ok(Client::try_from(self.config_as(namespace, account).await?)?)
    }

    /// What such a client is made from.
    pub async fn config_as(&self, namespace: &str, account: &str) -> Result<Config> {
        let token = ["--namespace", namespace, "create", "token", account];
        let token = self.kubectl(&token)?.out.trim().to_owned();
        let mut kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        for user in kubeconfig
            .auth_infos
            .iter_mut()
            .filter_map(|named| named.auth_info.as_mut())
        {
            *user = AuthInfo {
                token: Some(token.clone().into()),
                ..AuthInfo::default()
            };
        }
        let options = KubeConfigOptions::default();
        Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
    }

    /// Runs `kubectl`, which never looks at the person's own settings.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Said> {
        said(&mut self.kubectl_command(arguments)?)
    }

    /// Runs `kubectl` with `input` as its standard input, and says how it ended.
    pub fn kubectl_fed(&self, arguments: &[&str], input: &str) -> Result<Output> {
        feed(self.kubectl_command(arguments)?, input)
    }

    fn kubectl_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut kubectl = self.command("kubectl")?;
        let cache = self.folder.join("kubectl-cache");
        kubectl.arg("--cache-dir").arg(cache).args(arguments);
        Ok(kubectl)
    }

    /// Runs `helm`, which neither does.
    pub fn helm(&self, arguments: &[&str]) -> Result<Said> {
        said(self.command("helm")?.args(arguments))
    }

    fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(programs::path(program)?);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command.env("HOME", &self.folder).env_remove("KUBECONFIG");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("HELM_") || name.starts_with("XDG_") {
                command.env_remove(&*name);
            }
        }
        Ok(command)
    }

    /// Our objects in a namespace, Events there, and the ends of all logs, for a failure's report.
    pub fn dump(&self, namespace: &str) -> String {
        let mut dump = String::new();
        for what in ["buzonera", "pods", "events"] {
            let objects = self.kubectl(&["get", what, "--namespace", namespace, "--output=yaml"]);
            let objects = objects.map_or_else(|error| format!("{error:#}"), |said| said.out);
            dump += &format!("--- {what} of {namespace}\n{objects}\n");
        }
        dump + &self.logs()
    }

    /// The ends of all logs: of its programs, of nodes, of pods.
    pub fn logs(&self) -> String {
        let mut logs = Vec::new();
        find(&self.folder, DEPTH, &mut logs);
        logs.sort_unstable();
        let tail = |log: &PathBuf| {
            let text = fs::read(log).unwrap_or_default();
            let tail = &text[text.len().saturating_sub(TAIL)..];
            format!("--- {}\n{}\n", log.display(), String::from_utf8_lossy(tail))
        };
        logs.iter().map(tail).collect()
    }

    /// Fails while the API does not answer.
    pub(super) async fn is_ready(&self) -> Result<()> {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        self.client().await?.request_text(request).await?;
        Ok(())
    }
}

fn said(command: &mut Command) -> Result<Said> {
    let output = command.output();
    let output = output.with_context(|| format!("{command:?} does not start"))?;
    let said = Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    ensure!(output.status.success(), "{command:?}: {}", said.err);
    Ok(said)
}

/// Logs in a folder and so many below; what cannot be read has none.
fn find(folder: &Path, depth: u8, logs: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type();
        if depth > 0 && kind.is_ok_and(|kind| kind.is_dir()) {
            find(&path, depth - 1, logs);
        } else if path.extension().is_some_and(|ending| ending == "log") {
            logs.push(path);
        }
    }
}
