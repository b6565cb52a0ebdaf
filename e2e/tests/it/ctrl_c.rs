//! Ctrl-C ends `buzonera local` within 5 s, whatever its clients do.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::ledger::Answer;
use e2e::message::compose;
use e2e::site::Site;
use e2e::smtp;

use crate::support::{ANA, FROM, TestSite};

/// What the README promises.
const PROMISED: Duration = Duration::from_secs(5);

/// More than all buffers between a shard and its client hold.
const LARGE: usize = 24 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_in_data_and_a_reader_in_retr_do_not_hold_it() -> Result<()> {
    let mut site = TestSite::with_ana().await?;
    let (answer, reply) = site.send_text(ANA, &compose(1, FROM, ANA, LARGE)).await?;
    ensure!(answer == Answer::Accepted, "{reply:?}");
    let mut reader = site.login(ANA).await?;
    reader.begin_to_retrieve(1).await?;
    let address = Site::at(site.ports().smtp);
    let mut sender = smtp::Client::connect(address, "EHLO client.example.net").await?;
    for (line, code) in [
        (format!("MAIL FROM:<{FROM}>"), 250),
        (format!("RCPT TO:<{ANA}>"), 250),
        ("DATA".to_owned(), 354),
    ] {
        sender.say(&line).await?;
        sender.expect(code).await?;
    }
    sender.say("Subject: never whole").await?;
    site.interrupt(PROMISED).await?;
    site.start_again().await?;
    ensure!(site.numbers(ANA).await? == [1]);
    Ok(())
}
