//! Gets the shard's lease and keeps it.

use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use kit::lifecycle::Shutdown;
use kit::pause::some_of;
use kit::rpc::DirectoryClient;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Request, Status};
use wire::ids::{ClusterId, Incarnation};
use wire::rpc::acquire_lease_reply::Result as Acquired;
use wire::rpc::renew_lease_reply::Result as Renewed;
use wire::rpc::{
    AcquireLeaseRequest, LeaseGranted, LockFile, ReleaseLeaseRequest, RenewLeaseRequest, Volume,
};

use crate::lease::Lease;
use crate::moves::COPY_FORMAT;
use crate::shard::{Ending, Shard};

/// Between two attempts that nobody answered: a fraction of the shortest sensible lease.
const PAUSE: Duration = Duration::from_millis(500);

/// How long one question may take: of a lease of 20 s, a third has passed when it is asked, and an
/// answer that comes later than this is of no use.
const QUESTION: Duration = Duration::from_secs(13);

/// How long giving the lease back may take: a process that ends has no more for what follows its drain.
const RELEASE: Duration = Duration::from_secs(5);

/// A renewal that is not answered after this gets company, at another replica; it may still be
/// answered itself, since where the directory's disks are slow another one is no faster.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest wait before a held lease is asked for again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Who asks, and where it is reached.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The volume, as it was found.
    pub volume: Volume,
    /// The volume's lock, which this process holds.
    pub lock: LockFile,
    /// What this start of the machine is called, if not as the kernel calls it.
    pub boot_id: Option<String>,
    /// The cluster that the volume belongs to; `None` for a new volume.
    pub cluster: Option<ClusterId>,
    /// host:port.
    pub rpc_endpoint: String,
    /// host:port.
    pub pop3_endpoint: String,
    /// The machine it runs on.
    pub node: String,
}

/// A lease, granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// This run's number.
    pub incarnation: Incarnation,
    /// The cluster.
    pub cluster: ClusterId,
}

/// Why there will be no lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    /// Not with this volume: says what to do.
    #[error("the directory refuses this shard a lease: {0}")]
    Volume(String),
    /// Never: says what to do.
    #[error("the directory refuses this shard a lease: {0}")]
    Refused(String),
    /// Asked to stop before.
    #[error("asked to stop before the lease was granted")]
    Stopped,
}

impl Claim {
    fn request(&self, lost: bool) -> AcquireLeaseRequest {
        AcquireLeaseRequest {
            boot_id: self.boot_id.clone().unwrap_or_else(boot_id),
            volume: (!lost).then(|| self.volume.clone()),
            cluster_id: self.cluster.map(|id| id.to_string()).unwrap_or_default(),
            rpc_endpoint: self.rpc_endpoint.clone(),
            pop3_endpoint: self.pop3_endpoint.clone(),
            lock: Some(self.lock),
            copy_format: COPY_FORMAT,
            lost,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.node.clone(),
        }
    }
}

/// Asks until the lease is granted or refused. The caller has the volume's lock.
pub async fn acquire(
    lease: &Lease,
    directory: &DirectoryClient,
    claim: &Claim,
    shutdown: &Shutdown,
) -> Result<Granted, NoLease> {
    ask(lease, directory, claim.request(false), shutdown)
        .await?
        .ok_or_else(|| NoLease::Refused("it answers what was not asked".to_owned()))
}

/// The volume has lost acknowledged mail: asks until an administrator's word is known. Returns when
/// it is to be taken as it is.
pub async fn let_go(
    lease: &Lease,
    directory: &DirectoryClient,
    claim: &Claim,
    shutdown: &Shutdown,
) -> Result<(), NoLease> {
    match ask(lease, directory, claim.request(true), shutdown).await? {
        None => Ok(()),
        Some(_) => Err(NoLease::Refused("it answers what was not asked".to_owned())),
    }
}

