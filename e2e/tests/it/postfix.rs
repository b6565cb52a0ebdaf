//! A real Postfix hands mail in by LMTP, configured as the README says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::ledger::Answer;
use e2e::message::compose;
use e2e::process::Process;
use e2e::site::Site;
use e2e::{places, ports, smtp, wait};
use tempfile::TempDir;

use crate::support::{ANA, FROM, TestSite};

const START: Duration = Duration::from_secs(30);
const DELIVERY: Duration = Duration::from_secs(60);

/// A Postfix with own configuration, queue and port.
struct Postfix {
    port: u16,
    folder: TempDir,
    process: Process,
}

/// The README's lines for main.cf, with the port of this test's site.
fn readmes_lines(lmtp: u16) -> Result<String> {
    let readme = fs::read_to_string(places::workspace().join("README.md"))?;
    let (_, after) = readme
        .split_once("postfix.rs")
        .context("the README names this test")?;
    let mut blocks = after.split("```\n");
    let lines = blocks.nth(1).context("a block follows")?;
    if !lines.contains(":2424") {
        bail!("not the lines for main.cf: {lines}");
    }
    Ok(lines.replace(":2424", &format!(":{lmtp}")))
}

fn main_cf(folder: &Path, lmtp: u16) -> Result<String> {
    let folder = folder.display();
    Ok(format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/queue\n\
         data_directory = {folder}/data\n\
         maillog_file = {folder}/log\n\
         maillog_file_prefixes = {folder}\n\
         myhostname = front.example.net\n\
         mydestination =\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         alias_maps =\n\
         minimal_backoff_time = 2s\n\
         maximal_backoff_time = 2s\n\
         queue_run_delay = 2s\n\
         {}",
        readmes_lines(lmtp)?
    ))
}

/// Debian's services, none in a chroot, and SMTP on our port only.
fn master_cf(port: u16) -> Result<String> {
    let debian = fs::read_to_string("/etc/postfix/master.cf")
        .or_else(|_| fs::read_to_string("/usr/share/postfix/master.cf.dist"))?;
    let service = |line: &str| -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["smtp", "inet", ..] | [_, "inet", ..] => None,
            [name, kind, private, unprivileged, _chroot, rest @ ..] if !name.starts_with('#') => {
                let head = [*name, kind, private, unprivileged, "n"].join(" ");
                Some(format!("{head} {}", rest.join(" ")))
            }
            _ => None,
        }
    };
    let services = debian
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(service);
    let smtp = format!("127.0.0.1:{port} inet n - n - - smtpd");
    Ok([smtp]
        .into_iter()
        .chain(services)
        .map(|line| line + "\n")
        .collect())
}

impl Postfix {
    async fn start(lmtp: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().to_owned();
        // Postfix's own user must get in.
        fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        for name in ["conf", "queue", "data"] {
            fs::create_dir(at.join(name))?;
        }
        owned_by_postfix(&at.join("data"))?;
        let port = ports::free()?;
        fs::write(at.join("conf/main.cf"), main_cf(&at, lmtp)?)?;
        fs::write(at.join("conf/master.cf"), master_cf(port)?)?;
        let program = places::on_path("postfix").context("postfix is not installed")?;
        let words = [
            "-c".into(),
            at.join("conf").into_os_string(),
            "start-fg".into(),
        ];
        let process = Process::start("postfix", &at, &program, words)?;
        let postfix = Self {
            port,
            folder,
            process,
        };
        postfix.wait_for_greeting().await?;
        Ok(postfix)
    }

    async fn wait_for_greeting(&self) -> Result<()> {
        let client = wait::until("Postfix greets", START, || {
            smtp::Client::connect(Site::at(self.port), "EHLO client.example.net")
        });
        let client = client.await.with_context(|| self.log())?;
        client.quit().await;
        Ok(())
    }

    async fn send(&self, number: u64, to: &str) -> Result<(Answer, smtp::Reply)> {
        let address = Site::at(self.port);
        let mut client = smtp::Client::connect(address, "EHLO client.example.net").await?;
        let answered = client
            .send(FROM, to, &compose(number, FROM, to, 3000))
            .await?;
        client.quit().await;
        Ok(answered)
    }

    fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join("log");
        let log = fs::read_to_string(path).unwrap_or_default();
        format!("{}\n{log}", self.process.log_tail(4096))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let conf = self.folder.path().join("conf");
        // Its children end only when it tells them to.
        let _ = Command::new("postfix")
            .arg("-c")
            .arg(conf)
            .arg("abort")
            .output();
    }
}

fn owned_by_postfix(folder: &Path) -> Result<()> {
    let status = Command::new("chown").arg("postfix").arg(folder).status()?;
    if !status.success() {
        bail!("only root can start a Postfix: run the tests as root, or leave this one out");
    }
    Ok(())
}

async fn arrived(site: &TestSite, numbers: &[u64]) {
    let what = format!("messages {numbers:?} arrive");
    wait::until(&what, DELIVERY, || async {
        let mut found = site
            .numbers(ANA)
            .await
            .map_err(|error| format!("{error:#}"))?;
        found.sort_unstable();
        if found == numbers {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn postfix_hands_mail_in_and_never_owes_a_bounce() {
    let mut site = TestSite::with_ana().await.unwrap();
    let postfix = Postfix::start(site.ports().lmtp).await.unwrap();
    let (answer, reply) = postfix.send(1, ANA).await.unwrap();
    assert_eq!(answer, Answer::Accepted, "{reply:?}\n{}", postfix.log());
    arrived(&site, &[1]).await;
    let (answer, reply) = postfix.send(2, "nobody@example.org").await.unwrap();
    assert_eq!(
        (answer, reply.code),
        (Answer::Refused, 550),
        "{reply:?}\n{}",
        postfix.log()
    );
    // While Buzonera is away, Postfix keeps what it has accepted.
    site.kill().unwrap();
    let (answer, reply) = postfix.send(3, ANA).await.unwrap();
    assert_eq!(answer, Answer::Accepted, "{reply:?}\n{}", postfix.log());
    site.start_again().await.unwrap();
    arrived(&site, &[1, 3]).await;
}
