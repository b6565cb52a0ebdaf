//! What cannot go on without a person, and what that person does about it.

use wire::rpc::StoreAlarm;

use super::super::refused::Refused;
use super::{Outcome, REJECTED};
use crate::cluster::Cluster;
use crate::conditions::{Holds, Said};
use crate::directory::View;

/// The condition Stalled; none: nothing is.
pub(super) fn stalled(cluster: &Cluster, view: &View, outcome: &Outcome) -> Option<Said> {
    let stalled = |reason, message: String| Said::new("Stalled", Holds::True, reason, message);
    if outcome.store_is_empty {
        let text = "etcd is empty, and was not: restore it from your backup; nothing is made anew, \
                    since a new map would know no account";
        return Some(stalled("StoreEmpty", text.to_owned()));
    }
    if let Some(lost) = lost_member(cluster, &outcome.lost) {
        let text = format!(
            "the volume {lost} is gone, and with it a member of etcd; the others go on. An old copy of \
             that volume is of no use to them: remove the member with etcdctl, add it anew under the \
             same address, and then make a claim of that name"
        );
        return Some(stalled("EtcdMemberLost", text));
    }
    if let Some(lost) = outcome.lost.first() {
        let text = format!(
            "the volume {lost} is gone: restore a claim of that name from your backup; no empty one \
             is made in its place"
        );
        return Some(stalled("VolumeMissing", text));
    }
    if let Some(text) = view.alarms().into_iter().find_map(alarm) {
        return Some(stalled("EtcdAlarm", text.to_owned()));
    }
    if let Some(lost) = &outcome.lost_pods {
        return Some(stalled("NodeLost", lost.to_string()));
    }
    let rejected = outcome.rejected.first().cloned();
    let rejected = rejected.or_else(|| outcome.refused.as_ref().map(Refused::to_string));
    Some(stalled(REJECTED, rejected?))
}

/// The only volume that is lost, if it is that of one of several members.
fn lost_member<'a>(cluster: &Cluster, lost: &'a [String]) -> Option<&'a String> {
    let [lost] = lost else {
        return None;
    };
    let mut members = (0..cluster.etcd.members).map(|ordinal| cluster.name.etcd_member(ordinal));
    (cluster.etcd.members > 1 && members.any(|member| member == *lost)).then_some(lost)
}

/// What a person does about it.
pub(super) fn alarm(alarm: StoreAlarm) -> Option<&'static str> {
    match alarm {
        StoreAlarm::Full => Some(
            "etcd is at its quota and takes no writes: compact, defragment and disarm it, or give it \
             a larger volume",
        ),
        StoreAlarm::Corrupt => Some("etcd's members do not hold the same: restore one of them"),
        StoreAlarm::Failed => Some("the directory's store has failed for good"),
        StoreAlarm::Away | StoreAlarm::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::validate::tests::least;

    #[test]
    fn one_lost_member_of_several_is_no_lost_store() {
        let reason = |members: u32, lost: &[&str]| {
            let mut cluster = least();
            cluster.etcd.members = members;
            let outcome = Outcome {
                lost: lost.iter().map(|&name| name.to_owned()).collect(),
                ..Outcome::default()
            };
            let said = stalled(&cluster, &View::default(), &outcome);
            said.map(|said| said.reason)
        };
        assert_eq!(reason(3, &[]), None);
        assert_eq!(reason(3, &["example-etcd-1"]), Some("EtcdMemberLost"));
        let two = ["example-etcd-0", "example-etcd-1"];
        assert_eq!(reason(3, &two), Some("VolumeMissing"));
        assert_eq!(reason(1, &["example-etcd-0"]), Some("VolumeMissing"));
        assert_eq!(reason(3, &["example-0"]), Some("VolumeMissing"));
    }
}
