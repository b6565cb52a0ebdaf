//! Why a pod is not made at all. Quotas, admission and Pod Security refuse the pod, of which there is
//! nothing then; only an Event of its StatefulSet says why.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::Look;
use super::report::REJECTED;
use super::rollout::Rollout;
use crate::names::Tier;
use crate::names::labels::{self, Labels};
use crate::objects::Kind;
use crate::rollout::words;

/// StatefulSets that are asked about in one look.
const ASKED: usize = 3;

/// The most Events of one StatefulSet that are read.
const EVENTS: u32 = 100;

/// What stands in a FailedCreate Event before the reason itself.
const BEFORE_WHY: &str = "failed error: ";

/// A StatefulSet whose pods are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its name.
    pub(super) set: String,
    /// Why, as the API server said last.
    pub(super) why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.set, self.why)
    }
}

/// The first StatefulSet that lacks a pod since it is refused; the one that a rollout waits for comes
/// before others, and then the rollout says so. Nothing depends on it but what people are told.
pub(super) async fn ask(look: &Look<'_>, rollout: Option<&mut Rollout>) -> Option<Refused> {
    let waited = rollout.as_ref().and_then(|rollout| rollout.waited());
    let refused = first(look, waited).await?;
    if let Some(rollout) = rollout.filter(|it| it.waited() == Some(&refused.set)) {
        rollout.explain(&refused.why);
    }
    Some(refused)
}

async fn first(look: &Look<'_>, waited: Option<&str>) -> Option<Refused> {
    for set in bare(look, waited).into_iter().take(ASKED) {
        let events = events(look, set).await;
        let events = events.inspect_err(|error| tracing::warn!(%error, "cannot read Events"));
        if let Some(why) = last_refusal(&events.ok()?) {
            let set = set.name_any();
            let why = but_for_numbers(said(look, &set), why);
            return Some(Refused { set, why });
        }
    }
    None
}

/// What was told of it last.
fn said<'a>(look: &'a Look<'_>, set: &str) -> Option<&'a str> {
    let status = look.object.status.as_ref()?;
    let mut told = status.conditions.iter();
    let told = told.find(|it| it.type_ == "Stalled" && it.reason == REJECTED)?;
    told.message.strip_prefix(set)?.strip_prefix(": ")
}

/// Those that have fewer pods than they are to have, in the order in which they come up.
fn bare<'a>(look: &'a Look<'_>, waited: Option<&str>) -> Vec<&'a StatefulSet> {
    let wanted = |set: &StatefulSet| {
        set.spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1)
    };
    let ready = |set: &StatefulSet| set.status.as_ref()?.ready_replicas;
    let sets = look.seen.sets.values();
    let mut bare: Vec<_> = sets
        .filter(|set| ready(set).unwrap_or(0) < wanted(set))
        .collect();
    if bare.is_empty() {
        return bare;
    }
    let pods = pods(look);
    bare.retain(|set| pods.get(&set.name_any()).copied().unwrap_or(0) < wanted(set));
    bare.sort_by_key(|set| (waited != set.metadata.name.as_deref(), tier(set)));
    bare
}

/// How many pods each StatefulSet has.
fn pods(look: &Look<'_>) -> BTreeMap<String, i32> {
    let cluster = &look.cluster;
    let ours = Labels::from([(labels::CLUSTER.to_owned(), cluster.name.to_string())]);
    let mut pods = BTreeMap::new();
    for pod in look.ctx.cache.found(Kind::Pod, &cluster.namespace, &ours) {
        for owner in pod.owner_references() {
            *pods.entry(owner.name.clone()).or_default() += 1;
        }
    }
    pods
}

fn tier(set: &StatefulSet) -> Option<usize> {
    let tier = set.labels().get(labels::TIER)?;
    Tier::ALL.iter().position(|it| it.as_str() == tier)
}

async fn events(look: &Look<'_>, set: &StatefulSet) -> Result<Vec<Event>, kube::Error> {
    let api: Api<Event> = Api::namespaced(look.ctx.client.clone(), &look.cluster.namespace);
    let about = format!(
        "regarding.kind={},regarding.name={},regarding.uid={}",
        Kind::StatefulSet,
        set.name_any(),
        set.uid().unwrap_or_default()
    );
    let about = ListParams::default().fields(&about).limit(EVENTS);
    Ok(api.list(&about).await?.items)
}

