//! The operator's decisions, at work.

use std::collections::{BTreeMap, BTreeSet};

use crds::mail_cluster::RebalanceMode;
use operator::leaving::{Counted, choose};
use operator::rebalance::{Tag, flows, most_open, stale};
use operator::shard::decide::{Act, Room, Wish, decide};
use plan::{AccountSize, Balance, Hold, Limits, Load, OpenMove, Standing};
use wire::ids::AccountId;
use wire::rpc::{MovePhase, ShardInfo, ShardState};

use super::Dice;
use super::directory::{Directory, Move};
use super::rollout::Rollout;

/// A decision that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Whoever is wanted again goes on leaving.
    Cancel,
    /// A shard counts as empty while something is left.
    Empty,
    /// What leaves one of the shards is forgotten.
    Flow,
    /// A shard that has left is retired again and again.
    Retire,
    /// A cancelled drain loses the shard's own weight.
    Weight,
    /// Each shard's turn is decided by itself.
    Turn,
    /// When a shard was restarted is written nowhere.
    Restarted,
    /// What leaves is not waited for, although it was taken down.
    Taken,
    /// What is down gets no mended template.
    Mended,
}

impl Broken {
    pub(crate) const ALL: [Self; 9] = [
        Self::Cancel,
        Self::Empty,
        Self::Flow,
        Self::Retire,
        Self::Weight,
        Self::Turn,
        Self::Restarted,
        Self::Taken,
        Self::Mended,
    ];
}

/// An object, MailboxShard.
#[derive(Debug, Clone, Copy, Default)]
struct Object {
    deleted: bool,
    cordoned: bool,
    weight: u32,
}

pub(crate) struct Operator {
    broken: Option<Broken>,
    /// `spec.shards`.
    wanted: u32,
    objects: BTreeMap<u32, Object>,
    rollout: Rollout,
    /// What the directory said last; it may be old.
    view: Vec<ShardInfo>,
    moves: Vec<Move>,
    is_fresh: bool,
    /// Those that stay from the moment on when nobody changes anything any more.
    staying: BTreeSet<u32>,
    /// For [`Broken::Weight`].
    forgotten: BTreeSet<u32>,
}

impl Operator {
    pub(crate) fn new(broken: Option<Broken>, wanted: u32) -> Self {
        Self {
            broken,
            wanted,
            objects: BTreeMap::new(),
            rollout: Rollout::new(broken),
            view: Vec::new(),
            moves: Vec::new(),
            is_fresh: false,
            staying: BTreeSet::new(),
            forgotten: BTreeSet::new(),
        }
    }

    /// What people do.
    pub(crate) fn people(&mut self, directory: &mut Directory, dice: &mut Dice) {
        let some: Vec<u32> = self.objects.keys().copied().collect();
        let chosen = some.get(dice.below(some.len())).copied();
        let object = chosen.and_then(|ordinal| self.objects.get_mut(&ordinal));
        match (dice.below(8), object) {
            (0, Some(object)) => object.cordoned = !object.cordoned,
            (1, Some(object)) => object.deleted = true,
            (2, Some(object)) => object.weight = 50 + u32::try_from(dice.below(100)).unwrap(),
            (3 | 4, _) => self.rollout.change(directory, dice.below(3) == 0),
            _ => self.wanted = 1 + u32::try_from(dice.below(5)).unwrap(),
        }
    }

    /// From now on nobody changes anything; a template that is broken is mended.
    pub(crate) fn is_left_alone(&mut self, directory: &mut Directory) {
        self.rollout.change(directory, false);
        for object in self.objects.values_mut() {
            object.cordoned = false;
        }
        self.view = directory.infos();
        self.find_objects();
        let stays = |(ordinal, object): (&u32, &Object)| {
            let is_there = self.info(*ordinal).is_some_and(|info| match info.state() {
                ShardState::Active | ShardState::Cordoned | ShardState::Draining => true,
                ShardState::Retired | ShardState::Lost | ShardState::Unspecified => false,
            });
            (is_there && self.wish(*ordinal, *object) != Wish::Leaving).then_some(*ordinal)
        };
        self.staying = self.objects.iter().filter_map(stays).collect();
    }

    /// One look at one thing.
    pub(crate) fn step(
        &mut self,
        directory: &mut Directory,
        dice: &mut Dice,
    ) -> Result<(), String> {
        match dice.below(6) {
            0 => {
                self.view = directory.infos();
                self.moves = directory.moves.clone();
                self.is_fresh = true;
            }
            1 => self.keep_count(directory),
            2 => self.rebalance(directory),
            3 => {
                let wishes = self.objects.iter();
                let wishes = wishes.map(|(of, object)| (*of, self.wish(*of, *object)));
                let wishes: Vec<_> = wishes.collect();
                self.rollout.look(directory, &self.view, &wishes, dice)?;
            }
            _ => {
                let some: Vec<u32> = self.objects.keys().copied().collect();
                if let Some(ordinal) = some.get(dice.below(some.len())).copied() {
                    self.look_at(directory, ordinal)?;
                }
            }
        }
        Ok(())
    }

