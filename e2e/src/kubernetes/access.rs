//! How a Kubernetes is reached: by `kubectl` and by kube's client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::programs;

/// How much of each log a dump shows.
const TAIL: usize = 8000;

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
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(Client::try_from(config)?)
    }

    /// Runs `kubectl`, which never looks at the person's own settings.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Said> {
        let output = Command::new(programs::path("kubectl")?)
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.folder.join("kubectl-cache"))
            .args(arguments)
            .env("HOME", &self.folder)
            .env_remove("KUBECONFIG")
            .output()
            .context("kubectl does not start")?;
        let said = Said {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let line = arguments.join(" ");
        ensure!(output.status.success(), "kubectl {line}: {}", said.err);
        Ok(said)
    }

    /// Our objects in a namespace, Events there, and the ends of all logs, for a failure's report.
    pub fn dump(&self, namespace: &str) -> String {
        let mut dump = String::new();
        for what in ["buzonera", "events"] {
            let objects = self.kubectl(&["get", what, "--namespace", namespace, "--output=yaml"]);
            let objects = objects.map_or_else(|error| format!("{error:#}"), |said| said.out);
            dump += &format!("--- {what} of {namespace}\n{objects}\n");
        }
        let logs = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let logs = logs.map(|entry| entry.path());
        for log in logs.filter(|path| path.extension().is_some_and(|ending| ending == "log")) {
            let text = fs::read(&log).unwrap_or_default();
            let tail = &text[text.len().saturating_sub(TAIL)..];
            dump += &format!("--- {}\n{}\n", log.display(), String::from_utf8_lossy(tail));
        }
        dump
    }

    pub(super) async fn is_ready(&self) -> Result<()> {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        self.client().await?.request_text(request).await?;
        Ok(())
    }
}
