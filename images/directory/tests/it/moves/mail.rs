//! What a user sees of an account: mail that goes in by MX's way, and comes out by POP3.

use kit::tls::{Credentials, server_name};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::handoff::Handoff;
use wire::identity::Tier;
use wire::ids::{AccountId, DeliveryId, Epoch};
use wire::rpc::deliver_part::Part;
use wire::rpc::{DeliverCommit, DeliverHeader, DeliverPart, DeliverTarget, Route};
use wire::sasl;

/// The parts of a small message to one account.
pub(crate) fn delivery(route: &Route, message: u8) -> [DeliverPart; 3] {
    let body = format!("Subject: {message}\r\n\r\nhello {message}\r\n").into_bytes();
    let header = DeliverHeader {
        transaction_id: "t".to_owned(),
        size: body.len() as u64,
        targets: vec![DeliverTarget {
            account: route.account.clone(),
            epoch: route.epoch,
            prefix: "Return-Path: <>\r\n".into(),
        }],
    };
    let commit = DeliverCommit {
        delivery_id: DeliveryId::from_bytes([message; 16]).to_field(),
        received_at_ms: 5,
    };
    let parts = [
        Part::Header(header),
        Part::Chunk(body.into()),
        Part::Commit(commit),
    ];
    parts.map(|part| DeliverPart { part: Some(part) })
}

/// A maildrop, opened as a proxy opens it.
pub(crate) struct Maildrop(BufReader<TlsStream<TcpStream>>);

impl Maildrop {
    /// Opens it; else the shard's refusal.
    pub(crate) async fn open(proxy: &Credentials, route: &Route) -> Result<Self, String> {
        let shard = proxy.peer(Tier::Storage, &route.shard).unwrap();
        let stream = TcpStream::connect(&route.pop3_endpoint).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(proxy.client_config(&shard));
        let stream = connector.connect(server_name(), stream).await.unwrap();
        let mut maildrop = Self(BufReader::new(stream));
        maildrop.line().await;
        let handoff = Handoff {
            account: AccountId::from_slice(&route.account).unwrap(),
            epoch: Epoch(route.epoch),
            client: "192.0.2.1:5000".parse().unwrap(),
            session: "0a1b".parse().unwrap(),
        };
        let identity = sasl::encode(handoff.to_string().as_bytes());
        let answer = maildrop.ask(&format!("AUTH EXTERNAL {identity}")).await;
        match answer.starts_with("+OK") {
            true => Ok(maildrop),
            false => Err(answer),
        }
    }

    /// Each message's unique id and text, in order.
    pub(crate) async fn messages(mut self) -> Vec<(String, String)> {
        let ids = self.ask_many("UIDL").await;
        let mut messages = Vec::new();
        for line in ids.lines() {
            let (number, id) = line.split_once(' ').unwrap();
            let text = self.ask_many(&format!("RETR {number}")).await;
            messages.push((id.to_owned(), text));
        }
        assert!(self.ask("QUIT").await.starts_with("+OK"));
        messages
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "closed");
        line
    }

    async fn ask(&mut self, command: &str) -> String {
        let command = format!("{command}\r\n");
        self.0.write_all(command.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        self.line().await
    }

    /// The lines of a multi-line answer.
    async fn ask_many(&mut self, command: &str) -> String {
        let first = self.ask(command).await;
        assert!(first.starts_with("+OK"), "{first}");
        let mut lines = String::new();
        loop {
            match self.line().await.as_str() {
                ".\r\n" => return lines,
                line => lines.push_str(line),
            }
        }
    }
}
