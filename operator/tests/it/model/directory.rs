//! A directory and its shards, as far as the operator's decisions depend on them.

use std::collections::{BTreeMap, BTreeSet};

use wire::rpc::{ShardInfo, ShardState};

use super::Dice;

/// One shard.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) state: ShardState,
    /// It serves.
    pub(crate) live: bool,
    /// It does not serve, and its lease has not ended.
    leased: bool,
    /// Its pod is ready: before it serves.
    pub(crate) ready: bool,
    /// The number of its pod's template.
    pub(crate) template: u32,
    pub(crate) generation: u64,
    pub(crate) weight: u32,
    incarnation: u64,
    /// The operator has restarted it while it served, and it has not served since.
    is_taken: bool,
    /// What moves left there.
    debts: u64,
}

/// A move that is open.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) account: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) has_begun: bool,
    pub(crate) tag: String,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A shard dies.
    Dies,
    /// One comes back.
    Returns,
}

impl Fault {
    pub(crate) fn any(dice: &mut Dice) -> Self {
        match dice.below(2) {
            0 => Self::Dies,
            _ => Self::Returns,
        }
    }
}

/// The map.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) shards: BTreeMap<u32, Shard>,
    /// Where each account is.
    pub(crate) accounts: BTreeMap<u32, u32>,
    pub(crate) moves: Vec<Move>,
    /// Templates with which no shard comes up.
    pub(crate) bad: BTreeSet<u32>,
    people: u32,
    next: u32,
}

impl Directory {
    pub(crate) fn new(people: u32) -> Self {
        Self {
            shards: BTreeMap::new(),
            accounts: BTreeMap::new(),
            moves: Vec::new(),
            bad: BTreeSet::new(),
            people,
            next: 0,
        }
    }

    pub(crate) fn allocate(&mut self, ordinal: Option<u32>, template: u32) -> Option<u32> {
        let ordinal = ordinal.unwrap_or(self.next);
        if ordinal < self.next {
            return None;
        }
        self.next = ordinal + 1;
        let shard = Shard {
            state: ShardState::Active,
            live: false,
            leased: false,
            ready: false,
            template,
            generation: 1,
            weight: 0,
            incarnation: 0,
            is_taken: false,
            debts: 0,
        };
        self.shards.insert(ordinal, shard);
        self.comes_up(ordinal);
        // Accounts come with the first shard that takes any.
        for account in 0..self.people {
            self.accounts.entry(account).or_insert(ordinal);
        }
        Some(ordinal)
    }

    /// False: refused.
    pub(crate) fn set(&mut self, ordinal: u32, generation: u64, state: ShardState) -> bool {
        let is_empty = self.is_empty(ordinal);
        let Some(shard) = self.shards.get_mut(&ordinal) else {
            return false;
        };
        let may = state != ShardState::Retired || is_empty;
        if shard.generation != generation || has_ended(shard.state) || !may {
            return false;
        }
        shard.state = state;
        shard.generation += 1;
        true
    }

    pub(crate) fn weigh(&mut self, ordinal: u32, generation: u64, weight: u32) {
        if let Some(shard) = self.shards.get_mut(&ordinal)
            && shard.generation == generation
        {
            shard.weight = weight;
            shard.generation += 1;
        }
    }

    pub(crate) fn start(&mut self, account: u32, to: u32, tag: &str) {
        let Some(from) = self.accounts.get(&account).copied() else {
            return;
        };
        let takes = self
            .shards
            .get(&to)
            .is_some_and(|it| it.state == ShardState::Active);
        let moves = self.moves.iter().any(|it| it.account == account);
        if takes && !moves && from != to {
            self.moves.push(Move {
                account,
                from,
                to,
                has_begun: false,
                tag: tag.to_owned(),
            });
        }
    }

    pub(crate) fn abort_planned(&mut self, ordinal: u32, tag: &str) {
        let is_of_it = |it: &Move| it.tag == tag && (it.from == ordinal || it.to == ordinal);
        self.moves.retain(|it| it.has_begun || !is_of_it(it));
    }

    /// A shard's pod is made anew with another template. Two that are away by this are one too many.
    pub(crate) fn restart(&mut self, ordinal: u32, template: u32) -> Result<(), String> {
        let there = self.shards.iter().filter(|(_, it)| !has_ended(it.state));
        let away = there.clone().find(|(_, it)| it.is_taken).map(|it| *it.0);
        let Some(shard) = self.shards.get_mut(&ordinal) else {
            return Ok(());
        };
        if let Some(away) = away.filter(|_| shard.live) {
            return Err(format!("{ordinal} is taken down while {away} is"));
        }
        shard.is_taken |= shard.live;
        shard.leased |= shard.live;
        (shard.live, shard.ready, shard.template) = (false, false, template);
        Ok(())
    }

