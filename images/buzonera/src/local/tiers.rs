//! Every tier, started from the directory outwards and stopped from the outside inwards, so that
//! what is under way at an outer tier still finds the inner ones.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use directory::{Directory, StoreAt, WhenEmpty};
use kit::admin::{self, Admin};
use kit::frame::{Bound, Tier};
use kit::lifecycle::Shutdown;
use kit::rpc::Replica;
use mx::Mx;
use proxy::Proxy;
use storage::Storage;
use wire::ids::ShardName;
use wire::rpc;

use crate::client::{ask, request_id};
use crate::failure::Failure;
use crate::local::args::LocalArgs;
use crate::local::layout::Layout;
use crate::local::roster;
use crate::local::stage::{Ending, Stage};
use crate::reach;

/// Traffic between tiers stays on this machine, at ports that the kernel chooses.
const INSIDE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Ctrl-C need not wait for whoever reads a large mailbox; a mail program connects again. With it,
/// and the time to close what is open, everything has ended after 5 s.
pub(super) const DRAIN: Duration = Duration::from_secs(3);

/// Of these, what sessions have; the rest is for the calls that they began at inner tiers.
const OUTER_DRAIN: Duration = Duration::from_secs(2);

/// A shard that replays a large heap takes its time; nobody waits longer than this for a screen.
const SHARDS_LIVE: Duration = Duration::from_secs(120);

/// Between two looks at the shards.
const LOOK: Duration = Duration::from_millis(50);

/// All tiers at work.
pub(super) struct Tiers {
    /// Where the directory listens.
    pub(super) directory: SocketAddr,
    /// Where MX takes commands.
    pub(super) mx: SocketAddr,
    stages: [Stage; 3],
}

/// What all tiers are started with.
struct Site<'a> {
    args: &'a LocalArgs,
    layout: &'a Layout,
    replica: Replica,
    admin: Admin,
}

impl Tiers {
    /// Starts all and returns when every shard serves.
    pub(super) async fn start(
        args: &LocalArgs,
        layout: &Layout,
        shards: &[ShardName],
        shutdown: &Shutdown,
    ) -> Result<Self, Ending> {
        let directory = loopback(args.directory);
        let site = Site {
            args,
            layout,
            replica: Replica {
                instance: roster::DIRECTORY.to_owned(),
                endpoint: directory.to_string(),
            },
            admin: Admin::default(),
        };
        let mut outer = Stage::of(shutdown, OUTER_DRAIN);
        let mut middle = Stage::of(shutdown, DRAIN);
        let mut inner = Stage::of(shutdown, DRAIN);
        let tier = site.bind::<Directory>("directory", site.directory(), &inner);
        inner.serve("directory", tier.await?, Ending::of);
        site.add_shards(shards).await?;
        site.replace_volume().await?;
        for shard in shards {
            let config = site.shard(shard);
            middle.start::<Storage>(shard.as_str(), config, &site.admin, Ending::of_shard);
        }
        let tier = site.bind::<Mx>("mx", site.mx(), &outer).await?;
        let mx = tier.rpc_addr();
        outer.serve("mx", tier, Ending::of);
        outer.start::<Proxy>("proxy", site.proxy(), &site.admin, Ending::of);
        site.start_admin(&mut inner)?;
        let mut tiers = Self {
            directory,
            mx,
            stages: [outer, middle, inner],
        };
        tokio::select! {
            live = site.shards_live(shards.len()) => live?,
            ending = tiers.ended() => return Err(ending),
        }
        Ok(tiers)
    }

    /// Works until `shutdown` is triggered or a tier ends; then stops all by its deadline.
    pub(super) async fn until(mut self, shutdown: &Shutdown) -> Result<(), Ending> {
        let mut outcome = tokio::select! {
            () = shutdown.triggered() => Ok(()),
            ending = self.ended() => Err(ending),
        };
        shutdown.trigger();
        for stage in self.stages {
            outcome = outcome.and(stage.stop().await);
        }
        outcome
    }

    async fn ended(&mut self) -> Ending {
        let [outer, middle, inner] = &mut self.stages;
        tokio::select! {
            ending = outer.ended() => ending,
            ending = middle.ended() => ending,
            ending = inner.ended() => ending,
        }
    }
}

