//! Statuses are written whole, and only when they say something new.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crds::MailCluster;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::context::Ctx;
use crate::metrics::Verb;
use crate::names::OPERATOR;
use crate::objects::Kind;

/// Numbers that change all the time are written no more often.
pub(crate) const NUMBERS: Duration = Duration::from_secs(30);

/// Numbers: what is told of them is never urgent.
const OF_NUMBERS: [&str; 6] = [
    "accounts",
    "bytes",
    "moves",
    "movesIn",
    "movesOut",
    "usedPercent",
];

/// Likewise, of moves.
const OF_PROGRESS: [&str; 6] = [
    "moves",
    "bytes",
    "movesLeft",
    "bytesLeft",
    "donePercent",
    "minutesLeft",
];

/// Where they are.
const PROGRESS: &str = "rebalance";

/// Octets that mail changes all the time: not worth a word before they have by so much.
const OCTETS: [&str; 2] = ["bytes", "bytesLeft"];

/// In percent.
const NEWS: u128 = 1;

/// Over what a status may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Whatever is there.
    Any,
    /// The object as it was seen, or else it is a conflict.
    Seen,
}

/// Writes a status if it differs from what is there. True: only numbers do, and they wait; look again
/// after [`NUMBERS`].
///
/// Whatever is no number is written at once. Numbers are written every 30 s at most, and octets only
/// once they are 1 % others than those that are there; what is written is then exact.
pub(crate) async fn write<K, S>(
    ctx: &Ctx,
    object: &K,
    before: Option<&S>,
    wanted: &S,
    over: Over,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
    S: Serialize,
{
    let json = |status: &S| serde_json::to_value(status).map_err(kube::Error::SerdeError);
    let before = before.map(json).transpose()?.unwrap_or_default();
    let wanted = json(wanted)?;
    let kind = K::kind(&()).into_owned();
    let namespace = object.namespace().unwrap_or_default();
    let key = (kind.clone(), namespace.clone(), object.name_any());
    match news(&before, &wanted) {
        News::Nothing => return Ok(false),
        News::Numbers if is_soon(ctx, &key) => return Ok(true),
        News::Numbers | News::More => {}
    }
    let mut patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": kind,
        // Of another one of its name nothing is known.
        "metadata": {"name": object.name_any(), "uid": object.uid()},
        "status": wanted,
    });
    match over {
        Over::Any => {}
        Over::Seen => patch["metadata"]["resourceVersion"] = json!(object.resource_version()),
    }
    let api: Api<K> = Api::namespaced(ctx.client.clone(), &namespace);
    let params = PatchParams::apply(OPERATOR).force();
    ctx.metrics.wrote(kind_of(&kind), Verb::Status);
    api.patch_status(&object.name_any(), &params, &Patch::Apply(patch))
        .await?;
    ctx.statuses.lock().insert(key, Instant::now());
    Ok(false)
}

/// What a status says that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Nothing,
    Numbers,
    More,
}

fn news(before: &Value, wanted: &Value) -> News {
    let is_plain = plain(before) == plain(wanted);
    match is_plain {
        true if near(before, wanted) => News::Nothing,
        true => News::Numbers,
        false => News::More,
    }
}

/// Whether two statuses, or what is in them, are the same but for few octets.
fn near(before: &Value, wanted: &Value) -> bool {
    let (Value::Object(before), Value::Object(wanted)) = (before, wanted) else {
        return before == wanted;
    };
    let mut names = before.keys().chain(wanted.keys());
    names.all(|name| match (before.get(name), wanted.get(name)) {
        (Some(before), Some(wanted)) if OCTETS.contains(&name.as_str()) => few(before, wanted),
        (Some(before), Some(wanted)) if name == PROGRESS => near(before, wanted),
        (before, wanted) => before == wanted,
    })
}

fn few(before: &Value, wanted: &Value) -> bool {
    let (Some(before), Some(wanted)) = (before.as_u64(), wanted.as_u64()) else {
        return before == wanted;
    };
    u128::from(before.abs_diff(wanted)) * 100 <= u128::from(before) * NEWS
}

/// The two kinds that have a status of ours.
fn kind_of(kind: &str) -> &'static str {
    match kind == MailCluster::kind(&()) {
        true => "MailCluster",
        false => Kind::MailboxShard.as_str(),
    }
}

fn is_soon(ctx: &Ctx, key: &(String, String, String)) -> bool {
    let mut statuses = ctx.statuses.lock();
    statuses.retain(|_, written| written.elapsed() < NUMBERS);
    statuses.contains_key(key)
}

/// Without the numbers.
fn plain(status: &Value) -> Value {
    let without = |value: &mut Value, numbers: &[&str]| {
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, _| !numbers.contains(&name.as_str()));
        }
    };
    let mut status = status.clone();
    without(&mut status, &OF_NUMBERS);
    if let Some(progress) = status.get_mut(PROGRESS) {
        without(progress, &OF_PROGRESS);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_octets_are_no_news_and_numbers_are_never_urgent() {
        let status = |octets: i64, accounts: i64, left: i64| {
            json!({
                "bytes": octets,
                "accounts": accounts,
                "conditions": [{"type": "Ready"}],
                "rebalance": {"plan": "7f3a", "bytesLeft": left, "moves": 8},
            })
        };
        let before = status(100_000, 50, 1000);
        for (wanted, expected) in [
            (before.clone(), News::Nothing),
            (status(101_000, 50, 1000), News::Nothing),
            (status(99_000, 50, 990), News::Nothing),
            (status(101_001, 50, 1000), News::Numbers),
            (status(98_999, 50, 1000), News::Numbers),
            (status(100_000, 51, 1000), News::Numbers),
            (status(100_000, 50, 989), News::Numbers),
            (status(100_000, 50, 0), News::Numbers),
        ] {
            assert_eq!(news(&before, &wanted), expected, "{wanted}");
        }
        let nothing = status(0, 50, 1000);
        assert_eq!(news(&nothing, &status(1, 50, 1000)), News::Numbers);
    }

    #[test]
    fn whatever_is_no_number_is_written_at_once() {
        let before = json!({"bytes": 1, "rebalance": {"plan": "7f3a", "bytesLeft": 9}});
        for wanted in [
            json!({"bytes": 1, "rebalance": {"plan": "7f3b", "bytesLeft": 9}}),
            json!({"bytes": 1, "rebalance": {"plan": "7f3a", "approved": "7f3a", "bytesLeft": 9}}),
            json!({"bytes": 1}),
            json!({"bytes": 1, "version": "0.1.0", "rebalance": {"plan": "7f3a", "bytesLeft": 9}}),
        ] {
            assert_eq!(news(&before, &wanted), News::More, "{wanted}");
        }
        // That nothing moves any more.
        let moving = json!({"bytes": 1, "rebalance": {"movesLeft": 9}});
        let done = json!({"bytes": 1});
        assert_eq!(news(&moving, &done), News::More);
        assert_eq!(news(&Value::Null, &done), News::More);
    }
}
