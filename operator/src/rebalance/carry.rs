//! Asks for what is wanted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kit::rpc::Channel;
use plan::{Balance, Flow, Pick, Stays};
use wire::ids::AccountId;

use super::seen::Seen;
use super::sizes::{Giver, Looks, Step};
use super::stop::Tag;
use super::word::{Held, Lately};
use super::{Failed, ask};

/// For so long a round asks for sizes of accounts: shards that do not tell them hold up no others.
const ASKING: Duration = Duration::from_secs(10);

/// A flow that may run.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) flow: Flow,
    pub(super) tag: Tag,
    /// No more accounts than this.
    pub(super) most: usize,
}

/// Flows that run as far as they go.
pub(super) fn wanted(flows: Vec<(Flow, Tag)>) -> Vec<Wanted> {
    let most = usize::MAX;
    let wanted = flows.into_iter();
    wanted
        .map(|(flow, tag)| Wanted { flow, tag, most })
        .collect()
}

/// What was asked for.
pub(super) struct Asked {
    /// How many moves of each flow.
    pub(super) moves: Vec<usize>,
    /// What was not, and why.
    pub(super) held: Held,
}

/// Asks for moves, flow by flow, for as many as may be open beside those that are.
pub(super) async fn out(
    channel: &Channel,
    balance: &mut Balance,
    wanted: &[Wanted],
    seen: &mut Seen,
    mut free: usize,
) -> Result<Asked, Failed> {
    let mut asked = Asked {
        moves: vec![0; wanted.len()],
        held: Held::default(),
    };
    if free == 0 || wanted.iter().all(|wanted| wanted.most == 0) {
        return Ok(asked);
    }
    let lately = ask::moved_lately(seen.all(channel).await?);
    let until = Instant::now() + ASKING;
    let mut givers: HashMap<&str, Giver> = HashMap::new();
    for (moves, Wanted { flow, tag, most }) in asked.moves.iter_mut().zip(wanted) {
        if *most == 0 {
            continue;
        }
        let giver = match givers.entry(flow.from.as_str()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let accounts = ask::accounts(channel, flow).await?;
                new.insert(Giver::new(ask::held(&accounts, &lately)?))
            }
        };
        let most = free.min(*most);
        let pick = picked(channel, balance, (flow, most), giver, until).await;
        let (planned, no_room) = ask::start(channel, flow, tag, &pick.accounts).await?;
        asked.held.add(pick.stays, no_room);
        *moves = planned;
        free -= planned;
        if free == 0 {
            break;
        }
    }
    let accounts = givers.values().flat_map(Giver::accounts);
    asked.held.lately = stay_for_now(accounts, &lately);
    Ok(asked)
}

/// Picks the accounts of a flow, asking for the sizes of those that would go as long as there is time.
async fn picked(
    channel: &Channel,
    balance: &mut Balance,
    (flow, most): (&Flow, usize),
    giver: &mut Giver,
    until: Instant,
) -> Pick {
    let mut looks = Looks::new();
    loop {
        let has_time = Instant::now() < until;
        match giver.step(balance, (flow, most), &mut looks, has_time) {
            Step::Ask(ids) => giver.told(&ids, &ask::sizes(channel, flow, &ids).await),
            Step::Go(after, pick) => {
                *balance = *after;
                return pick;
            }
        }
    }
}

impl Held {
    fn add(&mut self, stays: Stays, no_room: usize) {
        let no_room = u64::try_from(no_room).unwrap_or(u64::MAX);
        self.stays.lately += stays.lately;
        self.stays.no_room += stays.no_room.saturating_add(no_room);
        self.stays.no_better += stays.no_better;
    }
}

/// Those of these accounts that have moved lately; none: none has.
fn stay_for_now(
    accounts: impl Iterator<Item = AccountId>,
    lately: &HashMap<Bytes, i64>,
) -> Option<Lately> {
    let moved = accounts.filter_map(|account| lately.get(&account.to_field()));
    let (mut count, mut first_ms) = (0, i64::MAX);
    for moved_at_ms in moved {
        count += 1;
        first_ms = first_ms.min(*moved_at_ms);
    }
    (count > 0).then_some(Lately {
        accounts: count,
        until_ms: first_ms.saturating_add(ask::LATELY_MS),
    })
}
