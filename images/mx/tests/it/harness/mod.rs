//! What every test needs: a world of one MX, one directory and two shards.

mod client;
mod directory;
pub(crate) mod logs;
mod server;
mod shard;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buzonera_mx::Mx;
use buzonera_mx::config::{Config, Limits};
use buzonera_mx::spool;
use buzonera_mx::spool::Spool;
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::Replica;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::service::Routes;
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId};
use wire::rpc::ShardWord;

pub(crate) use client::Client;
pub(crate) use directory::FakeDirectory;
pub(crate) use shard::{FakeShard, Mood};

use server::Server;

/// A port that is free.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// A running MX and what it talks to. Dropping it ends everything.
pub(crate) struct World {
    pub(crate) directory: Arc<FakeDirectory>,
    pub(crate) shards: [Arc<FakeShard>; 2],
    pub(crate) shutdown: Shutdown,
    /// What the next start gives sessions once it was asked to stop.
    pub(crate) drain: Duration,
    pub(crate) smtp: std::net::SocketAddr,
    pub(crate) smtp_proxied: SocketAddr,
    pub(crate) lmtp: std::net::SocketAddr,
    pub(crate) rpc: std::net::SocketAddr,
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    authority: Authority,
    admin: Admin,
    serving: Option<JoinHandle<Result<(), buzonera_mx::Error>>>,
    spool: Option<Spool>,
    /// Of the shards that live.
    servers: Mutex<[Option<Server>; 2]>,
    incarnations: [AtomicU64; 2],
    _directory_server: Server,
}

