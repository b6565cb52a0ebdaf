//! A small POP3 client over TLS: reads a whole mailbox.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open session.
pub struct Client {
    stream: BufReader<TlsStream<TcpStream>>,
}

/// Trust in one CA.
pub fn trust(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).context(ca.display().to_string())? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Client {
    /// Connects to a server on this machine with implicit TLS and logs in.
    pub async fn login(
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        user: &str,
        password: &str,
    ) -> Result<Self> {
        Self::login_at("localhost", address, tls, user, password).await
    }

    /// Likewise, to a server whose certificate has the name `host`.
    pub async fn login_at(
        host: &'static str,
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        user: &str,
        password: &str,
    ) -> Result<Self> {
        let tcp = timeout(PATIENCE, TcpStream::connect(address)).await??;
        tcp.set_nodelay(true)?;
        Self::login_over(tcp, host, tls, user, password).await
    }

    /// Likewise, over a connection that is open.
    pub async fn login_over(
        tcp: TcpStream,
        host: &'static str,
        tls: &Arc<ClientConfig>,
        user: &str,
        password: &str,
    ) -> Result<Self> {
        let name = ServerName::try_from(host)?;
        let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, tcp);
        let mut client = Self {
            stream: BufReader::new(timeout(PATIENCE, connecting).await??),
        };
        client.ok().await.context("greeting")?;
        client.ask(&format!("USER {user}")).await?;
        client.ask(&format!("PASS {password}")).await?;
        Ok(client)
    }

    /// Says a command and expects `+OK`; the rest of that line.
    pub async fn ask(&mut self, command: &str) -> Result<String> {
        self.say(command).await?;
        let verb = command.split(' ').next().unwrap_or_default().to_owned();
        self.ok().await.context(verb)
    }

    /// UIDL: numbers and unique-ids.
    pub async fn unique_ids(&mut self) -> Result<Vec<(u32, String)>> {
        self.ask("UIDL").await?;
        let text = String::from_utf8(self.lines().await?)?;
        text.lines()
            .map(|line| {
                let (number, id) = line.split_once(' ').context("not a UIDL line")?;
                Ok((number.parse()?, id.to_owned()))
            })
            .collect()
    }

    /// RETR: the message's octets.
    pub async fn retrieve(&mut self, number: u32) -> Result<Vec<u8>> {
        self.ask(&format!("RETR {number}")).await?;
        self.lines().await
    }

    /// RETR of which nothing but the first line is read.
    pub async fn begin_to_retrieve(&mut self, number: u32) -> Result<()> {
        self.ask(&format!("RETR {number}")).await.map(drop)
    }

    /// Every message: unique-id and octets.
    pub async fn read_all(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut all = Vec::new();
        for (number, id) in self.unique_ids().await? {
            all.push((id, self.retrieve(number).await?));
        }
        Ok(all)
    }

    /// QUIT: what was deleted is gone once this returns.
    pub async fn quit(mut self) -> Result<()> {
        self.ask("QUIT").await.map(|_| ())
    }

    async fn say(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\r\n");
        timeout(PATIENCE, self.stream.get_mut().write_all(line.as_bytes())).await??;
        timeout(PATIENCE, self.stream.get_mut().flush()).await??;
        Ok(())
    }

    async fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        let read = timeout(PATIENCE, self.stream.read_until(b'\n', &mut line)).await;
        if read.context("no answer in time")?? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line)
    }

    async fn ok(&mut self) -> Result<String> {
        let line = self.line().await?;
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        match text.strip_prefix("+OK") {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => bail!("{text}"),
        }
    }

    /// A multi-line answer, without its end and with dots unstuffed.
    async fn lines(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let line = self.line().await?;
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return Ok(all),
                Some(rest) => all.extend_from_slice(rest),
                None => all.extend_from_slice(&line),
            }
        }
    }
}