    /// Shards that the directory knows have an object.
    fn find_objects(&mut self) {
        for info in &self.view {
            let there = matches!(
                info.state(),
                ShardState::Active | ShardState::Cordoned | ShardState::Draining
            );
            if there {
                self.objects.entry(ordinal(info)).or_default();
            }
        }
    }

    /// As the look at a cluster does.
    fn keep_count(&mut self, directory: &mut Directory) {
        if !self.is_fresh {
            return;
        }
        self.find_objects();
        let has_retired =
            |of: u32| self.info(of).map(ShardInfo::state) == Some(ShardState::Retired);
        let counted = self
            .objects
            .iter()
            .filter(|(of, object)| !object.deleted && !has_retired(**of))
            .count();
        if u32::try_from(counted).unwrap() < self.wanted
            && let Some(made) = directory.allocate(None, self.rollout.wanted())
        {
            self.objects.insert(made, Object::default());
            self.is_fresh = false;
        }
    }

    fn info(&self, of: u32) -> Option<&ShardInfo> {
        self.view.iter().find(|info| ordinal(info) == of)
    }

    fn wish(&self, of: u32, object: Object) -> Wish {
        let counted = self.objects.iter().map(|(ordinal, object)| {
            let info = self.info(*ordinal);
            Counted {
                ordinal: *ordinal,
                state: info.map(ShardInfo::state),
                deleted: object.deleted,
                set_aside: object.cordoned,
                accounts: info.map_or(0, |info| info.accounts),
            }
        });
        let counted: Vec<_> = counted.collect();
        let leaves = choose(&counted, self.wanted).contains(&of);
        match () {
            () if object.deleted || leaves => Wish::Leaving,
            () if object.cordoned => Wish::Cordoned,
            () => Wish::Active,
        }
    }

    /// As the look at a shard does.
    fn look_at(&mut self, directory: &mut Directory, of: u32) -> Result<(), String> {
        let Some(object) = self.objects.get(&of).copied() else {
            return Ok(());
        };
        let wish = self.wish(of, object);
        let mut info = self.info(of).cloned();
        if self.broken == Some(Broken::Empty)
            && let Some(info) = info.as_mut()
        {
            (info.accounts, info.moves_in, info.moves_out, info.debts) = (0, 0, 0, 0);
        }
        let room = self.room(of);
        let act = match (self.broken, info.as_ref().map(ShardInfo::state)) {
            (Some(Broken::Cancel), Some(ShardState::Draining)) => {
                decide(Wish::Leaving, info.as_ref(), room)
            }
            (Some(Broken::Retire), Some(ShardState::Retired)) => Act::Set(ShardState::Retired),
            _ => decide(wish, info.as_ref(), room),
        };
        match act {
            Act::Keep | Act::Wait(_) | Act::Never => {
                if let Some(info) = self.info(of)
                    && info.weight != object.weight
                    && !self.forgotten.contains(&of)
                {
                    directory.weigh(of, info.generation, object.weight);
                }
            }
            Act::Allocate => {
                directory.allocate(Some(of), self.rollout.wanted());
            }
            Act::LetGo => {
                if object.deleted {
                    self.objects.remove(&of);
                }
            }
            Act::Remove => {
                self.objects.remove(&of);
            }
            Act::Set(state) => self.set(directory, of, state)?,
        }
        Ok(())
    }

    fn set(&mut self, directory: &mut Directory, of: u32, state: ShardState) -> Result<(), String> {
        let Some(info) = self.info(of).cloned() else {
            return Ok(());
        };
        let is_done = directory.set(of, info.generation, state);
        // The directory looks once more; but a view that is not old must have been enough.
        let knew = self.moves.len() == directory.moves.len() && self.view == directory.infos();
        let was_there = info.state() != ShardState::Retired;
        if state == ShardState::Retired && !is_done && knew && was_there {
            return Err(format!("{of} was called empty, and is not"));
        }
        let stays = matches!(state, ShardState::Active | ShardState::Cordoned);
        if is_done && stays && info.state() == ShardState::Draining {
            self.forget_weight(directory, of, info.generation + 1);
        }
        Ok(())
    }

