//! Clients that only connect leave enough file descriptors for mail and for those who read it.

use std::time::Duration;

use anyhow::ensure;
use e2e::ledger::Answer;
use e2e::message::compose;
use e2e::site::Site;
use e2e::{smtp, wait};

use crate::support::{ANA, FROM, PASSWORD, TestSite};

const OPEN_FILES: u32 = 256;

/// Of those that are let in, so many send mail.
const MAILS: u64 = 20;

/// For mail that a busy machine spooled.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn who_only_connects_stops_neither_mail_nor_readers() {
    let site = TestSite::with_open_files(OPEN_FILES).await.unwrap();
    site.add_domain("example.org").unwrap();
    site.add_account(ANA, PASSWORD).unwrap();
    let mut held = Vec::new();
    let refused = loop {
        match connect(&site).await {
            Ok(client) => held.push(client),
            Err(error) => break format!("{error:#}"),
        }
        assert!(held.len() < OPEN_FILES as usize, "all are let in");
    };
    assert!(refused.contains("421 4.3.2"), "{refused}");

    for (number, client) in (1..=MAILS).zip(&mut held) {
        // Large enough to need a file on its way.
        let text = compose(number, FROM, ANA, 2 << 20);
        let (answer, reply) = client.send(FROM, ANA, &text).await.unwrap();
        assert_eq!(answer, Answer::Accepted, "{reply:?}");
    }
    wait::until("all mail is read", PATIENCE, || async {
        let mut numbers = site.numbers(ANA).await?;
        numbers.sort_unstable();
        ensure!(numbers.iter().copied().eq(1..=MAILS), "{numbers:?}");
        Ok(())
    })
    .await
    .unwrap();

    drop(held);
    wait::until("there is room again", PATIENCE, || connect(&site))
        .await
        .unwrap();
}

async fn connect(site: &Site) -> anyhow::Result<smtp::Client> {
    smtp::Client::connect(Site::at(site.ports().smtp), "EHLO client.example.net").await
}
