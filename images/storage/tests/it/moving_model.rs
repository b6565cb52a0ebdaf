//! Moves between two shards whose power fails at random points: whoever owns the account has every
//! acknowledged message once, with its UID, and nobody else takes or shows any.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use buzonera_storage::account::access::Place;
use buzonera_storage::records::proto::{Holding, Limits};
use buzonera_storage::registry::debts::Debt;
use buzonera_storage::registry::obey::{obey, pay};
use buzonera_storage::registry::reconcile::Word;
use buzonera_storage::shard::Unready;
use buzonera_storage::shard::deliver::Outcome;
use segments::sim::Rng;
use tonic::Status;
use wire::ids::{Epoch, MoveId};
use wire::rpc::confirmation::What;
use wire::rpc::{AccountState, DigestReply, ImportRequest, MoveCommand};

use crate::hosts::{Host, Hosts, NAMES};
use crate::moving_plan::{Plan, STEPS, Step, Undone};
use crate::rig::{account, as_read, delivery, read_all_at};

/// Octets a second of a copy: more than any test has.
const RATE: u64 = 1 << 40;

/// How many accounts' lives CI runs.
const SEEDS: u64 = 40;

struct World {
    hosts: Hosts,
    rng: Rng,
    epoch: u64,
    owner: usize,
    /// Acknowledged: delivery to its UID.
    kept: BTreeMap<u64, u32>,
    /// Asked for and not acknowledged.
    unsure: BTreeSet<u64>,
    next: u64,
    seen: Seen,
}

/// What happened, so that a run in which nothing does is noticed.
#[derive(Debug, Default)]
struct Seen {
    cuts: u64,
    moved: u64,
    aborted: u64,
}

fn body(id: u64) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.resize(20 + (id as usize * 1237) % 9000, id as u8);
    body
}

impl World {
    async fn new(seed: u64) -> Self {
        let hosts = Hosts::new(seed).await;
        hosts.create(0, account(1)).await;
        let mut world = Self {
            hosts,
            rng: Rng::new(seed),
            epoch: 1,
            owner: 0,
            kept: BTreeMap::new(),
            unsure: BTreeSet::new(),
            next: 0,
            seen: Seen::default(),
        };
        world.say();
        for _ in 0..world.rng.below(12) {
            world.deliver_to(0, 1).await;
        }
        world
    }

    /// The directory's word, to both.
    fn say(&mut self) {
        for (n, host) in self.hosts.all.iter_mut().enumerate() {
            let place = match n == self.owner {
                true => Place::Active,
                false => Place::Elsewhere,
            };
            host.assign(account(1), self.epoch, place);
        }
    }