/// None: the volume is to be taken as it is, and nothing is granted yet.
async fn ask(
    lease: &Lease,
    directory: &DirectoryClient,
    request: AcquireLeaseRequest,
    shutdown: &Shutdown,
) -> Result<Option<Granted>, NoLease> {
    loop {
        let sent = lease.now();
        let answer = directory
            .registry()
            .acquire_lease(question(request.clone()))
            .await;
        let wait = match answer.map(|reply| reply.into_inner().result) {
            Ok(Some(Acquired::Granted(granted))) => match read_granted(&granted) {
                Some(read) => {
                    lease.granted(sent, Duration::from_millis(granted.ttl_ms));
                    return Ok(Some(read));
                }
                None => PAUSE,
            },
            Ok(Some(Acquired::Refused(reason))) => return Err(NoLease::Refused(reason)),
            Ok(Some(Acquired::BadVolume(reason))) => return Err(NoLease::Volume(reason)),
            Ok(Some(Acquired::GoOn(_))) => return Ok(None),
            Ok(Some(Acquired::Held(held))) => {
                let holder = held.incarnation;
                tracing::info!(holder, boot_id = held.boot_id, "the lease is held; waiting");
                Duration::from_millis(held.retry_after_ms).clamp(PAUSE, LONGEST_WAIT)
            }
            Ok(None) => PAUSE,
            Err(status) => {
                tracing::warn!(%status, "the directory does not answer; asking again");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(some_of(wait)) => {}
            () = shutdown.triggered() => return Err(NoLease::Stopped),
        }
    }
}

/// Renews the lease until it is superseded, which fails the shard; answers need it, so whoever runs
/// this ends it after the last of them. `followed` says whether the shard follows the directory; that
/// is told as soon as it changes. Nothing else is told with it, so that nothing else can keep the
/// lease from being renewed.
pub async fn keep(shard: Shard, directory: DirectoryClient, followed: watch::Receiver<bool>) {
    let lease = shard.lease().clone();
    let mut renewals = Renewals {
        shard: shard.clone(),
        directory,
        followed,
        asked: FuturesUnordered::new(),
        newest: lease.now(),
        company_at: Instant::now(),
    };
    loop {
        renewals.ask();
        if let ControlFlow::Break(by) = renewals.hear(&lease).await {
            lease.superseded(by);
            shard.fail(Ending::Superseded(by));
            return;
        }
    }
}

/// Questions under way, and when there is to be another.
struct Renewals {
    shard: Shard,
    directory: DirectoryClient,
    followed: watch::Receiver<bool>,
    asked: FuturesUnordered<BoxFuture<'static, Asked>>,
    /// When the newest of them was sent, by the lease's clock.
    newest: Duration,
    company_at: Instant,
}

/// When a question was sent, by the lease's clock, and what it was answered.
type Asked = (Duration, Result<Option<Renewed>, Status>);

impl Renewals {
    fn ask(&mut self) {
        let request = question(RenewLeaseRequest {
            incarnation: self.shard.incarnation().0,
            serving: *self.followed.borrow_and_update() && !self.shard.is_read_only(),
        });
        let mut registry = match self.asked.is_empty() {
            true => self.directory.registry(),
            false => self.directory.registry_in_turn(),
        };
        let sent = self.shard.lease().now();
        let answer = async move {
            let answer = registry.renew_lease(request).await;
            (sent, answer.map(|reply| reply.into_inner().result))
        };
        self.asked.push(answer.boxed());
        self.newest = sent;
        self.company_at = Instant::now() + PATIENCE;
    }

    /// Until the next question is due, or the shard is superseded.
    async fn hear(&mut self, lease: &Lease) -> ControlFlow<Incarnation> {
        loop {
            let waiting = !self.asked.is_empty();
            tokio::select! {
                Some((sent, answer)) = self.asked.next() => match answer {
                    Ok(Some(Renewed::Renewed(granted))) => {
                        lease.granted(sent, Duration::from_millis(granted.ttl_ms));
                    }
                    Ok(Some(Renewed::SupersededBy(by))) => {
                        return ControlFlow::Break(Incarnation(by));
                    }
                    Ok(None) => break unanswered(lease, sent, None).await,
                    Err(status) => break unanswered(lease, sent, Some(status)).await,
                },
                () = tokio::time::sleep_until(self.company_at), if waiting => {
                    break lease.unanswered(self.newest);
                }
                () = lease.renewal_due(), if !waiting => break,
                Ok(()) = self.followed.changed() => break,
            }
        }
        ControlFlow::Continue(())
    }
}

/// Gives the lease back, once nothing more can be written under it. Should it be lost on the way, the
/// lease ends by itself.
pub async fn release(shard: &Shard, directory: &DirectoryClient) {
    if !shard.lease().is_held() {
        return;
    }
    let incarnation = shard.incarnation().0;
    let mut request = Request::new(ReleaseLeaseRequest { incarnation });
    request.set_timeout(RELEASE);
    if let Err(status) = directory.registry().release_lease(request).await {
        tracing::info!(%status, "the lease was not given back; it ends by itself");
    }
}

async fn unanswered(lease: &Lease, sent: Duration, status: Option<Status>) {
    tracing::warn!(?status, "the lease could not be renewed; asking again");
    lease.unanswered(sent);
    tokio::time::sleep(some_of(PAUSE)).await;
}

fn read_granted(granted: &LeaseGranted) -> Option<Granted> {
    match granted.cluster_id.parse() {
        Ok(cluster) => Some(Granted {
            incarnation: Incarnation(granted.incarnation),
            cluster,
        }),
        Err(error) => {
            tracing::error!(%error, "the directory's cluster id cannot be read");
            None
        }
    }
}

fn question<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(QUESTION);
    request
}

/// This start of the machine; empty when the kernel does not say, which voids no lease early.
fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}