/// Until it listens.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Between attempts of the spool.
const SOON: Duration = Duration::from_millis(50);

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl World {
    /// With small limits, so that tests reach them.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a configuration that a test has changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = ClusterId::random();
        let authority = Authority::create(&folder.path().join("ca"), cluster).unwrap();
        let issue = |tier, instance: &str| {
            let identity = Identity::new(cluster, tier, instance).unwrap();
            let path = folder.path().join(instance);
            authority.issue(&identity, &path).unwrap();
            path
        };
        let shards = ["shard-1", "shard-2"].map(|name| {
            issue(Tier::Storage, name);
            FakeShard::new(name)
        });
        let directory = Arc::new(FakeDirectory::default());
        let routes = Routes::new(directory.clone().service());
        let directory_server = Server::start(
            &issue(Tier::Directory, "directory-0"),
            ANY_PORT.parse().unwrap(),
            routes,
        );
        let endpoint = directory_server.endpoint();
        authority
            .issue_public(&["mx.example"], &folder.path().join("public"))
            .unwrap();
        let mut config = Config {
            hostname: "mx.example".into(),
            identity: issue(Tier::Mx, "mx-0"),
            directory: vec![Replica {
                instance: "directory-0".into(),
                endpoint,
            }],
            data: folder.path().join("data"),
            smtp_listen: "127.0.0.1:0".parse().unwrap(),
            smtp_proxied_listen: Some("127.0.0.1:0".parse().unwrap()),
            proxy_trusted: vec!["127.0.0.1".parse().unwrap()],
            lmtp_listen: Some("127.0.0.1:0".parse().unwrap()),
            rpc_listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(folder.path().join("public")),
            limits: Limits {
                max_message_size: 100_000,
                max_unknown: 5,
                ..Limits::default()
            },
            spool: spool::Config {
                first_wait: SOON,
                longest_wait: SOON,
                ..spool::Config::default()
            },
            ..Config::default()
        };
        change(&mut config);
        let mut world = Self {
            directory,
            shards,
            shutdown: Shutdown::new(Duration::ZERO, DRAIN),
            drain: DRAIN,
            smtp: NOWHERE,
            smtp_proxied: NOWHERE,
            lmtp: NOWHERE,
            rpc: NOWHERE,
            authority,
            folder,
            config,
            admin: Admin::default(),
            serving: None,
            spool: None,
            servers: Mutex::default(),
            incarnations: Default::default(),
            _directory_server: directory_server,
        };
        for shard in [0, 1] {
            world.revive(shard, ANY_PORT);
            world.tell(shard, true);
        }
        world.start().await;
        world
    }

    async fn start(&mut self) {
        self.shutdown = Shutdown::new(Duration::ZERO, self.drain);
        self.admin = Admin::default();
        let config = self.config.clone();
        let mx = bind::<Mx>(config, &self.admin, &self.shutdown).await;
        let mx = mx.unwrap();
        (self.smtp, self.lmtp) = (mx.smtp_addr().unwrap(), mx.lmtp_addr().unwrap());
        self.rpc = mx.rpc_addr();
        self.smtp_proxied = mx.smtp_proxied_addr().unwrap();
        self.spool = Some(mx.spool().clone());
        self.serving = Some(tokio::spawn(mx.serve()));
    }

    /// Ends a shard as `kill -9` does.
    pub(crate) async fn kill(&self, shard: usize) {
        let server = self.servers.lock()[shard].take();
        server.unwrap().kill().await;
    }

    /// Starts a shard at an address, as its next incarnation; the directory does not say so yet.
    pub(crate) fn revive(&self, shard: usize, at: &str) {
        let routes = Routes::new(self.shards[shard].clone().service());
        let identity = self.folder.path().join(&self.shards[shard].name);
        let server = Server::start(&identity, at.parse().unwrap(), routes);
        self.shards[shard].set_endpoint(server.endpoint());
        self.servers.lock()[shard] = Some(server);
        self.incarnations[shard].fetch_add(1, Ordering::Relaxed);
    }

    /// The directory says whether a shard's newest incarnation serves.
    pub(crate) fn tell(&self, shard: usize, serving: bool) {
        self.directory.tell(ShardWord {
            shard: self.shards[shard].name.clone(),
            incarnation: self.incarnations[shard].load(Ordering::Relaxed),
            serving,
            rpc_endpoint: self.shards[shard].endpoint(),
        });
    }

    /// Stops the MX and starts it again over the same volume.
    pub(crate) async fn restart(&mut self) {
        self.shutdown.trigger_now();
        self.ended().await;
        self.start().await;
    }

    /// Waits for the end of an MX that was asked to stop.
    pub(crate) async fn ended(&mut self) {
        self.spool = None;
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap().unwrap();
        }
    }

    /// The identity folder of a process or person.
    pub(crate) fn identity(&self, tier: Tier, instance: &str) -> std::path::PathBuf {
        let folder = self.folder.path().join(instance);
        let identity = Identity::new(self.authority.cluster(), tier, instance).unwrap();
        self.authority.issue(&identity, &folder).unwrap();
        folder
    }

    /// The spool of the running MX.
    pub(crate) fn spool(&self) -> &Spool {
        self.spool.as_ref().unwrap()
    }

    /// A metric of the MX, by its name without prefix and by texts that its labels have.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let found = self.counted(name, labels);
        found.unwrap_or_else(|| panic!("no {name} {labels:?} in {}", self.admin.metrics.text()))
    }

    /// Likewise; none: nothing of that was counted yet.
    pub(crate) fn counted(&self, name: &str, labels: &[&str]) -> Option<u64> {
        let text = self.admin.metrics.text();
        let found = text.lines().find(|line| {
            line.strip_prefix(&format!("buzonera_mx_{name}{{"))
                .is_some()
                && labels
                    .iter()
                    .all(|label| line.contains(&format!("\"{label}\"")))
        });
        let value = found.and_then(|line| line.rsplit(' ').next());
        value.map(|value| value.parse().unwrap())
    }

    /// The MX's answer to whoever asks whether it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.admin.readiness.is_ready()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(tokio::time::Instant::now() < deadline, "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Makes an address known that leads to a new account on a shard.
    pub(crate) fn account(&self, address: &str, shard: usize) -> AccountId {
        let account = AccountId::random();
        self.directory
            .place(account, address, &self.shards[shard], 1);
        self.directory.lead(address, &[account]);
        account
    }

    /// An SMTP session past EHLO.
    pub(crate) async fn client(&self) -> Client {
        let mut client = Client::connect(self.smtp).await;
        client.expect("220 ").await;
        client.ask("EHLO client.example", "250 ").await;
        client
    }

    /// A session past STARTTLS and the handshake; `injected` is sent in clear behind the command.
    pub(crate) async fn start_tls(&self, injected: &str) -> Client {
        let mut stream = TcpStream::connect(self.smtp).await.unwrap();
        let mut read = Vec::new();
        stream
            .write_all(format!("EHLO c\r\nSTARTTLS\r\n{injected}").as_bytes())
            .await
            .unwrap();
        while !read.windows(8).any(|end| end == b"220 2.0.") {
            stream.read_buf(&mut read).await.unwrap();
        }
        while !read.ends_with(b"\r\n") {
            stream.read_buf(&mut read).await.unwrap();
        }
        let connector = TlsConnector::from(self.mail_server(None));
        Client::over(connector.connect(public_name(), stream).await.unwrap())
    }

    /// An LMTP connection before the greeting, with the certificate in a folder. By TLS 1.3 a client
    /// learns only later that it was refused.
    pub(crate) async fn lmtp_over_tls(&self, folder: Option<&Path>) -> std::io::Result<Client> {
        let connector = TlsConnector::from(self.mail_server(folder));
        let stream = TcpStream::connect(self.lmtp).await?;
        let stream = connector.connect(public_name(), stream).await?;
        Ok(Client::over(stream))
    }

    /// Another mail server's TLS, which trusts who certified our public name.
    fn mail_server(&self, folder: Option<&Path>) -> Arc<ClientConfig> {
        let certificates = |path| CertificateDer::pem_file_iter(path).unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in certificates(self.folder.path().join("ca/ca.pem")) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match folder {
            None => config.with_no_client_auth(),
            Some(folder) => {
                let chain = certificates(folder.join("cert.pem")).map(Result::unwrap);
                let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
                config.with_client_auth_cert(chain.collect(), key).unwrap()
            }
        };
        Arc::new(config)
    }

    /// An LMTP session past LHLO.
    pub(crate) async fn lmtp_client(&self) -> Client {
        let mut client = Client::connect(self.lmtp).await;
        client.expect("220 ").await;
        client.ask("LHLO client.example", "250 ").await;
        client
    }
}

fn public_name() -> ServerName<'static> {
    ServerName::try_from("mx.example").unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger_now();
    }
}
