//! `buzonera shards`.

use serde::Serialize;
use wire::rpc::{self, ShardState};

use crate::client::{Admin, ask};
use crate::commands::opening_view::OpeningView;
use crate::commands::pages::{self, Page};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::table::{Align, Table};
use crate::output::text::bytes;

/// Runs the command.
pub async fn run(session: &mut Session) -> Result<(), Failure> {
    let shards = Shards::from(all(&session.admin()?).await?);
    session.output.show(&shards)
}

/// Every shard that was added.
pub async fn all(admin: &Admin) -> Result<Vec<rpc::ShardInfo>, Failure> {
    let name = |shard: &rpc::ShardInfo| shard.name.clone();
    let shards = pages::all("", name, |request| async {
        let reply = ask!(admin.list_shards(request))?;
        Ok(Page {
            items: reply.shards,
            more: reply.more,
        })
    });
    shards.await
}

/// A shard as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct ShardView {
    name: String,
    phase: &'static str,
    live: bool,
    serving: bool,
    nearly_full: bool,
    takes_mail: bool,
    incarnation: u64,
    rpc_endpoint: String,
    accounts: u64,
    bytes: u64,
    messages: u64,
    volume_size: u64,
    volume_free: u64,
    moves_in: u64,
    moves_out: u64,
    debts: u64,
    opening: Option<OpeningView>,
    #[serde(skip)]
    state: ShardState,
}

impl From<rpc::ShardInfo> for ShardView {
    fn from(shard: rpc::ShardInfo) -> Self {
        let state = shard.state();
        let opening = OpeningView::of(&shard);
        let opens = opening.as_ref().is_some_and(OpeningView::is_news);
        Self {
            phase: phase_name(shard.state()),
            name: shard.name,
            live: shard.live,
            serving: shard.serving,
            nearly_full: shard.nearly_full,
            takes_mail: shard.live && !opens && !shard.nearly_full && is_missed(state),
            incarnation: shard.incarnation,
            rpc_endpoint: shard.rpc_endpoint,
            accounts: shard.accounts,
            bytes: shard.bytes,
            messages: shard.messages,
            volume_size: shard.volume_size,
            volume_free: shard.volume_free,
            moves_in: shard.moves_in,
            moves_out: shard.moves_out,
            debts: shard.debts,
            opening,
            state,
        }
    }
}

/// Whether somebody misses the shard when it is away: not one that has ended.
fn is_missed(state: ShardState) -> bool {
    match state {
        ShardState::Active
        | ShardState::Cordoned
        | ShardState::Draining
        | ShardState::Unspecified => true,
        ShardState::Retired | ShardState::Lost => false,
    }
}

fn phase_name(state: ShardState) -> &'static str {
    match state {
        ShardState::Unspecified => "unknown",
        ShardState::Active => "active",
        ShardState::Cordoned => "cordoned",
        ShardState::Draining => "draining",
        ShardState::Retired => "retired",
        ShardState::Lost => "lost",
    }
}

impl ShardView {
    /// The phase for people: a shard that holds no lease serves nothing, whatever its phase.
    fn phase(&self) -> String {
        let phase = self.phase;
        let said = self.opening.as_ref().map(OpeningView::text);
        match (self.trouble(), said) {
            (Some(Trouble::Opening), Some(said)) => format!("{phase}, {said}"),
            (Some(Trouble::Away), Some(said)) => format!("{phase}, away, {said}"),
            (Some(Trouble::Opening | Trouble::Away), None) => format!("{phase}, away"),
            (Some(Trouble::NearlyFull), _) => format!("{phase}, nearly full"),
            (None, _) => phase.to_owned(),
        }
    }

    /// Room on its volume, for people; unknown until the shard has told.
    fn free(&self) -> String {
        match self.volume_size {
            0 => "?".to_owned(),
            size => format!(
                "{} ({} %)",
                bytes(self.volume_free),
                u128::from(self.volume_free) * 100 / u128::from(size)
            ),
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        match self {
            _ if !is_missed(self.state) => None,
            // The lease of its last run may not have ended yet.
            Self {
                opening: Some(opening),
                ..
            } if opening.is_news() => Some(Trouble::Opening),
            Self { live: false, .. } => Some(Trouble::Away),
            Self {
                nearly_full: true, ..
            } => Some(Trouble::NearlyFull),
            _ => None,
        }
    }
}

/// Why a shard takes no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It opens its volume, and asks for its lease after that.
    Opening,
    /// It holds no lease, and nobody knows that it is coming.
    Away,
    /// Its volume has too little room.
    NearlyFull,
}

/// Several shards.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Shards(Vec<ShardView>);

impl From<Vec<rpc::ShardInfo>> for Shards {
    fn from(shards: Vec<rpc::ShardInfo>) -> Self {
        Self(shards.into_iter().map(ShardView::from).collect())
    }
}

