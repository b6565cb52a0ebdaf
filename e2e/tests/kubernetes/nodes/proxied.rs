//! Behind a balancer that speaks the PROXY protocol, clients' addresses are seen; a second door has no
//! such header.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use e2e::smtp;
use e2e::wait;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::mail::{ANA, Mail, SMALL};
use super::support::on_platform;
use crate::support::PATIENCE;

/// Who the balancer says it is (RFC 5737).
const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Where this machine, which is the balancer, has its addresses.
const BALANCERS: &str = "198.18.0.0/16";

const HELLO: &str = "EHLO sender.example";

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test(flavor = "multi_thread")]
async fn clients_addresses_are_seen_through_it() {
    on_platform("proxied", async |access| {
        let mut mail = Mail::made(access, "proxied", &with_doors(SMALL)).await?;
        let plain = [
            mail.platform.address("mx-plain", 25).await?,
            mail.platform.address("proxy-plain", 995).await?,
        ];
        wait::until("doors with a header and without", PATIENCE, || async {
            greeting(&header(), mail.smtp).await?;
            greeting(b"", plain[0]).await
        })
        .await?;
        // What begins without it, or has it where it is not believed, is not served.
        ensure!(greeting(b"", mail.smtp).await.is_err(), "without a header");
        ensure!(greeting(&header(), plain[0]).await.is_err(), "with one");

        let client = smtp::Client::connect_with(&header(), mail.smtp, HELLO).await?;
        let reply = mail.offer_over(client, ANA).await?;
        ensure!(reply.is_positive(), "{reply:?}");
        mail.smtp = plain[0];
        let reply = mail.offer(ANA).await?;
        ensure!(reply.is_positive(), "{reply:?}");

        let from = wait::until("both are delivered", PATIENCE, || async {
            let from = senders(&mail).await?;
            ensure!(from.len() == 2, "{from:?}");
            Ok(from)
        })
        .await?;
        let told = format!("[{CLIENT}]");
        let ways = from.iter().filter(|line| line.contains(&told)).count();
        ensure!(ways == 1, "{from:?}");
        mail.pop3s.address = plain[1];
        mail.is_read()
    })
    .await;
}

/// Gives the outer tiers a Service behind a balancer with the header, and one without.
fn with_doors(spec: &str) -> String {
    let proxied = json!({"trustedFrom": [BALANCERS]});
    let tiers = [("mx", "smtp", 25), ("proxy", "pop3s", 995)];
    tiers
        .iter()
        .fold(spec.to_owned(), |spec, (tier, name, port)| {
            let ports = json!([{"name": name, "port": port}]);
            let services = json!([
                {"name": "public", "proxyProtocol": proxied, "ports": ports},
                {"name": "plain", "ports": ports},
            ]);
            let head = format!("  {tier}:\n");
            spec.replace(&head, &format!("{head}    services: {services}\n"))
        })
}

/// Whether a session begins behind what is sent first.
async fn greeting(header: &[u8], smtp: SocketAddr) -> Result<()> {
    let client = smtp::Client::connect_with(header, smtp, HELLO).await?;
    client.quit().await;
    Ok(())
}

/// The line of each message that says where it came from, read through the balancer.
async fn senders(mail: &Mail) -> Result<Vec<String>> {
    let mut tcp = TcpStream::connect(mail.pop3s.address).await?;
    tcp.write_all(&header()).await?;
    let mut client = mail.login_over(tcp).await?;
    let messages = client.read_all().await?;
    client.quit().await?;
    let from = |(_, message): &(String, Vec<u8>)| {
        let text = String::from_utf8_lossy(message).into_owned();
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with("Received: from"));
        lines.next().map(str::to_owned).context("no Received")
    };
    messages.iter().map(from).collect()
}

/// A connection of the client to anywhere (PROXY protocol version 2, section 2.2).
fn header() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(CLIENT.octets());
    header.extend([192, 0, 2, 1]);
    header.extend(40_000_u16.to_be_bytes());
    header.extend(25_u16.to_be_bytes());
    header
}