/// Why a pod was refused, if none was made or taken away since.
fn last_refusal(events: &[Event]) -> Option<String> {
    let of = |reasons: &[&str]| {
        let is_one = |event: &&Event| {
            let reason = event.reason.as_deref();
            reason.is_some_and(|it| reasons.contains(&it))
        };
        events.iter().filter(is_one).max_by_key(|event| at(event))
    };
    let refused = of(&["FailedCreate"])?;
    let went_on = of(&["SuccessfulCreate", "SuccessfulDelete"]);
    if went_on.is_some_and(|went_on| at(went_on) > at(refused)) {
        return None;
    }
    let note = refused.note.as_deref()?;
    let why = note.split_once(BEFORE_WHY).map_or(note, |(_, why)| why);
    Some(words::head(why))
}

/// When it happened last. (Kubernetes' own controllers write the old fields.)
fn at(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|it| it.last_observed_time.0);
    let old = event.deprecated_last_timestamp.as_ref().map(|it| it.0);
    series
        .or(event.event_time.as_ref().map(|it| it.0))
        .or(old)
        .or(event.metadata.creation_timestamp.as_ref().map(|it| it.0))
}

/// What was said last, if it is the same but for numbers: how much of a quota is used changes all the
/// time, and is no news.
fn but_for_numbers(said: Option<&str>, now: String) -> String {
    match said {
        Some(said) if shape(said) == shape(&now) => said.to_owned(),
        Some(_) | None => now,
    }
}

/// Each number is one and the same.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_ascii_digit() {
            true if shape.ends_with('#') => {}
            true => shape.push('#'),
            false => shape.push(letter),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(reason: &str, second: u8, note: &str) -> Event {
        let event = json!({"metadata": {"name": "a"}, "reason": reason, "note": note,
            "eventTime": null, "deprecatedLastTimestamp": format!("2026-11-27T12:00:{second:02}Z")});
        serde_json::from_value(event).unwrap()
    }

    fn failed(second: u8, why: &str) -> Event {
        let note = format!("create Pod a-0 in StatefulSet a failed error: {why}");
        event("FailedCreate", second, &note)
    }

    #[test]
    fn the_last_refusal_is_told_until_something_was_made() {
        let made = |second| event("SuccessfulCreate", second, "create Pod a-1 successful");
        let gone = |second| event("SuccessfulDelete", second, "delete Pod a-0 successful");
        let other = event("FailedUpdate", 50, "update Pod a-1 failed error: x");
        let told = |events: &[Event]| last_refusal(events);
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[made(1), other.clone()]), None);
        let quota = Some("exceeded quota".to_owned());
        assert_eq!(told(&[failed(7, "exceeded quota"), failed(3, "no")]), quota);
        // Of two pods one was made in the same second.
        let both = [made(7), failed(7, "exceeded quota"), other];
        assert_eq!(told(&both), quota);
        assert_eq!(told(&[failed(7, "exceeded quota"), made(8)]), None);
        assert_eq!(told(&[failed(7, "exceeded quota"), gone(8)]), None);
    }

    #[test]
    fn a_series_counts_from_its_end() {
        let mut often = failed(1, "exceeded quota");
        often.series = serde_json::from_value(
            json!({"count": 9, "lastObservedTime": "2026-11-27T12:00:30.000000Z"}),
        )
        .unwrap();
        let since = event("SuccessfulDelete", 20, "delete Pod a-0 successful");
        assert!(last_refusal(&[often, since]).is_some());
    }

    #[test]
    fn other_numbers_are_no_news() {
        let told = |said, now: &str| but_for_numbers(said, now.to_owned());
        let before = "exceeded quota: q, used: pods=9, limited: pods=9";
        let more = "exceeded quota: q, used: pods=10, limited: pods=10";
        assert_eq!(told(Some(before), more), before);
        assert_eq!(told(None, more), more);
        let other = "exceeded quota: r";
        assert_eq!(told(Some(before), other), other);
    }
}