impl Shards {
    /// What keeps shards from taking mail. A full disk waits for a person, so that it decides the
    /// exit code; a shard that is away or opens its volume may be back at the next look.
    pub fn verdict(&self) -> Result<(), Failure> {
        let says = |trouble, of: &dyn Fn(String) -> String| self.named(trouble).map(of);
        let full = says(Trouble::NearlyFull, &|names| {
            format!(
                "The disk of {names} is nearly full: mail waits in the spool. Free some room there."
            )
        });
        let away = says(Trouble::Away, &|names| {
            format!("{names} is away: mail waits in the spool, and nobody can log in.")
        });
        let opening = says(Trouble::Opening, &|names| {
            format!("{names} opens its volume: mail waits in the spool, and nobody can log in yet.")
        });
        let is_full = full.is_some();
        let all: Vec<_> = [full, away, opening].into_iter().flatten().collect();
        match (all.is_empty(), is_full) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::Refused(all.join(" "))),
            (false, false) => Err(Failure::Temporary(all.join(" "))),
        }
    }

    /// The shards in that trouble; none: there is no such shard.
    fn named(&self, trouble: Trouble) -> Option<String> {
        let in_it = self
            .0
            .iter()
            .filter(|shard| shard.trouble() == Some(trouble));
        let names: Vec<&str> = in_it.map(|shard| shard.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

impl Show for ShardView {
    fn text(&self) -> String {
        format!("{} is {}.\n", self.name, self.phase())
    }
}

impl Show for Shards {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("SHARD", Align::Left),
            ("PHASE", Align::Left),
            ("ACCOUNTS", Align::Right),
            ("MESSAGES", Align::Right),
            ("BYTES", Align::Right),
            ("FREE", Align::Right),
            ("MOVES IN", Align::Right),
            ("MOVES OUT", Align::Right),
        ]);
        for shard in &self.0 {
            table.row([
                shard.name.clone(),
                shard.phase(),
                shard.accounts.to_string(),
                shard.messages.to_string(),
                bytes(shard.bytes),
                shard.free(),
                shard.moves_in.to_string(),
                shard.moves_out.to_string(),
            ]);
        }
        table.render("No shards.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str, live: bool, nearly_full: bool) -> rpc::ShardInfo {
        rpc::ShardInfo {
            name: name.into(),
            state: ShardState::Active.into(),
            live,
            nearly_full,
            volume_size: 1000,
            volume_free: 49,
            ..Default::default()
        }
    }

    fn verdict(shards: &[rpc::ShardInfo]) -> (u8, String) {
        let failure = Shards::from(shards.to_vec()).verdict().unwrap_err();
        (failure.exit_code(), failure.to_string())
    }

    #[test]
    fn a_full_disk_is_told_and_weighs_more_than_an_absence() {
        let good = shard("shard-1", true, false);
        assert_eq!(Shards::from(vec![good.clone()]).verdict(), Ok(()));
        let (code, said) = verdict(&[good.clone(), shard("shard-2", false, true)]);
        assert_eq!(code, 4);
        assert!(said.starts_with("shard-2 is away: "), "{said}");
        let full = shard("shard-3", true, true);
        let (code, said) = verdict(&[good, full.clone(), shard("shard-2", false, false)]);
        assert_eq!(code, 1);
        assert!(
            said.starts_with("The disk of shard-3 is nearly full"),
            "{said}"
        );
        assert!(said.contains("shard-2 is away"), "{said}");
        let text = Shards::from(vec![full]).text();
        assert!(text.contains("active, nearly full"), "{text}");
        assert!(text.contains("49 B (4 %)"), "{text}");
    }

    fn recovering(live: bool, age_ms: u64) -> rpc::ShardInfo {
        let recovers = rpc::Recovers {
            percent: 40,
            minutes_left: Some(3),
        };
        let how = Some(rpc::opening::How::Recovers(recovers));
        rpc::ShardInfo {
            opening: Some(rpc::Opening { how }),
            opening_age_ms: Some(age_ms),
            ..shard("shard-1", live, false)
        }
    }

    #[test]
    fn a_shard_that_recovers_says_how_far_it_is() {
        // Its last run's lease may not have ended.
        for live in [false, true] {
            let shards = Shards::from(vec![recovering(live, 5_000)]);
            let text = shards.text();
            assert!(
                text.contains("active, recovering, 40 %, 3 min left "),
                "{text}"
            );
            let json = serde_json::to_value(&shards).unwrap();
            assert_eq!(json[0]["takes_mail"], false);
            assert_eq!(json[0]["opening"]["percent"], 40);
        }
        let (code, said) = verdict(&[recovering(false, 5_000)]);
        assert_eq!(code, 4);
        assert!(said.starts_with("shard-1 opens its volume: "), "{said}");
    }

    #[test]
    fn an_old_word_is_not_taken_for_news() {
        let died = recovering(false, 300_000);
        let text = Shards::from(vec![died.clone()]).text();
        let shown = "active, away, was recovering, 40 %, 5 min ago ";
        assert!(text.contains(shown), "{text}");
        let (code, said) = verdict(&[died]);
        assert_eq!(code, 4);
        assert!(said.starts_with("shard-1 is away: "), "{said}");
        let serves = Shards::from(vec![recovering(true, 300_000)]);
        assert_eq!(serves.verdict(), Ok(()));
    }

    #[test]
    fn a_shard_that_has_ended_is_missed_by_nobody() {
        for state in [ShardState::Retired, ShardState::Lost] {
            let mut gone = shard("shard-1", false, false);
            gone.state = state.into();
            let shards = Shards::from(vec![gone]);
            assert_eq!(shards.verdict(), Ok(()));
            let json = serde_json::to_value(&shards).unwrap();
            assert_eq!(json[0]["takes_mail"], false);
        }
    }
}
