//! A mail client at its simplest: it says lines and reads lines.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wire::proxy_header::header;

use crate::world::{HOST, LOGIN, PASSWORD, PATIENCE};

pub(crate) trait Io: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

pub(crate) struct Client {
    pub(crate) io: BufReader<Pin<Box<dyn Io>>>,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap())
    }

    /// Connects from another address of this machine.
    pub(crate) async fn connect_from(from: &str, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(from.parse().unwrap(), 0))
            .unwrap();
        Self::over(socket.connect(to).await.unwrap())
    }

    /// A balancer's connection for a client.
    pub(crate) async fn through_balancer(to: SocketAddr, client: &str) -> Self {
        let mut connection = Self::connect(to).await;
        let header = header(client.parse().unwrap(), to);
        connection.io.write_all(&header).await.unwrap();
        connection.io.flush().await.unwrap();
        connection
    }

    fn over(stream: impl Io + 'static) -> Self {
        let stream: Pin<Box<dyn Io>> = Box::pin(stream);
        Self {
            io: BufReader::new(stream),
        }
    }

    /// TLS on what stands, checking the public certificate.
    pub(crate) async fn encrypt(self, ca_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(HOST).unwrap();
        let stream = self.io.into_inner();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Self::over(connecting.await.unwrap())
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// The next line without its end; `closed` at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.io.read_line(&mut line));
        match read.await.expect("no line in time") {
            Ok(0) | Err(_) => "closed".to_owned(),
            Ok(_) => line.trim_end_matches(['\r', '\n']).to_owned(),
        }
    }

    pub(crate) async fn ask(&mut self, command: &str) -> String {
        self.say(&format!("{command}\r\n")).await;
        self.line().await
    }

    /// A multi-line reply without its last line.
    pub(crate) async fn ask_many(&mut self, command: &str) -> Vec<String> {
        let mut lines = vec![self.ask(command).await];
        loop {
            match self.line().await.as_str() {
                "." => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    pub(crate) async fn login(&mut self) -> String {
        self.login_as(LOGIN, PASSWORD).await
    }

    pub(crate) async fn login_as(&mut self, login: &str, password: &str) -> String {
        assert_eq!(self.ask(&format!("USER {login}")).await, "+OK now PASS");
        self.ask(&format!("PASS {password}")).await
    }

    /// All that comes until the end.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.io.read_to_end(&mut rest)).await;
        // A reset is an end too.
        let _ = read.expect("not closed in time");
        String::from_utf8(rest).unwrap()
    }
}
