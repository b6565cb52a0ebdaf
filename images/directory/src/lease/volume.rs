//! Whether the volume that a starting shard comes with is the one that it served last. Pure.
//!
//! The directory is the outside witness: it was told which incarnation was opened on which volume,
//! and how far its log was durable.
//!
//! | the volume | answer |
//! |---|---|
//! | none is known of, and it is new | taken |
//! | the same id, opened by the incarnation that is known or a later one, not shorter | taken |
//! | new, or of another id | refused: it is empty, or another one |
//! | opened last by an older incarnation | refused: a copy, or from a backup |
//! | its log ends before the known end, or otherwise at it | refused: acknowledged mail is lost |
//! | opened by an incarnation that was never given out | refused: the directory's store is older |
//! | whatever it is, once an administrator said so | taken |

use wire::ids::{Incarnation, ShardName};
use wire::rpc::Volume;

use crate::model::records::VolumeRecord;

/// Why a volume is not the one that the shard served last, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVolume {
    /// Nothing was ever on it.
    #[error("the volume is empty, and the shard has served one before{}", way_on(.0))]
    Empty(ShardName),
    /// It is another one.
    #[error("this is not the volume that the shard has served{}", way_on(.0))]
    Other(ShardName),
    /// It lacks what happened since.
    #[error(
        "the volume was last opened by incarnation {found}, and incarnation {known} has served: it \
         is a copy, or comes from a backup{}", way_on(.shard)
    )]
    Older {
        /// The shard.
        shard: ShardName,
        /// Incarnation that opened it last.
        found: Incarnation,
        /// The one that is known.
        known: Incarnation,
    },
    /// Its log lost what was acknowledged.
    #[error(
        "the volume has lost acknowledged mail: its log ends at {found}, and was durable up to \
         {known}{}", way_on(.shard)
    )]
    Shorter {
        /// The shard.
        shard: ShardName,
        /// segment:offset
        found: String,
        /// segment:offset
        known: String,
    },
    /// It was opened by an incarnation that this directory never gave out.
    #[error(
        "the volume was opened by incarnation {found}, and the directory has given out {known} at \
         most: its store is older than the volume; bring the newest backup of the directory back{}",
        way_on(.shard)
    )]
    Newer {
        /// The shard.
        shard: ShardName,
        /// Incarnation that opened it last.
        found: Incarnation,
        /// The highest one that is known.
        known: Incarnation,
    },
    /// The shard's own index knows of more than its log has.
    #[error(
        "the shard's index proves that its volume has lost acknowledged mail{}", way_on(.0)
    )]
    Lost(ShardName),
}

fn way_on(shard: &ShardName) -> String {
    format!(
        "; bring the right volume back, or go on with this one: `buzonera shard replace-volume \
         {shard}`"
    )
}

/// Whether anything may come.
pub fn is_awaited(known: Option<&VolumeRecord>) -> bool {
    known.is_some_and(|known| known.awaited)
}

/// Judges the volume that a shard comes with. `given_out` is the highest incarnation that the
/// directory gave to this shard; 0: none.
pub fn judge(
    shard: &ShardName,
    known: Option<&VolumeRecord>,
    given_out: u64,
    told: &Volume,
) -> Result<(), BadVolume> {
    if is_awaited(known) {
        return Ok(());
    }
    let (shard, found) = (shard.clone(), Incarnation(told.opened));
    if told.opened > given_out {
        let known = Incarnation(given_out);
        return Err(BadVolume::Newer {
            shard,
            found,
            known,
        });
    }
    let Some(known) = known else {
        return Ok(());
    };
    if told.opened == 0 {
        return Err(BadVolume::Empty(shard));
    }
    if told.id != known.id {
        return Err(BadVolume::Other(shard));
    }
    if told.opened < known.opened {
        let known = Incarnation(known.opened);
        return Err(BadVolume::Older {
            shard,
            found,
            known,
        });
    }
    let (found, durable) = ((told.segment, told.offset), (known.segment, known.offset));
    let forked = found == durable && told.sum != known.sum;
    if found < durable || forked {
        let place = |(segment, offset): (u64, u64)| format!("{segment}:{offset}");
        return Err(BadVolume::Shorter {
            shard,
            found: place(found),
            known: place(durable),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> ShardName {
        "shard-1".parse().unwrap()
    }

    fn known() -> VolumeRecord {
        VolumeRecord {
            id: vec![1; 16].into(),
            opened: 9,
            segment: 3,
            offset: 500,
            sum: 77,
            ..VolumeRecord::default()
        }
    }

    fn told() -> Volume {
        Volume {
            id: vec![1; 16].into(),
            opened: 9,
            segment: 3,
            offset: 500,
            sum: 77,
        }
    }

    fn judged(change: impl FnOnce(&mut Volume)) -> Result<(), BadVolume> {
        let mut told = told();
        change(&mut told);
        judge(&shard(), Some(&known()), 9, &told)
    }

    #[test]
    fn the_same_volume_is_taken() {
        assert_eq!(judged(|_| {}), Ok(()));
        assert_eq!(judged(|told| (told.offset, told.sum) = (501, 1)), Ok(()));
        assert_eq!(judged(|told| (told.segment, told.offset) = (4, 0)), Ok(()));
        let told = Volume {
            opened: 11,
            ..told()
        };
        assert_eq!(judge(&shard(), Some(&known()), 12, &told), Ok(()));
    }

    #[test]
    fn every_other_is_refused_and_the_way_on_named() {
        use BadVolume::{Empty, Newer, Older, Other, Shorter};
        let all = [
            judged(|told| *told = Volume::default()),
            judged(|told| told.id = vec![2; 16].into()),
            judged(|told| told.opened = 8),
            judged(|told| told.offset = 499),
            judged(|told| (told.segment, told.offset) = (2, 900)),
            judged(|told| told.sum = 78),
            judged(|told| told.opened = 10),
        ];
        assert!(
            matches!(
                &all,
                [
                    Err(Empty(_)),
                    Err(Other(_)),
                    Err(Older { .. }),
                    Err(Shorter { .. }),
                    Err(Shorter { .. }),
                    Err(Shorter { .. }),
                    Err(Newer { .. }),
                ]
            ),
            "{all:?}"
        );
        for refused in all {
            let text = refused.unwrap_err().to_string();
            let command = "`buzonera shard replace-volume shard-1`";
            assert!(text.contains(command), "{text}");
        }
    }

    #[test]
    fn the_first_volume_is_new() {
        let new = Volume {
            id: vec![1; 16].into(),
            ..Volume::default()
        };
        assert_eq!(judge(&shard(), None, 0, &new), Ok(()));
        let newer = judge(&shard(), None, 0, &told());
        assert!(matches!(newer, Err(BadVolume::Newer { .. })));
        // Never told of: its shard crashed before it had served anything.
        assert_eq!(judge(&shard(), None, 9, &told()), Ok(()));
        assert_eq!(judge(&shard(), None, 9, &new), Ok(()));
    }

    #[test]
    fn an_awaited_one_is_taken_whatever_it_is() {
        let awaited = VolumeRecord {
            awaited: true,
            ..known()
        };
        let other = Volume {
            id: vec![2; 16].into(),
            opened: 50,
            ..Volume::default()
        };
        for told in [told(), Volume::default(), other] {
            assert_eq!(judge(&shard(), Some(&awaited), 9, &told), Ok(()));
        }
    }
}