    /// A new delivery, or one that was not acknowledged, to a shard by an epoch.
    async fn deliver_to(&mut self, host: usize, epoch: u64) {
        let again = self.unsure.first().copied();
        let id = again.filter(|_| self.rng.one_in(2)).unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let mut delivery = delivery(id, &body(id), &[account(1)]);
        delivery.targets[0].epoch = Epoch(epoch);
        let outcomes = self.hosts.all[host].shard().deliver(&delivery).await;
        let owns = host == self.owner && epoch == self.epoch;
        match &outcomes[..] {
            [Outcome::Stored(place) | Outcome::Duplicate(place)] => {
                assert!(owns, "{} took {id} by epoch {epoch}", NAMES[host]);
                self.unsure.remove(&id);
                let before = self.kept.insert(id, place.uid);
                assert!(before.is_none_or(|uid| uid == place.uid));
            }
            [Outcome::Unready(Unready::Moved(_))] => assert!(!owns, "{id} was sent away"),
            [Outcome::Unready(Unready::Retry(_))] => {
                self.unsure.insert(id);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Mail comes to both shards, by this epoch and by the last one.
    async fn mail(&mut self) {
        for _ in 0..self.rng.below(3) {
            let host = self.rng.below(2) as usize;
            let epoch = self.epoch - self.rng.below(2).min(self.epoch - 1);
            self.deliver_to(host, epoch).await;
        }
    }

    /// Lets the power of one shard fail after some more changes to its disk.
    fn arm(&mut self) {
        if self.rng.one_in(2) {
            let host = self.rng.below(2) as usize;
            let changes = self.rng.below(14);
            self.hosts.all[host].sim.die_after(changes);
        }
    }

    async fn boot_the_dead(&mut self) {
        for host in &mut self.hosts.all {
            if host.sim.is_dead() {
                self.seen.cuts += 1;
                host.power_cut(self.rng.one_in(3)).await;
            }
        }
        self.say();
    }

    async fn run_move(&mut self) {
        let source = self.owner;
        let mut plan = Plan {
            move_id: MoveId::random(),
            source,
            target: 1 - source,
            fence: None,
            compared: None,
        };
        let abort_before = match self.rng.one_in(3) {
            true => Some(STEPS[1 + self.rng.below(4) as usize]),
            false => None,
        };
        let (mut at, mut undone) = (0, 0);
        while let Some(step) = STEPS.get(at).copied() {
            if abort_before == Some(step) {
                return self.abort(&plan).await;
            }
            self.arm();
            let done = self.step(&mut plan, step).await;
            self.mail().await;
            self.boot_the_dead().await;
            at = match done {
                Ok(()) => at + 1,
                Err(Undone::Away(status)) => {
                    undone += 1;
                    assert!(undone < 200, "{step:?} is never done: {status}");
                    at
                }
                Err(Undone::Fence) => 1,
            };
            // Whoever drives may die before it writes down what was done.
            if self.rng.one_in(6) && step != Step::Switch {
                at = at
                    .saturating_sub(1)
                    .max(usize::from(step > Step::Switch) * 5);
            }
        }
        self.seen.moved += 1;
        self.check().await;
    }

    async fn step(&mut self, plan: &mut Plan, step: Step) -> Result<(), Undone> {
        let command = self.command(plan);
        let (source, target) = (&self.hosts.all[plan.source], &self.hosts.all[plan.target]);
        let (mut at_source, mut at_target) = (source.mover(), target.mover());
        match step {
            Step::Prepare => drop(at_target.prepare(command).await?),
            Step::Fence => {
                let fence = at_source.fence(command).await?.into_inner();
                plan.fence = Some((fence.incarnation, fence.change_number));
            }
            Step::Import => self.import(plan).await?,
            Step::Compare => {
                let one = whole_digest(source, &command).await?;
                let other = whole_digest(target, &command).await?;
                if plan.fence.map(|(incarnation, _)| incarnation) != Some(one.incarnation) {
                    return Err(Undone::Fence);
                }
                assert_eq!(one.digest, other.digest, "source and target differ");
                assert_eq!(one.messages, other.messages);
                plan.compared = Some((one.incarnation, other.incarnation));
            }
            Step::Switch => {
                if plan.compared != Some((source.incarnation, target.incarnation)) {
                    return Err(Undone::Fence);
                }
                self.epoch += 1;
                self.owner = plan.target;
                self.say();
            }
            Step::Serve => self.serve(plan.target).await?,
            Step::Release => assert_eq!(pay(source.shard(), self.debt(plan, false)).await?, None),
            Step::Drop => assert!(pay(source.shard(), self.debt(plan, true)).await?.is_some()),
        }
        Ok(())
    }

    /// The account's shard hears that it has the account, and that the other waits for its word.
    async fn serve(&self, host: usize) -> Result<(), Undone> {
        let word = Word {
            account: account(1),
            epoch: Epoch(self.epoch),
            state: AccountState::Active,
            elsewhere: None,
            limits: Limits::default(),
            uid_validity: 1,
            keepers: vec![NAMES[1 - host].to_owned()],
        };
        let confirmed = obey(self.hosts.all[host].shard(), &word).await?.unwrap();
        assert_eq!(confirmed.what(), What::Serving);
        Ok(())
    }

    /// What a shard owes that does not have the account any more.
    fn debt(&self, plan: &Plan, due: bool) -> Debt {
        Debt {
            account: account(1),
            move_id: plan.move_id,
            epoch: Epoch(self.epoch),
            due,
        }
    }

    fn command(&self, plan: &Plan) -> MoveCommand {
        MoveCommand {
            move_id: plan.move_id.to_field(),
            account: account(1).to_field(),
            epoch: self.epoch,
            source: NAMES[plan.source].to_owned(),
            target: NAMES[plan.target].to_owned(),
        }
    }

    async fn import(&self, plan: &Plan) -> Result<(), Undone> {
        let (source_incarnation, change_number) = plan.fence.ok_or(Undone::Fence)?;
        let request = ImportRequest {
            command: Some(self.command(plan)),
            source_endpoint: self.hosts.all[plan.source].endpoint(),
            source_incarnation,
            change_number,
            bytes_per_second: RATE,
        };
        let mut target = self.hosts.all[plan.target].mover();
        let mut reports = target.import(request).await?.into_inner();
        while let Some(report) = reports.message().await? {
            if report.complete {
                return Ok(());
            }
        }
        Err(Undone::Away(Status::unavailable("it ended early")))
    }

    /// The directory gives the account a new epoch where it is; both shards hear of it.
    async fn abort(&mut self, plan: &Plan) {
        self.epoch += 1;
        self.say();
        for end in [plan.source, plan.target] {
            loop {
                self.arm();
                let done = match end == plan.source {
                    true => self.serve(end).await,
                    false => self.drop_what_was_built(plan).await,
                };
                self.mail().await;
                self.boot_the_dead().await;
                match done {
                    Ok(()) => break,
                    Err(Undone::Away(_)) => {}
                    Err(Undone::Fence) => panic!("there is no way back"),
                }
            }
        }
        self.seen.aborted += 1;
        self.check().await;
    }

    async fn drop_what_was_built(&self, plan: &Plan) -> Result<(), Undone> {
        let paid = pay(self.hosts.all[plan.target].shard(), self.debt(plan, true)).await?;
        assert!(paid.is_some());
        Ok(())
    }

    /// All that was acknowledged is at the owner, once; the other holds and shows nothing.
    async fn check(&mut self) {
        for host in &mut self.hosts.all {
            host.power_cut(self.rng.one_in(3)).await;
        }
        self.say();
        for id in self.unsure.clone() {
            self.settle(id).await;
        }
        let owner = self.hosts.all[self.owner].shard();
        let found = read_all_at(owner, account(1), self.epoch).await;
        let expected: BTreeMap<u32, u64> = self.kept.iter().map(|(id, uid)| (*uid, *id)).collect();
        assert_eq!(expected.len(), self.kept.len(), "a UID was given twice");
        let uids: Vec<u32> = found.iter().map(|(uid, _)| *uid).collect();
        let wanted: Vec<u32> = expected.keys().copied().collect();
        assert_eq!(uids, wanted);
        for (uid, octets) in &found {
            assert!(
                *octets == as_read(account(1), &body(expected[uid])),
                "{uid}"
            );
        }
        let other = self.hosts.all[1 - self.owner].shard();
        let rest = other.index().account(account(1)).unwrap();
        assert!(
            rest.is_none_or(|rest| rest.holding == Holding::Tombstone && rest.mailboxes.is_empty())
        );
        assert_eq!(other.totals().messages, 0);
    }

    /// A retry of what was not acknowledged: then it is there.
    async fn settle(&mut self, id: u64) {
        let mut delivery = delivery(id, &body(id), &[account(1)]);
        delivery.targets[0].epoch = Epoch(self.epoch);
        match &self.hosts.all[self.owner].shard().deliver(&delivery).await[..] {
            [Outcome::Stored(place) | Outcome::Duplicate(place)] => {
                self.unsure.remove(&id);
                self.kept.insert(id, place.uid);
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn whole_digest(host: &Host, command: &MoveCommand) -> Result<DigestReply, Undone> {
    loop {
        let digest = host.mover().digest(command.clone()).await?.into_inner();
        if !digest.pending {
            return Ok(digest);
        }
    }
}

fn run(seed: u64, disks_lie: bool) -> Seen {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let lives = async {
            let mut world = World::new(seed).await;
            for host in &world.hosts.all {
                host.sim.lie_about_syncs(disks_lie);
            }
            for _ in 0..3 {
                world.run_move().await;
            }
            world.hosts.close().await;
            world.seen
        };
        let bounded = tokio::time::timeout(Duration::from_secs(60), lives);
        bounded.await.expect("it never ends")
    })
}

#[test]
fn whoever_owns_it_has_all_of_it() {
    let seeds = match std::env::var("BUZONERA_SEED") {
        Ok(seed) => vec![seed.parse().expect("BUZONERA_SEED is a number")],
        Err(_) => (0..SEEDS).collect::<Vec<u64>>(),
    };
    let mut all = Seen::default();
    for seed in &seeds {
        let Ok(seen) = catch_unwind(AssertUnwindSafe(|| run(*seed, false))) else {
            panic!("replay with BUZONERA_SEED={seed}");
        };
        all.cuts += seen.cuts;
        all.moved += seen.moved;
        all.aborted += seen.aborted;
    }
    let Seen {
        cuts,
        moved,
        aborted,
    } = all;
    let enough = seeds.len() as u64 / 2;
    assert!(
        seeds.len() == 1 || cuts > 2 * enough && moved > enough && aborted > enough,
        "too little happened: {all:?}"
    );
}

#[test]
fn without_syncs_losses_are_seen() {
    let fails = |seed: &u64| catch_unwind(AssertUnwindSafe(|| run(*seed, true))).is_err();
    let failed = (0..6).filter(fails).count();
    assert!(
        failed > 3,
        "disks that skip syncs go unnoticed: {failed} of 6"
    );
}
