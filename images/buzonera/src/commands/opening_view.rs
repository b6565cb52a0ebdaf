//! How the opening of a shard's volume goes, as people and scripts see it.

use std::time::Duration;

use kit::rpc::directory::OPENING_IS_OLD;
use serde::Serialize;
use wire::rpc::{self, opening::How};

/// What a shard said of its opening; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct OpeningView {
    recovers: bool,
    percent: Option<u32>,
    minutes_left: Option<u64>,
    age_seconds: u64,
    old: bool,
}

impl OpeningView {
    /// None: it said nothing since its lease was granted.
    pub fn of(shard: &rpc::ShardInfo) -> Option<Self> {
        let recovers = match shard.opening.as_ref()?.how.as_ref()? {
            How::Opens(_) => None,
            How::Recovers(recovers) => Some(recovers),
        };
        let age = Duration::from_millis(shard.opening_age_ms.unwrap_or_default());
        Some(Self {
            recovers: recovers.is_some(),
            percent: recovers.map(|recovers| recovers.percent),
            minutes_left: recovers.and_then(|recovers| recovers.minutes_left),
            age_seconds: age.as_secs(),
            old: age > OPENING_IS_OLD,
        })
    }

    /// Whether that is how it goes now.
    pub fn is_news(&self) -> bool {
        !self.old
    }

    /// In words; an old word says how old it is, and promises nothing.
    pub fn text(&self) -> String {
        let mut parts = vec![match self.recovers {
            true => "recovering".to_owned(),
            false => "opening".to_owned(),
        }];
        parts.extend(self.percent.map(|percent| format!("{percent} %")));
        if self.old {
            return format!("was {}, {}", parts.join(", "), ago(self.age_seconds));
        }
        parts.extend(self.minutes_left.map(|left| format!("{left} min left")));
        parts.join(", ")
    }
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(how: How, age_ms: u64) -> String {
        let shard = rpc::ShardInfo {
            opening: Some(rpc::Opening { how: Some(how) }),
            opening_age_ms: Some(age_ms),
            ..rpc::ShardInfo::default()
        };
        OpeningView::of(&shard).unwrap().text()
    }

    fn recovers(minutes_left: Option<u64>) -> How {
        How::Recovers(rpc::Recovers {
            percent: 7,
            minutes_left,
        })
    }

    #[test]
    fn what_is_known_is_said() {
        let opens = || How::Opens(rpc::Opens {});
        assert_eq!(told(opens(), 0), "opening");
        assert_eq!(told(opens(), 31_000), "was opening, 31 s ago");
        assert_eq!(told(recovers(None), 30_000), "recovering, 7 %");
        assert_eq!(told(recovers(Some(2)), 9), "recovering, 7 %, 2 min left");
        let old = 3 * 3_600_000;
        assert_eq!(told(recovers(Some(2)), old), "was recovering, 7 %, 3 h ago");
        assert!(OpeningView::of(&rpc::ShardInfo::default()).is_none());
    }
}
