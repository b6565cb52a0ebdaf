//! Conditions: what is told of an object, in one word for programs and one sentence for people.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Whether accounts move.
pub(crate) const REBALANCING: &str = "Rebalancing";

/// Whether a shard that is to be emptied is.
pub(crate) const DRAINED: &str = "Drained";

/// The reason where accounts should move and find no room.
pub(crate) const INSUFFICIENT_CAPACITY: &str = "InsufficientCapacity";

/// The longest sentence that the definitions allow.
const MAX_MESSAGE: usize = 1024;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Yes.
    True,
    /// No.
    False,
    /// Nobody knows.
    Unknown,
}

impl Holds {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What is told about: Ready, Serving, …
    pub about: &'static str,
    /// Whether it holds.
    pub holds: Holds,
    /// Why, for programs.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
}

impl Said {
    /// A condition.
    pub fn new(
        about: &'static str,
        holds: Holds,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            about,
            holds,
            reason,
            message: message.into(),
        }
    }
}

/// The conditions as they are written: the time is that of the last change from one of True, False
/// and Unknown to another. What is not said any more is gone.
pub fn conditions(
    before: &[Condition],
    said: &[Said],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let write = |said: &Said| {
        let earlier = before.iter().find(|earlier| earlier.type_ == said.about);
        let same = earlier.filter(|earlier| earlier.status == said.holds.as_str());
        Condition {
            type_: said.about.to_owned(),
            status: said.holds.as_str().to_owned(),
            reason: said.reason.to_owned(),
            message: said.message.chars().take(MAX_MESSAGE).collect(),
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |same| same.last_transition_time.clone()),
        }
    };
    said.iter().map(write).collect()
}

/// What people are warned of when it begins: the condition, its reason, and the reason of the Event.
const WARNED: [(&str, &str, &str); 8] = [
    ("Stalled", "StoreEmpty", "StoreEmpty"),
    ("Stalled", "EtcdAlarm", "EtcdAlarm"),
    ("Stalled", "NodeLost", "NodeLost"),
    ("Stalled", "VolumeMissing", "VolumeMissing"),
    ("Stalled", "EtcdMemberLost", "EtcdMemberLost"),
    ("PublicCertificate", "ExpiresSoon", "CertificateExpiring"),
    (REBALANCING, INSUFFICIENT_CAPACITY, INSUFFICIENT_CAPACITY),
    (DRAINED, INSUFFICIENT_CAPACITY, INSUFFICIENT_CAPACITY),
];

/// Events of what is said now and was not before: their reasons and notes.
pub fn warnings<'a>(before: &[Condition], said: &'a [Said]) -> Vec<(&'static str, &'a str)> {
    let warning = |said: &'a Said| {
        let is_it = |(about, reason, _): &&(&str, &str, &str)| {
            *about == said.about && *reason == said.reason
        };
        let (.., event) = WARNED.iter().find(is_it)?;
        let mut before = before.iter();
        let is_old = before.any(|it| it.type_ == said.about && it.reason == said.reason);
        (!is_old).then_some((*event, said.message.as_str()))
    };
    said.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_given_once() {
        let now = Timestamp::UNIX_EPOCH;
        let missing = |volume: &str| {
            let text = format!("the volume {volume} is gone");
            vec![Said::new("Stalled", Holds::True, "VolumeMissing", text)]
        };
        let first = missing("a-0");
        let given = warnings(&[], &first);
        assert_eq!(given, [("VolumeMissing", "the volume a-0 is gone")]);
        let told = conditions(&[], &first, None, now);
        assert_eq!(warnings(&told, &missing("a-1")), []);
        let other = [Said::new("Stalled", Holds::True, "StoreEmpty", "")];
        assert_eq!(warnings(&told, &other), [("StoreEmpty", "")]);
        let fine = [Said::new("PublicCertificate", Holds::True, "Provided", "")];
        assert_eq!(warnings(&[], &fine), []);
        let soon = [Said::new(
            "PublicCertificate",
            Holds::False,
            "ExpiresSoon",
            "9 days",
        )];
        let given = warnings(&conditions(&[], &fine, None, now), &soon);
        assert_eq!(given, [("CertificateExpiring", "9 days")]);
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let no = [Said::new("Ready", Holds::False, "Provisioning", "so far")];
        let first = conditions(&[], &no, Some(1), at(10));
        let other = [Said::new("Ready", Holds::False, "TierNotReady", "still")];
        let second = conditions(&first, &other, Some(2), at(20));
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(
            (second[0].reason.as_str(), second[0].observed_generation),
            ("TierNotReady", Some(2))
        );
        let yes = [Said::new("Ready", Holds::True, "Ready", "")];
        let third = conditions(&second, &yes, Some(2), at(30));
        assert_eq!(third[0].last_transition_time, Time(at(30)));
        assert!(conditions(&third, &[], Some(2), at(40)).is_empty());
    }

    #[test]
    fn a_sentence_is_as_long_as_the_definition_allows() {
        let long = [Said::new(
            "Ready",
            Holds::False,
            "Rejected",
            "ä".repeat(2000),
        )];
        let written = conditions(&[], &long, None, Timestamp::UNIX_EPOCH);
        assert_eq!(written[0].message.chars().count(), MAX_MESSAGE);
    }
}
