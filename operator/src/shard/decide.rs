//! What to do with a shard, by what it is to be and what the directory says of it.
//!
//! | the directory says | Active | Cordoned | Emptied: Drained or Leaving | Stopped |
//! |---|---|---|---|---|
//! | nothing of it | allocate | allocate, later cordon | Leaving: let the object go; Drained: allocate | allocate |
//! | Active | keep | cordon | cordon | keep |
//! | Cordoned | activate | keep | drain, if there is room for all | keep |
//! | Draining, something left | activate | cordon | wait: it moves | keep |
//! | Draining, nothing left | activate | cordon | Leaving: retire; Drained: it is empty, and stays | keep |
//! | Retired, Lost | never back | never back | Leaving: remove it; else never back | never back |
//!
//! Without a word from the directory, every row is *wait*. What changes something is decided twice:
//! by what was followed, and then by the objects as the API server itself has them, since a shard
//! that has retired never comes back. Of the directory's word, `SetShard` names the generation that
//! was seen, and the directory refuses to retire a shard while anything is there.

use crds::mailbox_shard::ShardMode;
use wire::rpc::{ShardInfo, ShardState};

/// What a shard is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// To serve, and to take new accounts.
    Active,
    /// To serve, and to take none.
    Cordoned,
    /// To give all accounts away, and to stay.
    Drained,
    /// To give all accounts away, and to go.
    Leaving,
    /// To serve nothing, and to keep what it has.
    Stopped,
}

impl Wish {
    /// By what its object says, and whether it is to go.
    pub fn of(mode: ShardMode, is_leaving: bool) -> Self {
        match mode {
            _ if is_leaving => Self::Leaving,
            ShardMode::Active => Self::Active,
            ShardMode::Cordoned => Self::Cordoned,
            ShardMode::Drained => Self::Drained,
            ShardMode::Stopped => Self::Stopped,
        }
    }
}

/// What is done next. One thing at a time: the next look decides anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing.
    Keep,
    /// The directory is to know it.
    Allocate,
    /// The directory is to know it as something else.
    Set(ShardState),
    /// Its accounts move, or would: nothing to do but to wait.
    Wait(Waiting),
    /// Its objects go, its volume stays, then the object goes.
    Remove,
    /// The object goes: there was never anything behind it.
    LetGo,
    /// It cannot be what it is to be: its number was used up.
    Never,
}

impl Act {
    /// Whether it changes something: then it is decided once more, by what the API server itself has.
    pub fn is_step(self) -> bool {
        match self {
            Self::Allocate | Self::Set(_) | Self::Remove | Self::LetGo => true,
            Self::Keep | Self::Wait(_) | Self::Never => false,
        }
    }
}

/// Why a shard is not empty yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// Accounts move.
    Moving,
    /// No room elsewhere.
    NoRoom,
    /// It does not answer, and nothing can leave it.
    Unreachable,
}

/// Whether what would leave a shard has room elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Room {
    /// For all of it.
    Enough,
    /// Not for all.
    Short,
}

/// What to do. `info`: what the directory says; none: it does not know the shard.
pub fn decide(wish: Wish, info: Option<&ShardInfo>, room: Room) -> Act {
    let Some(info) = info else {
        return match wish {
            Wish::Leaving => Act::LetGo,
            Wish::Active | Wish::Cordoned | Wish::Drained | Wish::Stopped => Act::Allocate,
        };
    };
    match info.state() {
        ShardState::Active => active(wish),
        ShardState::Cordoned => cordoned(wish, info, room),
        ShardState::Draining => draining(wish, info),
        ShardState::Retired | ShardState::Lost => match wish {
            Wish::Leaving => Act::Remove,
            Wish::Active | Wish::Cordoned | Wish::Drained | Wish::Stopped => Act::Never,
        },
        ShardState::Unspecified => Act::Keep,
    }
}

fn active(wish: Wish) -> Act {
    match wish {
        Wish::Active | Wish::Stopped => Act::Keep,
        Wish::Cordoned | Wish::Drained | Wish::Leaving => Act::Set(ShardState::Cordoned),
    }
}

