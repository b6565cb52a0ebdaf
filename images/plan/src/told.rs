//! From what the directory tells.

use wire::ids::IdError;
use wire::rpc::{Move, ShardInfo, ShardState};

use crate::load::{Load, OpenMove, Standing};
use crate::volume::Volume;

impl Standing {
    /// What a shard's state says of its accounts; none: it has no part in it, since it has ended.
    pub fn of(state: ShardState) -> Option<Self> {
        match state {
            ShardState::Active => Some(Self::Active),
            ShardState::Cordoned | ShardState::Unspecified => Some(Self::Cordoned),
            ShardState::Draining => Some(Self::Leaving),
            ShardState::Retired | ShardState::Lost => None,
        }
    }
}

impl Load {
    /// A shard as the directory tells it; none: it has ended.
    ///
    /// # Errors
    ///
    /// Its name is none.
    pub fn told(shard: &ShardInfo) -> Result<Option<Self>, IdError> {
        let Some(standing) = Standing::of(shard.state()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            shard: shard.name.parse()?,
            standing,
            serving: shard.serving,
            weight: shard.weight,
            accounts: shard.accounts,
            bytes: shard.bytes,
            volume: (shard.volume_size > 0).then_some(Volume {
                size: shard.volume_size,
                free: shard.volume_free,
                nearly_full: shard.nearly_full,
            }),
        }))
    }
}

impl OpenMove {
    /// An open move as the directory tells it. Until its copy has begun, its size is not known.
    ///
    /// # Errors
    ///
    /// The name of one of its shards is none.
    pub fn told(open: &Move) -> Result<Self, IdError> {
        Ok(Self {
            from: open.source.parse()?,
            to: open.target.parse()?,
            bytes: (open.total_bytes > 0).then_some(open.total_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_without_a_volume_has_never_told_one() {
        let mut info = ShardInfo {
            name: "shard-1".into(),
            state: ShardState::Draining.into(),
            serving: true,
            weight: 7,
            accounts: 3,
            bytes: 900,
            ..ShardInfo::default()
        };
        let load = Load::told(&info).unwrap().unwrap();
        assert_eq!(load.standing, Standing::Leaving);
        assert_eq!((load.weight, load.accounts, load.bytes), (7, 3, 900));
        assert!(load.serving && load.volume.is_none());
        (info.volume_size, info.volume_free) = (100, 40);
        let volume = Load::told(&info).unwrap().unwrap().volume.unwrap();
        assert_eq!((volume.size, volume.free), (100, 40));
    }

    #[test]
    fn a_shard_that_has_ended_has_no_part_in_it() {
        for state in [ShardState::Retired, ShardState::Lost] {
            let info = ShardInfo {
                state: state.into(),
                ..ShardInfo::default()
            };
            assert_eq!(Load::told(&info), Ok(None));
        }
        assert!(Load::told(&ShardInfo::default()).is_err());
    }

    #[test]
    fn the_size_of_a_move_is_known_once_its_copy_has_begun() {
        let mut open = Move {
            source: "a".into(),
            target: "b".into(),
            ..Move::default()
        };
        assert_eq!(OpenMove::told(&open).unwrap().bytes, None);
        open.total_bytes = 5;
        assert_eq!(OpenMove::told(&open).unwrap().bytes, Some(5));
        open.target.clear();
        assert!(OpenMove::told(&open).is_err());
    }
}
