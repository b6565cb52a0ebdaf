//! Scaling, moving, cancelling, cordoning, dying, changing templates, restarting the operator: in any
//! order, between any two steps.
//!
//! The operator's own decisions run against a directory and shards that are played. Never are two
//! shards away by the operator's hand. After a time of trouble everybody comes back whose template
//! is not broken, and then it has to come to its end: as many shards as are wanted, all with the
//! template that is wanted, every account on one that stays, no move open, nothing lost. A decision
//! that is broken on purpose has to be found out.

mod directory;
mod operator;
mod rollout;

use self::directory::{Directory, Fault};
use self::operator::{Broken, Operator};

/// Splitmix64: a seed that fails can be run again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}

const SEEDS: u64 = 2000;

/// Enough for every move of the largest world, one step at a time.
const PATIENCE: usize = 3000;

fn run(seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let mut dice = Dice(seed);
    let mut directory = Directory::new(24);
    let mut operator = Operator::new(broken, 1 + u32::try_from(dice.below(4)).unwrap());
    for _ in 0..dice.below(120) {
        match dice.below(8) {
            0 => directory.trouble(Fault::any(&mut dice), &mut dice),
            1 => operator.people(&mut directory, &mut dice),
            2..=4 => directory.goes_on(&mut dice),
            _ => operator.step(&mut directory, &mut dice)?,
        }
        directory.is_sound()?;
    }
    operator.is_left_alone(&mut directory);
    for _ in 0..PATIENCE {
        directory.comes_back();
        directory.goes_on(&mut dice);
        operator.step(&mut directory, &mut dice)?;
        directory.is_sound()?;
        if operator.is_done(&directory) {
            return Ok(());
        }
    }
    Err(format!(
        "it does not come to an end: {}",
        operator.told(&directory)
    ))
}

#[test]
fn it_comes_to_its_end_whatever_happens() {
    for seed in 0..SEEDS {
        if let Err(why) = run(seed, None) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn what_is_broken_on_purpose_is_found_out() {
    for broken in Broken::ALL {
        let found = (0..SEEDS).find(|seed| run(*seed, Some(broken)).is_err());
        assert!(found.is_some(), "{broken:?} goes unnoticed");
    }
}
