//! A plan as it is printed.

use plan::{Balance, Bar, Flow, Limits, Share, WHOLE, Why};
use serde::Serialize;

use crate::output::Show;
use crate::output::bar::{LEGEND, Scale};
use crate::output::table::{Align, Table};
use crate::output::text::{bytes, count};

/// Width of a line.
const LINE: usize = 80;

/// Columns beside the name and the bar: three shares and what stands before each, and before the bar.
const SHARES: usize = 3 * (2 + 7) + 2;

/// A bar is not shorter than this, however long the names are.
const SHORTEST_BAR: usize = 20;

/// How much further from its part than tolerated a shard may be and still counts as within, in percent
/// of its part: plans end where the tolerance does, but for a rounding.
const SLACK: Share = 1;

/// Parts of all that JSON tells shares in.
const MILLIONTH: Share = WHOLE / 1_000_000;

/// A plan as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct PlanView {
    tolerance_percent: u32,
    accounts: u64,
    bytes: u64,
    flows: Vec<FlowView>,
    shares: Vec<ShareView>,
    leaving_bytes: u64,
    room_bytes: u64,
}

/// What goes from one shard to another.
#[derive(Debug, Serialize)]
struct FlowView {
    from: String,
    to: String,
    why: &'static str,
    accounts: u64,
    bytes: u64,
}

/// A shard's share of all, in millionths.
#[derive(Debug, Serialize)]
struct ShareView {
    shard: String,
    now: Share,
    then: Share,
    part: Option<Share>,
}

impl PlanView {
    /// What there is to do so that shards are as even as that.
    pub fn of(balance: &Balance, limits: &Limits) -> Self {
        let flows = balance.plan(limits);
        let capacity = balance.capacity();
        Self {
            tolerance_percent: limits.tolerance_percent,
            accounts: flows.iter().map(|flow| flow.accounts).sum(),
            bytes: flows.iter().map(|flow| flow.bytes).sum(),
            shares: balance.bars().map(|bar| share(bar, &flows)).collect(),
            flows: flows.into_iter().map(FlowView::from).collect(),
            leaving_bytes: capacity.to_move,
            room_bytes: capacity.room,
        }
    }
}

fn share(bar: Bar, flows: &[Flow]) -> ShareView {
    let sum = |of: fn(&Flow) -> &str| -> Share {
        let mine = flows.iter().filter(|flow| of(flow) == bar.shard.as_str());
        mine.map(|flow| flow.share).sum()
    };
    let then = bar.load + sum(|flow| flow.to.as_str()) - sum(|flow| flow.from.as_str());
    ShareView {
        shard: bar.shard.to_string(),
        now: bar.load / MILLIONTH,
        then: then.max(0) / MILLIONTH,
        part: bar.target.map(|target| target / MILLIONTH),
    }
}

impl From<Flow> for FlowView {
    fn from(flow: Flow) -> Self {
        Self {
            from: flow.from.to_string(),
            to: flow.to.to_string(),
            why: match flow.why {
                Why::Leaving => "leaving",
                Why::Full => "full",
                Why::Uneven => "uneven",
            },
            accounts: flow.accounts,
            bytes: flow.bytes,
        }
    }
}

impl Show for PlanView {
    fn text(&self) -> String {
        let mut paragraphs = Vec::new();
        if !self.shares.is_empty() {
            paragraphs.push(self.chart());
        }
        if !self.flows.is_empty() {
            paragraphs.push(self.list());
        }
        paragraphs.push(format!("{}\n", self.summary()));
        paragraphs.join("\n")
    }
}

impl PlanView {
    fn chart(&self) -> String {
        let mut table = Table::new([
            ("SHARD", Align::Left),
            ("SHARE", Align::Left),
            ("NOW", Align::Right),
            ("THEN", Align::Right),
            ("PART", Align::Right),
        ]);
        let names = self.shares.iter().map(|share| share.shard.chars().count());
        let taken = names.max().unwrap_or(0).max("SHARD".len()) + SHARES;
        let most = self.shares.iter().map(ShareView::most).max();
        let scale = Scale {
            width: LINE.saturating_sub(taken).max(SHORTEST_BAR),
            most: most.unwrap_or(0).unsigned_abs(),
        };
        for share in &self.shares {
            table.row([
                share.shard.clone(),
                scale.bar(
                    share.now.unsigned_abs(),
                    share.then.unsigned_abs(),
                    share.part(),
                ),
                percent(share.now),
                percent(share.then),
                share.part.map_or_else(|| "-".to_owned(), percent),
            ]);
        }
        format!("{}{LEGEND}\n", table.render(""))
    }

    fn list(&self) -> String {
        let mut table = Table::new([
            ("FROM", Align::Left),
            ("TO", Align::Left),
            ("ACCOUNTS", Align::Right),
            ("BYTES", Align::Right),
            ("WHY", Align::Left),
        ]);
        for flow in &self.flows {
            table.row([
                flow.from.clone(),
                flow.to.clone(),
                flow.accounts.to_string(),
                bytes(flow.bytes),
                flow.why.to_owned(),
            ]);
        }
        table.render("")
    }

