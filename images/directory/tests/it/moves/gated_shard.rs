//! A shard behind a gate.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kit::rpc::Channel;
use kit::services::mover_client::MoverClient;
use kit::services::mover_server::{self, MoverServer};
use kit::services::shard_client::ShardClient;
use kit::services::shard_server::{self, ShardServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use wire::rpc;
use wire::rpc::MoveCommand;

use super::gate::Gate;

/// Stands for a shard: hands every command of a driver on to it.
#[derive(Clone)]
pub(crate) struct GatedShard {
    pub(crate) name: String,
    pub(crate) channel: Channel,
    pub(crate) gate: Arc<Gate>,
}

impl GatedShard {
    pub(crate) fn routes(self) -> Routes {
        Routes::new(MoverServer::new(self.clone())).add_service(ShardServer::new(self))
    }
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service, whose commands are handed on as they are.
macro_rules! mover {
    ($($method:ident -> $reply:ident;)*) => {
        #[tonic::async_trait]
        impl mover_server::Mover for GatedShard {
            type ImportStream = Boxed<rpc::ImportProgress>;
            type ExportStream = Boxed<rpc::ExportPart>;

            $(
                async fn $method(
                    &self,
                    request: Request<MoveCommand>,
                ) -> Result<Response<rpc::$reply>, Status> {
                    let mut shard = MoverClient::new(self.channel.clone());
                    let name = format!("{} at {}", stringify!($method), self.name);
                    self.gate.effect(name, shard.$method(request.into_inner())).await
                }
            )*

            async fn digest(
                &self,
                request: Request<MoveCommand>,
            ) -> Result<Response<rpc::DigestReply>, Status> {
                self.gated_digest(request.into_inner()).await.map(Response::new)
            }

            async fn import(
                &self,
                request: Request<rpc::ImportRequest>,
            ) -> Result<Response<Self::ImportStream>, Status> {
                self.gated_import(request.into_inner()).await.map(Response::new)
            }

            async fn export(
                &self,
                _request: Request<rpc::ExportRequest>,
            ) -> Result<Response<Self::ExportStream>, Status> {
                Err(Status::unimplemented("shards call each other directly"))
            }
        }
    };
}

mover! {
    prepare -> MoveReply;
    fence -> FenceReply;
}

impl GatedShard {
    async fn gated_digest(&self, command: MoveCommand) -> Result<rpc::DigestReply, Status> {
        let mut shard = MoverClient::new(self.channel.clone());
        let name = format!("digest at {}", self.name);
        let asked = self.gate.effect(name, shard.digest(command)).await;
        let reply = asked?.into_inner();
        match self.gate.is_pending(&self.name) {
            true => Ok(rpc::DigestReply {
                incarnation: reply.incarnation,
                pending: true,
                ..rpc::DigestReply::default()
            }),
            false => Ok(reply),
        }
    }

    /// Two effects: it has begun, and it has ended; unless it is one that breaks off.
    async fn gated_import(
        &self,
        request: rpc::ImportRequest,
    ) -> Result<Boxed<rpc::ImportProgress>, Status> {
        if self.gate.breaks_off() {
            let some = rpc::ImportProgress {
                messages: 1,
                ..rpc::ImportProgress::default()
            };
            let reports = [Ok(some), Err(Status::unavailable("it broke off"))];
            return Ok(Box::pin(tokio_stream::iter(reports)));
        }
        let mut shard = MoverClient::new(self.channel.clone());
        let name = |what| format!("{what} import at {}", self.name);
        let begun = shard.import(request);
        let reports = self.gate.effect(name("begin"), begun).await?.into_inner();
        let gate = Arc::clone(&self.gate);
        let end = name("end");
        let reports = reports.then(move |report| {
            let (gate, end) = (Arc::clone(&gate), end.clone());
            async move {
                match &report {
                    Ok(last) if last.complete => gate.effect(end, async { report }).await,
                    _ => report,
                }
            }
        });
        Ok(Box::pin(reports))
    }
}

#[tonic::async_trait]
impl shard_server::Shard for GatedShard {
    async fn deliver(
        &self,
        _request: Request<Streaming<rpc::DeliverPart>>,
    ) -> Result<Response<rpc::DeliverReply>, Status> {
        Err(Status::unimplemented("a driver delivers nothing"))
    }

    async fn account_usage(
        &self,
        request: Request<rpc::AccountUsageRequest>,
    ) -> Result<Response<rpc::AccountUsageReply>, Status> {
        let mut shard = ShardClient::new(self.channel.clone());
        shard.account_usage(request.into_inner()).await
    }
}
