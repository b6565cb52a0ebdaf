//! First mail, end to end, with programs that others wrote.

use std::process::Command;

use e2e::ledger::Answer;
use e2e::message::{body_digest, compose};
use e2e::real::{Mailbox, Reader, Sender};
use e2e::site::{Site, feed};

use crate::support::{ANA, FROM, PASSWORD, TestSite};

#[tokio::test]
async fn curl_swaks_and_python_send_and_curl_and_python_read() {
    let site = TestSite::with_ana().await.unwrap();
    let text = |number| compose(number, FROM, ANA, 5000);
    let senders = [Sender::Curl, Sender::Swaks, Sender::Python];
    for (number, sender) in (1..).zip(senders) {
        let smtp = Site::at(site.ports().smtp);
        let (answer, said) = sender.send(smtp, FROM, ANA, &text(number)).unwrap();
        assert_eq!(answer, Answer::Accepted, "{}: {said}", sender.name());
    }
    let mailbox = Mailbox {
        server: &site.pop3s(),
        user: ANA,
        password: PASSWORD,
    };
    for reader in [Reader::Curl, Reader::Python] {
        let messages = mailbox.messages(reader, site.folder()).unwrap();
        let sent = [1, 2, 3].map(|number| (number, body_digest(text(number).as_bytes())));
        assert_eq!(messages, sent, "{}", reader.name());
    }
    let wrong = Mailbox {
        password: "caw",
        ..mailbox
    };
    for reader in [Reader::Curl, Reader::Python] {
        assert!(wrong.messages(reader, site.folder()).is_err());
    }
}

#[tokio::test]
async fn swaks_sends_over_starttls() {
    let site = TestSite::with_ana().await.unwrap();
    let mut swaks = Command::new("swaks");
    let port = site.ports().smtp.to_string();
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &port,
        "--tls",
        "--helo",
        "me.example.net",
    ]);
    swaks.args(["--from", FROM, "--to", ANA, "--data", "-"]);
    let output = feed(swaks, &compose(1, FROM, ANA, 1000)).unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(site.numbers(ANA).await.unwrap(), [1]);
}

/// STLS, UIDL, TOP, RETR, DELE, QUIT by Python's poplib.
const POPLIB: &str = "
import poplib, ssl, sys
port, ca, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
client = poplib.POP3('localhost', port, timeout=60)
try:
    client.user(user)
    sys.exit('USER went through in plain')
except poplib.error_proto:
    pass
client.stls(ssl.create_default_context(cafile=ca))
client.user(user)
client.pass_(password)
assert client.stat()[0] == 2, client.stat()
ids = client.uidl()[1]
assert len(set(ids)) == 2, ids
assert any(line.startswith(b'Subject: test 1') for line in client.top(1, 0)[1])
body = b'\\r\\n'.join(client.retr(2)[1])
assert b'X-Buzonera-Test: 2' in body
client.dele(1)
client.quit()
";

#[tokio::test]
async fn poplib_reads_and_deletes_after_stls() {
    let site = TestSite::with_ana().await.unwrap();
    site.deliver([1, 2], ANA).await.unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", POPLIB, &site.ports().pop3.to_string()]);
    python.arg(site.ca()).args([ANA, PASSWORD]);
    let output = feed(python, "").unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(site.numbers(ANA).await.unwrap(), [2]);
}
