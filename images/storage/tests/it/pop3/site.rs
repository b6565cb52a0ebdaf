//! A shard that serves POP3, and what connects to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use buzonera_storage::maildrop::Mailstore;
use buzonera_storage::pop3::{self, Config, Metrics, Times};
use kit::authority::Authority;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::listener::Listener;
use kit::tls::{Credentials, server_name};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::handoff::Handoff;
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId, Epoch};
use wire::sasl;

use crate::rig::{Rig, SOON, account, delivery};

/// The account of these tests.
pub(crate) const OWNER: u8 = 1;

pub(crate) struct Site {
    pub(crate) rig: Rig,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    authority: Authority,
    folder: TempDir,
}

/// A configuration with the defaults.
pub(crate) fn config() -> Config {
    Config::new(
        "--pop3-listen",
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Times::default(),
    )
}

impl Site {
    /// The owner's INBOX holds these messages, each with a line before it that names the owner.
    pub(crate) async fn with(seed: u64, config: Config, bodies: &[&[u8]]) -> Self {
        Self::draining(seed, config, bodies, DRAIN).await
    }

    /// With the time that sessions have once the shard closes.
    pub(crate) async fn draining(
        seed: u64,
        config: Config,
        bodies: &[&[u8]],
        drain: Duration,
    ) -> Self {
        let mut rig = Rig::new(seed);
        rig.create(account(OWNER)).await;
        for (id, body) in (1..).zip(bodies) {
            let delivery = delivery(id, body, &[account(OWNER)]);
            rig.shard().deliver(&delivery).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
        let listener = Listener::bind(config.listener.clone()).unwrap();
        let site = Self {
            address: listener.local_addr(),
            shutdown: Shutdown::new(Duration::ZERO, drain),
            rig,
            authority,
            folder,
        };
        let credentials = site.credentials(Tier::Storage, "shard-1");
        let store = Mailstore::new(site.rig.shard().clone());
        let shutdown = site.shutdown.clone();
        tokio::spawn(async move {
            let metrics = Metrics::default();
            pop3::serve(listener, &credentials, store, config, metrics, shutdown).await;
        });
        site
    }

    pub(crate) async fn new(seed: u64, bodies: &[&[u8]]) -> Self {
        Self::with(seed, config(), bodies).await
    }

    pub(crate) fn credentials(&self, tier: Tier, instance: &str) -> Credentials {
        let identity = Identity::new(self.authority.cluster(), tier, instance).unwrap();
        let folder = self.folder.path().join(instance);
        self.authority.issue(&identity, &folder).unwrap();
        Credentials::load(&folder).unwrap()
    }

    /// Connects as an instance of a tier; nothing has been read.
    pub(crate) async fn connect_as(&self, tier: Tier) -> Client {
        let credentials = self.credentials(tier, &format!("{tier}-0"));
        let shard = credentials.peer(Tier::Storage, "shard-1").unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(credentials.client_config(&shard));
        let stream = connector.connect(server_name(), stream).await.unwrap();
        Client(BufReader::new(stream))
    }

    /// A proxy that has its greeting.
    pub(crate) async fn proxy(&self) -> Client {
        let mut client = self.connect_as(Tier::Proxy).await;
        assert_eq!(client.line().await, "+OK Buzonera shard-1");
        client
    }

    /// A proxy whose client's maildrop is open.
    pub(crate) async fn opened(&self) -> Client {
        let mut client = self.proxy().await;
        let answer = client.ask(&auth(account(OWNER), 1)).await;
        assert!(answer.starts_with("+OK "), "{answer}");
        client
    }
}

/// The command that hands a client over.
pub(crate) fn auth(account: AccountId, epoch: u64) -> String {
    let handoff = Handoff {
        account,
        epoch: Epoch(epoch),
        client: "192.0.2.1:5000".parse().unwrap(),
        session: "0a1b".parse().unwrap(),
    };
    format!(
        "AUTH EXTERNAL {}",
        sasl::encode(handoff.to_string().as_bytes())
    )
}

pub(crate) struct Client(pub(crate) BufReader<TlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next line without its end; `closed` at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(SOON, self.0.read_line(&mut line));
        match read.await.expect("no line in time") {
            Ok(0) | Err(_) => "closed".to_owned(),
            Ok(_) => line.trim_end_matches(['\r', '\n']).to_owned(),
        }
    }

    pub(crate) async fn ask(&mut self, command: &str) -> String {
        self.say(&format!("{command}\r\n")).await;
        self.line().await
    }

    /// A multi-line reply: its first line, and the rest as it came, with its end.
    pub(crate) async fn ask_many(&mut self, command: &str) -> (String, String) {
        let first = self.ask(command).await;
        let mut rest = String::new();
        while rest != ".\r\n" && !rest.ends_with("\r\n.\r\n") {
            let read = timeout(SOON, self.0.read_line(&mut rest));
            assert_ne!(read.await.unwrap().unwrap(), 0, "closed within {command}");
        }
        (first, rest)
    }

    /// All that comes until the end.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = timeout(SOON, self.0.read_to_end(&mut rest)).await;
        // A reset is an end too.
        let _ = read.expect("not closed in time");
        String::from_utf8(rest).unwrap()
    }
}
