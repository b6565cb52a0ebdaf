//! `buzonera local` says why it does not start, and spoils nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::ensure;
use e2e::site::{Ports, feed};
use e2e::{binaries, ports, wait};

use crate::support::{ANA, TestSite};

/// Debug builds on a busy machine start within a few seconds.
const START: Duration = Duration::from_secs(60);

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_second_process_on_the_folder_refuses_and_the_first_goes_on() {
    let site = TestSite::with_ana().await.unwrap();
    let second = site.buzonera(&["local", "--smtp", "0"], "").unwrap();
    let said = complaint(&second);
    assert!(
        said.contains("is in use by another `buzonera local`"),
        "{said}"
    );
    site.deliver([1], ANA).await.unwrap();
    assert_eq!(site.numbers(ANA).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_busy_port_names_its_flag() {
    let site = TestSite::empty().await.unwrap();
    let busy = TcpListener::bind(("127.0.0.1", ports::free().unwrap())).unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let words = ["local", "--data", "other", "--pop3s", &port];
    let said = complaint(&site.buzonera(&words, "").unwrap());
    assert!(said.contains("choose another port with --pop3s"), "{said}");
}

#[tokio::test]
async fn shards_are_added_and_never_left_out() {
    let mut site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    assert_eq!(
        site.ask(&["shards"], "").unwrap().as_array().unwrap().len(),
        2
    );
    site.stop().await.unwrap();
    let said = complaint(&site.buzonera(&["local", "--shards", "1"], "").unwrap());
    assert!(said.contains("--shards 2 or more"), "{said}");
    site.set_flags(&["--shards", "3"]);
    site.start_again().await.unwrap();
    assert_eq!(
        site.ask(&["shards"], "").unwrap().as_array().unwrap().len(),
        3
    );
    assert_eq!(site.numbers(ANA).await.unwrap(), [1]);
}

/// Other users of the machine reach the CA's certificate, and nothing else.
#[tokio::test]
async fn mail_and_keys_are_their_owners_alone() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1], ANA).await.unwrap();
    let root = site.folder().join("buzonera-data");
    let mut open = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            if mode & 0o077 != 0 {
                open.push(entry.path());
            } else if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert_eq!(open, [root.join("ca.pem")]);
    let mode = fs::metadata(&root).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

/// `buzonera local | head` reads some lines of the screen and leaves.
#[tokio::test]
async fn a_reader_of_the_screen_that_leaves_does_not_end_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::free().unwrap();
    let mut child = Command::new(binaries::path("buzonera").unwrap())
        .arg("local")
        .args(ports.flags())
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let buzonera = |words: &[&str]| {
        let mut command = Command::new(binaries::path("buzonera").unwrap());
        command.args(words).current_dir(folder.path());
        feed(command, "")
    };
    let added = wait::until("a domain is added", START, || async {
        let added = buzonera(&["domain", "add", "example.org"])?;
        ensure!(added.status.success(), "{added:?}");
        Ok(())
    });
    let added = added.await;
    let goes_on = (0..10).all(|_| buzonera(&["status"]).unwrap().status.success());
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    added.unwrap();
    assert!(goes_on);
    assert_eq!(ended, None);
}
