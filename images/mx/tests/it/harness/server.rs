//! A server that can be ended as `kill -9` ends a process: it has a runtime of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kit::lifecycle::{DRAIN, Shutdown};
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::server::serve;
use kit::tls::Credentials;
use tokio::runtime::Runtime;
use tonic::service::Routes;

pub(crate) struct Server {
    address: SocketAddr,
    /// None: it is dead.
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves with the identity in a folder.
    pub(crate) fn start(identity: &Path, address: SocketAddr, routes: Routes) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let credentials = Credentials::load(identity).unwrap();
        let listener = Listener::bind(ListenerConfig::new("rpc", "--rpc", address)).unwrap();
        let address = listener.local_addr();
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        runtime.spawn(async move { serve(listener, &credentials, routes, shutdown).await });
        Self {
            address,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Its connections are closed when this returns.
    pub(crate) async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || drop(runtime));
        ended.await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