    fn forget_weight(&mut self, directory: &mut Directory, of: u32, generation: u64) {
        if self.broken == Some(Broken::Weight) {
            directory.weigh(of, generation, 0);
            self.forgotten.insert(of);
        }
    }

    fn loads(&self, leaving: Option<u32>) -> Vec<Load> {
        let told = self
            .view
            .iter()
            .filter_map(|info| Load::told(info).ok().flatten());
        told.map(|load| {
            let name = leaving.map(|ordinal| format!("example-{ordinal}"));
            match name.as_deref() == Some(load.shard.as_str()) {
                true => Load {
                    standing: Standing::Leaving,
                    ..load
                },
                false => load,
            }
        })
        .collect()
    }

    fn room(&self, of: u32) -> Room {
        let capacity = Balance::of(&self.loads(Some(of)), &[]).capacity();
        match capacity.suffices() {
            true => Room::Enough,
            false => Room::Short,
        }
    }

    /// As a round does.
    fn rebalance(&mut self, directory: &mut Directory) {
        let name = |ordinal: u32| format!("example-{ordinal}").parse().unwrap();
        let open: Vec<_> = self
            .moves
            .iter()
            .map(|it| OpenMove {
                from: name(it.from),
                to: name(it.to),
                bytes: None,
            })
            .collect();
        let loads = self.loads(None);
        self.give_up(directory, &loads);
        let mut balance = Balance::of(&loads, &open);
        let all = balance.plan(&Limits {
            tolerance_percent: 10,
        });
        let mut wanted = flows(&all, RebalanceMode::Auto, true);
        if self.broken == Some(Broken::Flow) {
            wanted.retain(|(_, tag)| *tag != Tag::Leaving);
        }
        let mut left = most_open(4, loads.len()).saturating_sub(open.len());
        for (flow, tag) in wanted {
            let from = flow.from.as_str();
            let accounts: Vec<AccountSize> = directory
                .accounts
                .iter()
                .filter(|(_, owner)| format!("example-{owner}") == from)
                .map(|(account, _)| AccountSize {
                    account: id(*account),
                    bytes: 0,
                    hold: match self.moves.iter().any(|it| it.account == *account) {
                        true => Hold::Fast,
                        false => Hold::Free,
                    },
                })
                .collect();
            for picked in balance.pick(&flow, &accounts, left).accounts {
                left -= 1;
                let to = flow.to.as_str().strip_prefix("example-").unwrap();
                directory.start(account(picked), to.parse().unwrap(), tag.as_str());
            }
        }
    }

    /// Moves off shards that do not leave any more.
    fn give_up(&self, directory: &mut Directory, loads: &[Load]) {
        let told = self.moves.iter().map(|it| wire::rpc::Move {
            source: format!("example-{}", it.from),
            plan: it.tag.clone(),
            phase: match it.has_begun {
                true => MovePhase::Copying.into(),
                false => MovePhase::Planned.into(),
            },
            ..wire::rpc::Move::default()
        });
        let told: Vec<_> = told.collect();
        for (shard, tag) in stale(&told, loads, RebalanceMode::Auto, None) {
            let of = shard.strip_prefix("example-").unwrap().parse().unwrap();
            directory.abort_planned(of, tag.as_str());
        }
    }

    /// Whether there is nothing left to do.
    pub(crate) fn is_done(&self, directory: &Directory) -> bool {
        let active: Vec<_> = directory
            .shards
            .iter()
            .filter(|(_, shard)| shard.state != ShardState::Retired)
            .collect();
        let right = active.iter().all(|(ordinal, shard)| {
            let object = self.objects.get(ordinal);
            shard.state == ShardState::Active
                && object.is_some_and(|object| !object.deleted && object.weight == shard.weight)
                && shard.live
                && shard.template == self.rollout.wanted()
        });
        let stay = self
            .staying
            .iter()
            .all(|it| directory.shards[it].state == ShardState::Active);
        right
            && stay
            && active.len() == usize::try_from(self.wanted).unwrap()
            && self.objects.len() == active.len()
            && directory.moves.is_empty()
    }

    pub(crate) fn told(&self, directory: &Directory) -> String {
        format!(
            "{} wanted, {:?}, {:?}, {:?}",
            self.wanted, self.objects, directory.shards, directory.moves
        )
    }
}

fn ordinal(info: &ShardInfo) -> u32 {
    info.name.strip_prefix("example-").unwrap().parse().unwrap()
}

fn id(account: u32) -> AccountId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&account.to_be_bytes());
    AccountId::from_bytes(bytes)
}

fn account(id: AccountId) -> u32 {
    u32::from_be_bytes(id.as_bytes()[..4].try_into().unwrap())
}
