//! Where a new account goes: to the shard that plans would move it to.

use plan::{Balance, Load, OpenMove, Standing, Volume};

use crate::map::{Map, Shard};
use crate::model::records::MoveRecord;

/// The shards as the map has them, with open moves done.
pub fn balance(map: &Map) -> Balance {
    let loads: Vec<Load> = map.shards().filter_map(load).collect();
    let open: Vec<OpenMove> = map.open_moves().filter_map(|(_, it)| open(it)).collect();
    Balance::of(&loads, &open)
}

/// None: it has no part in it, since it was never added or has ended.
fn load(shard: &Shard) -> Option<Load> {
    let record = shard.state_record()?;
    let told = shard.load();
    Some(Load {
        shard: shard.name().clone(),
        standing: Standing::of(record.state())?,
        serving: shard.is_serving(),
        weight: record.weight,
        accounts: shard.accounts(),
        bytes: told.map_or(0, |told| told.bytes),
        volume: told.map(|told| Volume {
            size: told.volume_size,
            free: told.volume_free,
            nearly_full: told.nearly_full,
        }),
    })
}

fn open(record: &MoveRecord) -> Option<OpenMove> {
    Some(OpenMove {
        from: record.source.parse().ok()?,
        to: record.target.parse().ok()?,
        bytes: (record.total_bytes > 0).then_some(record.total_bytes),
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use wire::ids::ShardName;
    use wire::rpc::{ShardLoad, ShardState};

    use super::*;
    use crate::model::Key;
    use crate::model::records::{LoadRecord, ShardStateRecord};

    fn put(map: &mut Map, key: &Key, record: &impl Message) {
        map.apply(&key.to_string(), Some(&record.encode_to_vec()))
            .unwrap();
    }

    fn add(map: &mut Map, name: &str, state: ShardState, weight: u32, load: ShardLoad) {
        let name: ShardName = name.parse().unwrap();
        let record = ShardStateRecord {
            state: state.into(),
            weight,
            ..ShardStateRecord::default()
        };
        put(map, &Key::ShardState(name.clone()), &record);
        let record = LoadRecord {
            load: Some(load),
            ..LoadRecord::default()
        };
        put(map, &Key::Load(name), &record);
    }

    #[test]
    fn accounts_are_placed_by_weight_state_and_room() {
        let load = ShardLoad {
            volume_size: 1 << 40,
            volume_free: 1 << 39,
            ..ShardLoad::default()
        };
        let full = ShardLoad {
            nearly_full: true,
            ..load
        };
        let mut map = Map::default();
        add(&mut map, "a", ShardState::Active, 100, load);
        add(&mut map, "b", ShardState::Active, 300, load);
        add(&mut map, "c", ShardState::Active, 1000, full);
        add(&mut map, "d", ShardState::Cordoned, 1000, load);
        add(&mut map, "e", ShardState::Retired, 1000, load);
        let mut balance = balance(&map);
        let mut placed = Vec::new();
        for _ in 0..8 {
            let place = balance.place().unwrap();
            assert_eq!(place.of, 3);
            placed.push(place.shard.to_string());
        }
        let on = |shard: &str| placed.iter().filter(|it| *it == shard).count();
        assert_eq!((on("a"), on("b")), (2, 6), "{placed:?}");
    }
}
