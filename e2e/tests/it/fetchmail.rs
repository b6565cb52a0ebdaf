//! fetchmail and getmail fetch mail over TLS, once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use e2e::site::feed;

use crate::support::{ANA, PASSWORD, TestSite};

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn fetchmail_takes_everything_and_leaves_nothing() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver(1..=3, ANA).await.unwrap();
    let home = site.folder().join("fetchmail");
    fs::create_dir(&home).unwrap();
    let inbox = home.join("inbox");
    let config = format!(
        "poll localhost protocol pop3 port {}\n\
         username \"{ANA}\" password \"{PASSWORD}\"\n\
         ssl sslcertck sslcertfile \"{}\"\n\
         mda \"cat >> {}\"\n",
        site.ports().pop3s,
        site.ca().display(),
        inbox.display()
    );
    private(&home.join("fetchmailrc"), &config);
    let mut fetchmail = Command::new("fetchmail");
    fetchmail.arg("--fetchmailrc").arg(home.join("fetchmailrc"));
    fetchmail
        .arg("--pidfile")
        .arg(home.join("pid"))
        .env("FETCHMAILHOME", &home);
    let output = feed(fetchmail, "").unwrap();
    assert!(output.status.success(), "{output:?}");
    let fetched = fs::read_to_string(&inbox).unwrap();
    for number in 1..=3 {
        assert_eq!(
            fetched
                .matches(&format!("Subject: test {number}\n"))
                .count(),
            1,
            "{fetched}"
        );
    }
    assert!(site.numbers(ANA).await.unwrap().is_empty());
}

#[tokio::test]
async fn getmail_fetches_each_message_once_and_keeps_it_there() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver(1..=3, ANA).await.unwrap();
    let home = site.folder().join("getmail");
    fs::create_dir(&home).unwrap();
    let inbox = home.join("inbox");
    let config = format!(
        "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {}\n\
         username = {ANA}\npassword = {PASSWORD}\nca_certs = {}\n\
         [destination]\ntype = MDA_external\npath = /bin/sh\nallow_root_commands = true\n\
         arguments = (\"-c\", \"cat >> {}\")\n\
         [options]\nread_all = false\ndelete = false\nverbose = 1\n",
        site.ports().pop3s,
        site.ca().display(),
        inbox.display()
    );
    private(&home.join("getmailrc"), &config);
    for _ in 0..2 {
        let mut getmail = Command::new("getmail");
        getmail
            .arg("--getmaildir")
            .arg(&home)
            .args(["--rcfile", "getmailrc"]);
        let output = feed(getmail, "").unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let fetched = fs::read_to_string(&inbox).unwrap();
    for number in 1..=3 {
        let subject = format!("Subject: test {number}\n");
        assert_eq!(fetched.matches(&subject).count(), 1, "{fetched}");
    }
    assert_eq!(site.numbers(ANA).await.unwrap().len(), 3);
}
