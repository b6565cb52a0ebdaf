//! `buzonera moves limits`.

use clap::Args;
use serde::Serialize;
use wire::rpc::{self, MoveLimits, SetMoveLimitsRequest};

use crate::client::{ask, request_id};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::text::bytes;
use crate::quantity::Size;

/// What to set; with nothing, the limits are shown.
#[derive(Debug, Args)]
pub struct LimitsArgs {
    /// Most moves under way at once.
    #[arg(long, value_name = "NUMBER")]
    pub max_open: Option<u32>,
    /// Most of them from one shard, and to one shard.
    #[arg(long, value_name = "NUMBER")]
    pub per_shard: Option<u32>,
    /// How fast copies leave one shard, all together, in a second.
    #[arg(long, value_name = "SIZE")]
    pub bytes_per_second: Option<Size>,
    /// Begin no move; what is under way goes on.
    #[arg(long, conflicts_with = "resume")]
    pub pause: bool,
    /// Begin moves again.
    #[arg(long)]
    pub resume: bool,
}

impl LimitsArgs {
    /// The limits with what is named set.
    fn over(&self, now: MoveLimits) -> MoveLimits {
        let pace = self.bytes_per_second.map(|size| size.0);
        MoveLimits {
            max_open: self.max_open.unwrap_or(now.max_open),
            per_shard: self.per_shard.unwrap_or(now.per_shard),
            bytes_per_second: pace.unwrap_or(now.bytes_per_second),
            paused: self.pause || now.paused && !self.resume,
        }
    }
}

/// Runs the command.
pub async fn run(args: LimitsArgs, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let request = rpc::ShowMoveLimitsRequest {};
    let now = ask!(admin.show_move_limits(request))?;
    let wanted = args.over(now);
    if wanted == now {
        return session.output.show(&LimitsView::from(now));
    }
    let request = SetMoveLimitsRequest {
        request_id: request_id(),
        limits: Some(wanted),
    };
    let set = ask!(admin.set_move_limits(request))?;
    session.output.show(&LimitsView::from(set))
}

/// Limits as scripts see them; JSON.md documents the fields.
#[derive(Debug, Serialize)]
struct LimitsView {
    max_open: u32,
    per_shard: u32,
    bytes_per_second: u64,
    paused: bool,
}

impl From<MoveLimits> for LimitsView {
    fn from(limits: MoveLimits) -> Self {
        let MoveLimits {
            max_open,
            per_shard,
            bytes_per_second,
            paused,
        } = limits;
        Self {
            max_open,
            per_shard,
            bytes_per_second,
            paused,
        }
    }
}

impl Show for LimitsView {
    fn text(&self) -> String {
        let paused = if self.paused { "paused, " } else { "" };
        format!(
            "Moves: {paused}{} at once, {} from and to one shard, {} a second.\n",
            self.max_open,
            self.per_shard,
            bytes(self.bytes_per_second)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_changes() {
        let now = MoveLimits {
            max_open: 9,
            per_shard: 4,
            bytes_per_second: 100,
            paused: true,
        };
        let args = LimitsArgs {
            max_open: None,
            per_shard: Some(2),
            bytes_per_second: None,
            pause: false,
            resume: false,
        };
        let wanted = args.over(now);
        assert_eq!(
            wanted,
            MoveLimits {
                per_shard: 2,
                ..now
            }
        );
        let resumed = LimitsArgs {
            resume: true,
            ..args
        }
        .over(now);
        assert!(!resumed.paused);
    }
}
