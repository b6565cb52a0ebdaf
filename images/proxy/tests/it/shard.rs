//! A shard over real TLS that says what it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use kit::tls::Credentials;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wire::handoff::Handoff;
use wire::sasl;

use crate::world::ANY;

pub(crate) struct Shard {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    /// Answers to AUTH, first come first; then `+OK 0 messages`.
    answers: Mutex<VecDeque<String>>,
    handoffs: Mutex<Vec<Handoff>>,
    /// Sessions that stand.
    open: Mutex<usize>,
}

impl Shard {
    pub(crate) async fn start(credentials: &Credentials) -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let shard = Self {
            name: credentials.identity().instance().to_owned(),
            address: listener.local_addr().unwrap(),
            script: Arc::default(),
        };
        let tls = TlsAcceptor::from(credentials.server_config());
        let script = shard.script.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(session(tls.clone(), stream, script.clone()));
            }
        });
        shard
    }

    pub(crate) fn will_say(&self, answer: &str) {
        self.script.answers.lock().push_back(answer.to_owned());
    }

    pub(crate) fn handoffs(&self) -> Vec<Handoff> {
        self.script.handoffs.lock().clone()
    }

    pub(crate) fn open(&self) -> usize {
        *self.script.open.lock()
    }
}

/// An answer that never comes.
pub(crate) const HANG: &str = "hang";

/// After login each line is echoed behind `+OK `; QUIT ends; FLOOD sends a megabyte.
async fn session(tls: TlsAcceptor, stream: TcpStream, script: Arc<Script>) {
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"+OK Buzonera shard\r\n").await.unwrap();
    let Ok(Some(auth)) = lines.next_line().await else {
        return;
    };
    let response = auth.strip_prefix("AUTH EXTERNAL ").unwrap();
    let message = sasl::initial_response(response.as_bytes()).unwrap();
    let handoff = sasl::external(message.expose()).unwrap().parse().unwrap();
    script.handoffs.lock().push(handoff);
    let answer = script.answers.lock().pop_front();
    let answer = answer.unwrap_or_else(|| "+OK 0 messages".to_owned());
    if answer == HANG {
        // Until the proxy has had enough.
        let _ended = lines.next_line().await;
        return;
    }
    writer
        .write_all(format!("{answer}\r\n").as_bytes())
        .await
        .unwrap();
    if !answer.starts_with("+OK") {
        return;
    }
    *script.open.lock() += 1;
    while let Ok(Some(line)) = lines.next_line().await {
        let reply = match line.as_str() {
            "FLOOD" => "x".repeat(1 << 20),
            line => format!("+OK {line}\r\n"),
        };
        if writer.write_all(reply.as_bytes()).await.is_err() || line == "QUIT" {
            break;
        }
    }
    *script.open.lock() -= 1;
    // Whoever has left does not hear it.
    let _ = writer.shutdown().await;
}