impl Site<'_> {
    async fn bind<T: Tier>(
        &self,
        name: &str,
        config: T::Config,
        stage: &Stage,
    ) -> Result<Bound<T>, Failure> {
        let bound = kit::frame::bind::<T>(config, &self.admin, &stage.shutdown()).await;
        bound.map_err(named(name))
    }

    fn directory(&self) -> directory::Config {
        let listen = loopback(self.args.directory);
        let store = StoreAt::Embedded(self.layout.directory());
        let identity = self.layout.identity(roster::DIRECTORY);
        let mut config = directory::Config::new(identity, listen, store);
        // Shards are made after the directory: without any, an empty store is a new cluster's.
        config.when_empty = match self.layout.shards().exists() {
            true => WhenEmpty::Refuse,
            false => WhenEmpty::Bootstrap,
        };
        config
    }

    fn shard(&self, shard: &ShardName) -> storage::Config {
        storage::Config::new(
            self.layout.identity(shard.as_str()),
            self.layout.shard(shard),
            vec![self.replica.clone()],
            INSIDE,
            INSIDE,
        )
    }

    fn mx(&self) -> mx::Config {
        mx::Config {
            hostname: self.args.hostname.clone(),
            identity: self.layout.identity(roster::MX),
            directory: vec![self.replica.clone()],
            data: self.layout.mx(),
            smtp_listen: SocketAddr::new(self.args.listen, self.args.smtp).into(),
            lmtp_listen: Some(loopback(self.args.lmtp).into()),
            rpc_listen: INSIDE.into(),
            tls: Some(self.certificates()),
            ..mx::Config::default()
        }
    }

    fn proxy(&self) -> proxy::Config {
        proxy::Config {
            identity: self.layout.identity(roster::PROXY),
            tls: self.certificates(),
            directory: vec![self.replica.clone()],
            pop3_listen: SocketAddr::new(self.args.listen, self.args.pop3).into(),
            pop3s_listen: SocketAddr::new(self.args.listen, self.args.pop3s).into(),
            ..proxy::Config::default()
        }
    }

    fn start_admin(&self, stage: &mut Stage) -> Result<(), Failure> {
        let address = loopback(self.args.admin);
        let listener = admin::bind(address, "--admin").map_err(named("admin"))?;
        let serve = admin::serve(listener, self.admin.clone(), stage.shutdown());
        stage.run(async {
            serve.await;
            Ok(())
        });
        Ok(())
    }

    /// Makes the shards known to the directory; those that are known stay as they are.
    async fn add_shards(&self, shards: &[ShardName]) -> Result<(), Failure> {
        let admin = self.client()?;
        for shard in shards {
            let request = rpc::AddShardRequest {
                request_id: request_id(),
                name: shard.to_string(),
            };
            ask!(admin.add_shard(request))?;
        }
        Ok(())
    }

    async fn replace_volume(&self) -> Result<(), Failure> {
        let Some(name) = &self.args.replace_volume else {
            return Ok(());
        };
        let request = rpc::ReplaceVolumeRequest {
            request_id: request_id(),
            name: name.clone(),
        };
        let admin = self.client()?;
        ask!(admin.replace_volume(request))?;
        Ok(())
    }

    async fn shards_live(&self, count: usize) -> Result<(), Failure> {
        let admin = self.client()?;
        let look = async {
            loop {
                let list = ask!(admin.list_shards(rpc::ListRequest::default()))?;
                let live = list.shards.iter().filter(|shard| shard.live).count();
                if live >= count && self.admin.readiness.is_ready() {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(SHARDS_LIVE, look).await {
            Ok(live) => live,
            Err(_) => Err(Failure::Temporary("The shards do not come up.".to_owned())),
        }
    }

    fn client(&self) -> Result<crate::client::Admin, Failure> {
        let address = self.replica.endpoint.clone();
        reach::local(self.layout, address, roster::DIRECTORY).admin()
    }
}

impl Site<'_> {
    /// The certificates for mail clients: those that were brought, or our own CA's.
    fn certificates(&self) -> PathBuf {
        let brought = self.args.tls.clone();
        brought.unwrap_or_else(|| self.layout.public())
    }
}

/// An address on this machine only.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

/// Sentences begin with the tier's name.
fn named<E: std::fmt::Display>(name: &str) -> impl Fn(E) -> Failure {
    move |error| Failure::Refused(format!("{name}: {error}."))
}