    /// A pod that is not broken becomes ready, or one that is ready serves.
    fn comes_on(&mut self, ordinal: u32) {
        let Some(shard) = self.shards.get_mut(&ordinal) else {
            return;
        };
        if shard.live || self.bad.contains(&shard.template) {
            return;
        }
        if !shard.ready {
            shard.ready = true;
            return;
        }
        (shard.live, shard.leased, shard.is_taken) = (true, false, false);
        shard.incarnation += 1;
    }

    fn comes_up(&mut self, ordinal: u32) {
        self.comes_on(ordinal);
        self.comes_on(ordinal);
    }

    /// One shard that was restarted, one move, or one debt.
    pub(crate) fn goes_on(&mut self, dice: &mut Dice) {
        let restarted = self.shards.iter().find(|(_, it)| it.is_taken);
        match (restarted.map(|(ordinal, _)| *ordinal), dice.below(8)) {
            (Some(ordinal), 0 | 1) => self.comes_on(ordinal),
            (_, 2) => self.leases_end(),
            (_, _) => {}
        }
        for shard in self.shards.values_mut().filter(|shard| shard.live) {
            shard.debts = shard.debts.saturating_sub(1);
        }
        if self.moves.is_empty() {
            return;
        }
        let place = dice.below(self.moves.len());
        let live = |ordinal: u32| self.shards.get(&ordinal).is_some_and(|shard| shard.live);
        let Move {
            account,
            from,
            to,
            has_begun,
            ..
        } = self.moves[place].clone();
        if !live(from) || !live(to) {
            return;
        }
        if !has_begun {
            self.moves[place].has_begun = true;
            return;
        }
        self.moves.remove(place);
        self.accounts.insert(account, to);
        if let Some(source) = self.shards.get_mut(&from) {
            source.debts += 1;
        }
    }

    pub(crate) fn trouble(&mut self, fault: Fault, dice: &mut Dice) {
        let ordinals: Vec<u32> = self.shards.keys().copied().collect();
        if ordinals.is_empty() {
            return;
        }
        let chosen = ordinals[dice.below(ordinals.len())];
        match (fault, self.shards.get_mut(&chosen)) {
            (Fault::Dies, Some(shard)) => {
                shard.leased |= shard.live;
                (shard.live, shard.ready) = (false, false);
            }
            (Fault::Returns, Some(_)) => self.comes_up(chosen),
            (_, None) => {}
        }
    }

    fn leases_end(&mut self) {
        for shard in self.shards.values_mut() {
            shard.leased = false;
        }
    }

    pub(crate) fn comes_back(&mut self) {
        let all: Vec<u32> = self.shards.keys().copied().collect();
        for ordinal in all {
            self.comes_up(ordinal);
        }
    }

    pub(crate) fn is_empty(&self, ordinal: u32) -> bool {
        let moves = self
            .moves
            .iter()
            .any(|it| it.from == ordinal || it.to == ordinal);
        let debts = self
            .shards
            .get(&ordinal)
            .is_some_and(|shard| shard.debts > 0);
        !moves && !debts && !self.accounts.values().any(|owner| *owner == ordinal)
    }

    /// As the operator is told it.
    pub(crate) fn infos(&self) -> Vec<ShardInfo> {
        let count = |of: &dyn Fn(&Move) -> bool| {
            u64::try_from(self.moves.iter().filter(|it| of(it)).count()).unwrap()
        };
        let infos = self.shards.iter().map(|(ordinal, shard)| ShardInfo {
            name: format!("example-{ordinal}"),
            state: shard.state.into(),
            live: shard.live || shard.leased,
            serving: shard.live || shard.leased,
            incarnation: shard.incarnation,
            accounts: u64::try_from(self.accounts.values().filter(|it| *it == ordinal).count())
                .unwrap(),
            volume_size: 100 << 30,
            volume_free: 90 << 30,
            moves_in: count(&|it| it.to == *ordinal),
            moves_out: count(&|it| it.from == *ordinal),
            debts: shard.debts,
            generation: shard.generation,
            weight: shard.weight,
            ..ShardInfo::default()
        });
        infos.collect()
    }

    /// Nobody's account is on a shard that has left, and nobody's is gone.
    pub(crate) fn is_sound(&self) -> Result<(), String> {
        let ended: BTreeSet<u32> = self
            .shards
            .iter()
            .filter(|(_, shard)| shard.state == ShardState::Retired)
            .map(|(ordinal, _)| *ordinal)
            .collect();
        let stranded = self
            .accounts
            .iter()
            .find(|(_, owner)| ended.contains(owner));
        match stranded {
            Some((account, owner)) => Err(format!("account {account} is on {owner}, which left")),
            None => Ok(()),
        }
    }
}

fn has_ended(state: ShardState) -> bool {
    match state {
        ShardState::Retired | ShardState::Lost => true,
        ShardState::Active
        | ShardState::Cordoned
        | ShardState::Draining
        | ShardState::Unspecified => false,
    }
}
