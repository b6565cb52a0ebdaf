//! What administrators and the operator ask for, one file per noun.
//!
//! Reads prove first that this replica is current, so that "not found" is true everywhere; writes
//! are described in [`write`].

mod accounts;
mod aliases;
mod domains;
mod give_back;
mod import;
mod moves;
pub(crate) mod refuse;
mod remove;
mod replace;
pub(crate) mod shards;
mod shown;
mod status;
mod sweep;
pub(crate) mod write;

use std::sync::Arc;
use std::time::Duration;

use kit::rpc::ShardChannels;
use kit::services::admin_server;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use wire::rpc;

use crate::authenticate::Pool;
use crate::contact::Contact;
use crate::map::{Address, Map, Shared};
use crate::store::observed::Writes;
use crate::store::{Freshness, SharedStore};

/// Most entries of one page.
const MAX_PAGE: usize = 1000;

kit::settings! {
    /// How administrators' requests are carried out.
    #[derive(PartialEq, Eq)]
    pub struct AdminConfig {
        /// How long a new account may take to be durable at its shard before the answer says
        /// Creating.
        pub create_wait: Duration as DURATION = CREATE_WAIT,
        /// How long a shard may take to tell an account's usage.
        pub usage_wait: Duration as DURATION = USAGE_WAIT,
        /// How long the proof that this replica is current may take.
        pub proof: Duration as DURATION = PROOF,
        /// How long a removed account's mail is kept.
        pub keep_removed: Duration as DURATION = DAY * 7,
        /// How long a write's outcome is kept for retries, and a move that is over for whoever asks.
        pub keep_outcomes: Duration as DURATION = DAY,
        /// How often what has been kept for long enough is looked for.
        pub sweep: Duration as DURATION = SWEEP,
    }
}

/// A shard that starts again is back within seconds, and callers wait ten for an answer.
const CREATE_WAIT: Duration = Duration::from_secs(6);

/// A person waits for it.
const USAGE_WAIT: Duration = Duration::from_secs(1);

/// A store that elects a new leader takes a second or two.
const PROOF: Duration = Duration::from_secs(3);

/// Nobody retries after a day; a removed account is kept for seven, as documented.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Nothing about days is urgent.
const SWEEP: Duration = Duration::from_secs(60);

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) store: SharedStore,
    pub(crate) writes: Writes,
    pub(crate) shared: Arc<Shared>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) contact: Arc<Contact>,
    pub(crate) pool: Pool,
    pub(crate) channels: ShardChannels,
    pub(crate) config: Arc<AdminConfig>,
}

impl Admin {
    /// Returns once everything committed before the call is in the map.
    pub(crate) async fn current(&self) -> Result<(), Status> {
        let deadline = Instant::now() + self.config.proof;
        let proof = self.freshness.prove_current(deadline).await;
        proof.map_err(|_| refuse::unproven())
    }
}

/// At most `limit` (0: as many as a page has), and whether there are more.
pub(crate) fn page<T>(entries: impl Iterator<Item = T>, limit: u32) -> (Vec<T>, bool) {
    let limit = match limit as usize {
        0 => MAX_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let mut page: Vec<T> = entries.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    (page, more)
}

/// The addresses that a listing of accounts or aliases goes through.
fn addresses<'a>(
    map: &'a Map,
    message: &'a rpc::ListRequest,
) -> Result<impl Iterator<Item = Address<'a>>, Status> {
    let domain = match message.filter.as_str() {
        "" => None,
        name => Some(refuse::domain("filter", name)?),
    };
    // The place before the first address of the domain sorts as an empty local part.
    let first = domain.as_ref().map(|domain| format!("@{domain}"));
    let after = match (&first, message.after.as_str()) {
        (Some(first), "") => first.clone(),
        (_, after) => after.to_owned(),
    };
    let inside = move |address: &Address<'_>| {
        domain
            .as_ref()
            .is_none_or(|domain| address.domain() == domain.as_str())
    };
    Ok(map.addresses_after(&after).take_while(inside))
}

/// Hands each method to the function of its name, on a replica that may speak; who may call is
/// checked before.
macro_rules! methods {
    ($($method:ident: $request:ident -> $reply:ident = |$me:ident, $message:ident| $call:expr;)*) => {
        #[tonic::async_trait]
        impl admin_server::Admin for Admin {
            $(
                async fn $method(
                    &self,
                    request: Request<rpc::$request>,
                ) -> Result<Response<rpc::$reply>, Status> {
                    self.contact.check()?;
                    let ($me, $message) = (self, request.into_inner());
                    $call.await.map(Response::new)
                }
            )*
        }
    };
}

methods! {
    add_domain: AddDomainRequest -> Domain = |me, message| me.add_domain(message);
    list_domains: ListRequest -> ListDomainsReply = |me, message| me.list_domains(message);
    show_domain: DomainName -> Domain = |me, message| me.show_domain(&message.name);
    remove_domain: RemoveDomainRequest -> Domain = |me, message| me.remove_domain(message);
    add_account: AddAccountRequest -> Account = |me, message| me.add_account(message);
    import_accounts: ImportAccountsRequest -> ImportAccountsReply =
        |me, message| me.import_accounts(message);
    list_accounts: ListRequest -> ListAccountsReply = |me, message| me.list_accounts(message);
    show_account: AddressName -> Account = |me, message| me.show_account(&message.address);
    set_password: SetPasswordRequest -> Account = |me, message| me.set_password(message);
    set_quota: SetQuotaRequest -> Account = |me, message| me.set_quota(message);
    remove_account: RemoveAccountRequest -> Account = |me, message| me.remove_account(message);
    restore_account: RestoreAccountRequest -> Account = |me, message| me.restore_account(message);
    add_alias: AddAliasRequest -> Alias = |me, message| me.add_alias(message);
    list_aliases: ListRequest -> ListAliasesReply = |me, message| me.list_aliases(message);
    show_alias: AddressName -> Alias = |me, message| me.show_alias(&message.address);
    remove_alias: RemoveAliasRequest -> Alias = |me, message| me.remove_alias(message);
    list_shards: ListRequest -> ListShardsReply = |me, message| me.list_shards(message);
    add_shard: AddShardRequest -> ShardInfo = |me, message| me.add_shard(message);
    set_shard_state: SetShardStateRequest -> ShardInfo = |me, message| me.set_shard_state(message);
    replace_volume: ReplaceVolumeRequest -> ShardInfo = |me, message| me.replace_volume(message);
    start_move: StartMoveRequest -> Move = |me, message| me.start_move(message);
    show_move: ShowMoveRequest -> Move = |me, message| me.show_move(message);
    list_moves: ListRequest -> ListMovesReply = |me, message| me.list_moves(message);
    abort_move: AbortMoveRequest -> Move = |me, message| me.abort_move(message);
    start_moves: StartMovesRequest -> StartMovesReply = |me, message| me.start_moves(message);
    abort_moves: AbortMovesRequest -> AbortMovesReply = |me, message| me.abort_moves(message);
    show_move_limits: ShowMoveLimitsRequest -> MoveLimits =
        |me, _message| me.show_move_limits();
    set_move_limits: SetMoveLimitsRequest -> MoveLimits =
        |me, message| me.set_move_limits(message);
    list_shard_accounts: ListShardAccountsRequest -> ListShardAccountsReply =
        |me, message| me.list_shard_accounts(message);
    status: StatusRequest -> StatusReply = |me, _message| me.status();
}