fn cordoned(wish: Wish, info: &ShardInfo, room: Room) -> Act {
    match wish {
        Wish::Active => Act::Set(ShardState::Active),
        Wish::Cordoned | Wish::Stopped => Act::Keep,
        Wish::Drained | Wish::Leaving => match room {
            Room::Short if !is_empty(info) => Act::Wait(Waiting::NoRoom),
            Room::Enough | Room::Short => Act::Set(ShardState::Draining),
        },
    }
}

fn draining(wish: Wish, info: &ShardInfo) -> Act {
    match wish {
        Wish::Active => Act::Set(ShardState::Active),
        Wish::Cordoned => Act::Set(ShardState::Cordoned),
        Wish::Stopped => Act::Keep,
        Wish::Drained if is_empty(info) => Act::Keep,
        Wish::Leaving if is_empty(info) => Act::Set(ShardState::Retired),
        Wish::Drained | Wish::Leaving => Act::Wait(match info.live {
            true => Waiting::Moving,
            false => Waiting::Unreachable,
        }),
    }
}

/// No account, in whatever state; no move from or to it; nothing that it is still to drop.
pub fn is_empty(info: &ShardInfo) -> bool {
    info.accounts == 0 && info.moves_in == 0 && info.moves_out == 0 && info.debts == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: [Wish; 5] = [
        Wish::Active,
        Wish::Cordoned,
        Wish::Drained,
        Wish::Leaving,
        Wish::Stopped,
    ];

    fn info(state: ShardState, accounts: u64) -> ShardInfo {
        ShardInfo {
            state: state.into(),
            accounts,
            live: true,
            ..ShardInfo::default()
        }
    }

    fn row(info: Option<&ShardInfo>) -> [Act; 5] {
        WISHES.map(|wish| decide(wish, info, Room::Enough))
    }

    #[test]
    fn the_table() {
        use Act::{Allocate, Keep, LetGo, Never, Remove, Set, Wait};
        use ShardState::{Active, Cordoned, Draining, Lost, Retired};
        let moving = Wait(Waiting::Moving);
        let cordon = Set(Cordoned);
        let drain = Set(Draining);
        for (seen, expected) in [
            (None, [Allocate, Allocate, Allocate, LetGo, Allocate]),
            (Some(info(Active, 3)), [Keep, cordon, cordon, cordon, Keep]),
            (
                Some(info(Cordoned, 3)),
                [Set(Active), Keep, drain, drain, Keep],
            ),
            (
                Some(info(Draining, 3)),
                [Set(Active), cordon, moving, moving, Keep],
            ),
            (
                Some(info(Draining, 0)),
                [Set(Active), cordon, Keep, Set(Retired), Keep],
            ),
            (Some(info(Retired, 0)), [Never, Never, Never, Remove, Never]),
            (Some(info(Lost, 3)), [Never, Never, Never, Remove, Never]),
        ] {
            assert_eq!(row(seen.as_ref()), expected, "{seen:?}");
        }
    }

    #[test]
    fn without_room_nothing_begins_to_leave() {
        let full = info(ShardState::Cordoned, 3);
        for wish in [Wish::Drained, Wish::Leaving] {
            let act = decide(wish, Some(&full), Room::Short);
            assert_eq!(act, Act::Wait(Waiting::NoRoom));
        }
        // What is empty needs none.
        let empty = info(ShardState::Cordoned, 0);
        let act = decide(Wish::Leaving, Some(&empty), Room::Short);
        assert_eq!(act, Act::Set(ShardState::Draining));
    }

    #[test]
    fn a_shard_is_empty_when_nothing_whatever_is_left() {
        let with = |change: fn(&mut ShardInfo)| {
            let mut left = info(ShardState::Draining, 0);
            change(&mut left);
            decide(Wish::Leaving, Some(&left), Room::Enough)
        };
        let moving = Act::Wait(Waiting::Moving);
        assert_eq!(with(|info| info.accounts = 1), moving);
        assert_eq!(with(|info| info.moves_in = 1), moving);
        assert_eq!(with(|info| info.moves_out = 1), moving);
        assert_eq!(with(|info| info.debts = 1), moving);
        let dead = with(|info| (info.debts, info.live) = (1, false));
        assert_eq!(dead, Act::Wait(Waiting::Unreachable));
    }
}