    fn summary(&self) -> String {
        let moves = match self.accounts {
            0 => "Nothing would move.".to_owned(),
            accounts => format!(
                "{} with {} would move.",
                count(accounts, "account"),
                bytes(self.bytes)
            ),
        };
        let tolerance = self.tolerance_percent;
        let outside = self.outside();
        let mut text = match outside.is_empty() {
            true => format!(
                "{moves}\n\
                 Every shard is then within {tolerance} % of its part."
            ),
            false => format!(
                "{moves}\n\
                 Not within {tolerance} % of its part then: {outside}.\n\
                 A shard is away, volumes have no room, or single accounts are too large.",
            ),
        };
        if self.leaving_bytes > self.room_bytes {
            text.push_str(&format!(
                "\n{} are to leave their shards, and there is room for {} elsewhere.",
                bytes(self.leaving_bytes),
                bytes(self.room_bytes)
            ));
        }
        text
    }

    /// The shards that would still be too far from their parts.
    fn outside(&self) -> String {
        let tolerance = Share::from(self.tolerance_percent);
        let is_outside = |share: &&ShareView| {
            let by = |part: Share| (share.then - part).abs();
            share
                .part
                .is_some_and(|part| by(part) > part * tolerance / 100 + part * SLACK / 100 + 1)
        };
        let outside = self.shares.iter().filter(is_outside);
        let names: Vec<&str> = outside.map(|share| share.shard.as_str()).collect();
        names.join(", ")
    }
}

impl ShareView {
    fn most(&self) -> Share {
        self.now.max(self.then).max(self.part.unwrap_or(0))
    }

    fn part(&self) -> Option<u64> {
        self.part.map(Share::unsigned_abs)
    }
}

/// Millionths for people.
fn percent(share: Share) -> String {
    let tenths = (share + 500) / 1000;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use plan::{Load, Standing, Volume};

    use super::*;

    fn load(name: &str, accounts: u64) -> Load {
        let size = 1 << 40;
        let bytes = accounts * 100_000_000;
        Load {
            shard: name.parse().unwrap(),
            standing: Standing::Active,
            serving: true,
            weight: 0,
            accounts,
            bytes,
            volume: Some(Volume {
                size,
                free: size - bytes,
                nearly_full: false,
            }),
        }
    }

    fn view(loads: &[Load]) -> PlanView {
        let limits = Limits {
            tolerance_percent: 10,
        };
        PlanView::of(&Balance::of(loads, &[]), &limits)
    }

    #[test]
    fn what_goes_and_comes_is_a_chart_and_a_list() {
        let text = view(&[load("shard-1", 60), load("shard-2", 60), load("shard-3", 0)]).text();
        let expected = "\
SHARD    SHARE                                            NOW    THEN    PART
shard-1  ████████████████████████████│██░░░░░░░░░░░░░  50.0 %  35.0 %  33.3 %
shard-2  ████████████████████████████│██░░░░░░░░░░░░░  50.0 %  35.0 %  33.3 %
shard-3  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  │                  0.0 %  30.0 %  33.3 %
█ stays  ░ goes  ▒ comes  │ its part

FROM     TO       ACCOUNTS    BYTES  WHY
shard-1  shard-3        18  1.7 GiB  uneven
shard-2  shard-3        18  1.7 GiB  uneven

36 accounts with 3.4 GiB would move.
Every shard is then within 10 % of its part.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn lines_fit_on_a_screen_of_80_columns() {
        let long = "a-shard-whose-name-is-long-4711";
        for names in [
            ["a", "b", "c"],
            ["shard-1", "shard-2", "shard-3"],
            ["a", "b", long],
        ] {
            let [a, b, c] = names;
            let text = view(&[load(a, 100), load(b, 0), load(c, 0)]).text();
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(LINE), "{text}");
        }
    }

    #[test]
    fn even_shards_stay_as_they_are() {
        let view = view(&[load("a", 50), load("b", 52)]);
        let said = "Nothing would move.\nEvery shard is then within 10 % of its part.\n";
        assert!(view.text().ends_with(said), "{}", view.text());
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["flows"], serde_json::json!([]));
        assert_eq!(json["shares"][0]["part"], 500_000);
        assert_eq!(json["shares"][0]["now"], json["shares"][0]["then"]);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let mut loads = [load("a", 50), load("b", 50), load("c", 50)];
        loads[0].standing = Standing::Leaving;
        for load in &mut loads[1..] {
            load.volume.as_mut().unwrap().size = 6_000_000_000;
            load.volume.as_mut().unwrap().free = 900_000_000;
        }
        loads[2].standing = Standing::Cordoned;
        let text = view(&loads).text();
        assert!(text.contains("Nothing would move"), "{text}");
        assert!(text.contains("of its part then: a, b."), "{text}");
        assert!(
            text.contains("4.7 GiB are to leave their shards, and there is room for 0 B"),
            "{text}"
        );
        let cordoned = text.lines().find(|line| line.starts_with("c ")).unwrap();
        assert!(cordoned.ends_with(" -"), "{text}");
    }
}
