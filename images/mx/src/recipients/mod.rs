//! Asking the directory: where does this recipient lead, where is this account now?

mod known;

use kit::rpc::DirectoryClient;
use parking_lot::Mutex;
use wire::address::Canonical;
use wire::answer::Answer;
use wire::ids::{AccountId, Epoch};
use wire::rpc::resolve_query::Subject;
use wire::rpc::{self, No, ResolveQuery};
use wire::smtp::ForwardPath;

use crate::session::{Resolved, Target};
use known::Known;

/// The directory as MX asks it.
#[derive(Debug)]
pub struct Recipients {
    directory: DirectoryClient,
    known: Mutex<Known>,
}

/// Where an account is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// There.
    At(Target),
    /// It is removed, or was never.
    Gone,
    /// Nobody knows.
    Unsure,
    /// No replica of the directory could be asked that may know.
    Unasked,
}

impl Recipients {
    /// Asks through `directory`, and remembers so many yeses for when no replica answers.
    pub fn new(directory: DirectoryClient, remembered: usize) -> Self {
        Self {
            directory,
            known: Mutex::new(Known::new(remembered)),
        }
    }

    /// Where recipients lead; one answer per path, in order. `or_recall`: where no replica answers,
    /// what is remembered will do; its mail may only go to the spool.
    pub async fn resolve(&self, paths: &[ForwardPath], or_recall: bool) -> Vec<Resolved> {
        let queries = paths.iter().map(query).collect();
        let answers = self.directory.resolve(queries).await;
        let mut known = self.known.lock();
        let each = paths.iter().zip(answers).map(|(path, answer)| {
            let Some(understood) = understand(answer) else {
                return match or_recall {
                    true => known.recall(&key(path)),
                    false => Resolved::Unsure,
                };
            };
            match &understood {
                Resolved::Known(targets) => known.remember(key(path), targets),
                Resolved::Unknown | Resolved::Foreign => known.forget(key(path)),
                Resolved::OverQuota | Resolved::Unsure => {}
            }
            understood
        });
        each.collect()
    }

    /// Where accounts are, by an answer at least as new as an epoch that a shard named.
    pub async fn locate(&self, accounts: &[(AccountId, Epoch)]) -> Vec<Located> {
        let query = |(account, epoch): &(AccountId, Epoch)| ResolveQuery {
            subject: Some(Subject::Account(account.to_field())),
            at_least_epoch: epoch.0,
        };
        let queries = accounts.iter().map(query).collect();
        let answers = self.directory.resolve(queries).await;
        answers.into_iter().map(locate).collect()
    }
}

fn query(path: &ForwardPath) -> ResolveQuery {
    let subject = match path {
        ForwardPath::Postmaster => Subject::Postmaster(true),
        ForwardPath::Address(address) => Subject::Address(address.to_string()),
    };
    ResolveQuery {
        subject: Some(subject),
        at_least_epoch: 0,
    }
}

/// The name that a yes is remembered by; none for what cannot be one of ours.
fn key(path: &ForwardPath) -> Option<Box<str>> {
    match path {
        ForwardPath::Postmaster => Some("postmaster".into()),
        ForwardPath::Address(address) => Some(Canonical::new(address).ok()?.as_str().into()),
    }
}

/// None: nobody was asked that may know.
fn understand(answer: Answer) -> Option<Resolved> {
    Some(match answer {
        Answer::Yes(recipients) => yes(recipients),
        Answer::No(No::Unknown | No::Removed) => Resolved::Unknown,
        Answer::No(No::Foreign) => Resolved::Foreign,
        Answer::No(No::Unspecified) | Answer::NobodyKnows(_) => Resolved::Unsure,
        Answer::NotMe => return None,
    })
}

fn yes(recipients: Vec<rpc::Recipient>) -> Resolved {
    // The quota is advisory: an alias is refused only when nobody behind it has room.
    if !recipients.is_empty() && recipients.iter().all(|one| one.over_quota) {
        return Resolved::OverQuota;
    }
    let targets: Option<Vec<_>> = recipients.into_iter().map(target).collect();
    match targets {
        Some(targets) if !targets.is_empty() => Resolved::Known(targets),
        _ => Resolved::Unsure,
    }
}

fn locate(answer: Answer) -> Located {
    match understand(answer) {
        None => Located::Unasked,
        Some(Resolved::Unknown) => Located::Gone,
        Some(Resolved::Known(mut targets)) => targets.pop().map_or(Located::Unsure, Located::At),
        // A message that was accepted is not refused for a quota.
        Some(Resolved::OverQuota | Resolved::Foreign | Resolved::Unsure) => Located::Unsure,
    }
}

fn target(recipient: rpc::Recipient) -> Option<Target> {
    let route = recipient.route?;
    Some(Target {
        account: AccountId::from_slice(&route.account).ok()?,
        address: recipient.address,
        shard: route.shard.parse().ok()?,
        endpoint: route.rpc_endpoint,
        epoch: Epoch(route.epoch),
        stale: false,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wire::answer::NobodyKnows;
    use wire::rpc::Route;

    use super::*;

    fn recipient(over_quota: bool) -> rpc::Recipient {
        let route = Route {
            account: AccountId::random().to_field(),
            shard: "shard-1".into(),
            epoch: 3,
            rpc_endpoint: "127.0.0.1:1".into(),
            pop3_endpoint: String::new(),
        };
        rpc::Recipient {
            route: Some(route),
            address: "a@b.example".into(),
            over_quota,
        }
    }

    #[test]
    fn answers_are_understood() {
        let nobody_knows = Answer::NobodyKnows(NobodyKnows::Unproven);
        for (answer, understood) in [
            (Answer::No(No::Unknown), Some(Resolved::Unknown)),
            (Answer::No(No::Foreign), Some(Resolved::Foreign)),
            (Answer::No(No::Unspecified), Some(Resolved::Unsure)),
            (nobody_knows, Some(Resolved::Unsure)),
            (Answer::NotMe, None),
            (Answer::Yes(vec![]), Some(Resolved::Unsure)),
            (
                Answer::Yes(vec![recipient(true)]),
                Some(Resolved::OverQuota),
            ),
        ] {
            assert_eq!(understand(answer), understood);
        }
        let alias = understand(Answer::Yes(vec![recipient(true), recipient(false)]));
        assert!(matches!(alias, Some(Resolved::Known(targets)) if targets.len() == 2));
        let mut broken = recipient(false);
        broken.route = Some(Route {
            account: Bytes::from_static(b"short"),
            ..Route::default()
        });
        assert_eq!(
            understand(Answer::Yes(vec![recipient(false), broken])),
            Some(Resolved::Unsure)
        );
    }

    #[test]
    fn accounts_are_located() {
        assert!(matches!(
            locate(Answer::Yes(vec![recipient(false)])),
            Located::At(_)
        ));
        assert_eq!(locate(Answer::No(No::Removed)), Located::Gone);
        assert_eq!(locate(Answer::NotMe), Located::Unasked);
    }
}
