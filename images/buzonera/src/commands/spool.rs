//! `buzonera spool list|show|retry|remove`.

use clap::{Args, Subcommand};
use kit::rpc::Channel;
use kit::services::spool_admin_client::SpoolAdminClient;
use wire::rpc;

use crate::client::{PATIENCE, retry};
use crate::commands::session::Session;
use crate::commands::spool_view::{Entries, EntryView, Removed, Retried};
use crate::failure::Failure;
use crate::local::layout::Layout;
use crate::local::roster;
use crate::local::running::Running;
use crate::reach::{self, Target};
use crate::terminal;

/// Which MX, and what to do.
#[derive(Debug, Args)]
pub struct SpoolArgs {
    /// RPC address of the MX whose spool it is; with --server.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub mx: Option<String>,
    /// The instance that answers at --mx, as its certificate names it.
    #[arg(long, global = true, value_name = "NAME", default_value = roster::MX)]
    pub mx_instance: String,
    /// What to do.
    #[command(subcommand)]
    pub command: SpoolCommand,
}

/// What to do with a spool.
#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// What waits, oldest first.
    List {
        /// Only what waits for this shard.
        #[arg(long, value_name = "NAME", default_value = "")]
        shard: String,
        /// What was given up, and is kept.
        #[arg(long)]
        dead: bool,
    },
    /// One entry, with the beginning of its message.
    Show {
        /// Its number in the list.
        entry: u64,
    },
    /// Try entries now.
    Retry {
        /// Their numbers; dead letters are tried only when named.
        #[arg(required_unless_present = "all")]
        entries: Vec<u64>,
        /// Everything that waits.
        #[arg(long, conflicts_with = "entries")]
        all: bool,
    },
    /// Drop a dead letter for good.
    Remove {
        /// Its number in `spool list --dead`.
        entry: u64,
        /// Do not ask for the number again.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs the command.
pub async fn run(args: SpoolArgs, session: &mut Session) -> Result<(), Failure> {
    let target = target(&args, session)?;
    let spool = Spool {
        client: SpoolAdminClient::new(target.channel()?),
        server: target.address,
    };
    match args.command {
        SpoolCommand::List { shard, dead } => list(&spool, shard, dead, session).await,
        SpoolCommand::Show { entry } => show(&spool, entry, session).await,
        SpoolCommand::Retry { entries, all } => try_now(&spool, entries, all, session).await,
        SpoolCommand::Remove { entry, yes } => remove(&spool, entry, yes, session).await,
    }
}

fn target(args: &SpoolArgs, session: &Session) -> Result<Target, Failure> {
    let instance = args.mx_instance.clone();
    match (&session.reach.identity, &args.mx) {
        (Some(identity), Some(mx)) => Ok(Target {
            address: mx.clone(),
            instance,
            identity: identity.clone(),
        }),
        (Some(_), None) => {
            let text = "With --identity, name the MX whose spool you mean: --mx HOST:PORT.";
            Err(Failure::Usage(text.to_owned()))
        }
        (None, Some(_)) => {
            let text = "--mx needs --identity DIR, the folder of an administrator.";
            Err(Failure::Usage(text.to_owned()))
        }
        (None, None) => {
            let layout = Layout::new(&session.reach.data);
            let address = Running::read(&layout)?.mx.to_string();
            Ok(reach::local(&layout, address, &instance))
        }
    }
}

struct Spool {
    client: SpoolAdminClient<Channel>,
    server: String,
}

async fn list(
    spool: &Spool,
    shard: String,
    dead: bool,
    session: &mut Session,
) -> Result<(), Failure> {
    let mut entries: Vec<rpc::SpoolEntry> = Vec::new();
    loop {
        let request = rpc::SpoolListRequest {
            after: entries.last().map_or(0, |entry| entry.entry),
            limit: 0,
            shard: shard.clone(),
        };
        let page = retry(PATIENCE, &spool.server, || {
            let (mut client, request) = (spool.client.clone(), request.clone());
            async move {
                match dead {
                    true => client.dead_letters(request).await,
                    false => client.list(request).await,
                }
            }
        });
        let page = page.await?.entries;
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    let entries = entries.into_iter().map(EntryView::from).collect();
    session.output.show(&Entries(entries))
}

async fn show(spool: &Spool, entry: u64, session: &mut Session) -> Result<(), Failure> {
    session.output.show(&look(spool, entry).await?)
}

async fn look(spool: &Spool, entry: u64) -> Result<EntryView, Failure> {
    let shown = retry(PATIENCE, &spool.server, || {
        let mut client = spool.client.clone();
        async move { client.show(rpc::SpoolShowRequest { entry }).await }
    });
    Ok(EntryView::from(shown.await?))
}

async fn remove(
    spool: &Spool,
    entry: u64,
    yes: bool,
    session: &mut Session,
) -> Result<(), Failure> {
    if !yes {
        // Nobody is to type anything for what is not there.
        look(spool, entry).await?;
        confirm(entry)?;
    }
    let removed = retry(PATIENCE, &spool.server, || {
        let mut client = spool.client.clone();
        async move { client.remove(rpc::SpoolRemoveRequest { entry }).await }
    });
    let removed = EntryView::from(removed.await?);
    session.output.show(&Removed(removed))
}

/// Asks for the number once more; anything else removes nothing.
fn confirm(entry: u64) -> Result<(), Failure> {
    if !terminal::is_there() {
        let text = "There is no terminal to ask on: use --yes to remove the dead letter.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let question = "This drops the message for good. The entry's number again: ";
    if terminal::ask(question)?.trim() == entry.to_string() {
        return Ok(());
    }
    let text = "That is not the same number; nothing was removed.";
    Err(Failure::Refused(text.to_owned()))
}

async fn try_now(
    spool: &Spool,
    entries: Vec<u64>,
    all: bool,
    session: &mut Session,
) -> Result<(), Failure> {
    let missing = format!(
        "Nothing of {} waits in the spool: `buzonera spool list` shows what does.",
        named(&entries)
    );
    let request = rpc::SpoolRetryRequest { entries, all };
    let reply = retry(PATIENCE, &spool.server, || {
        let (mut client, request) = (spool.client.clone(), request.clone());
        async move { client.retry(request).await }
    });
    let retried = reply.await?.targets;
    match retried > 0 || all {
        true => session.output.show(&Retried { retried }),
        false => Err(Failure::NotFound(missing)),
    }
}

/// "entry 7", "entries 7, 8".
fn named(entries: &[u64]) -> String {
    let numbers: Vec<String> = entries.iter().map(u64::to_string).collect();
    let noun = if entries.len() == 1 {
        "entry"
    } else {
        "entries"
    };
    format!("{noun} {}", numbers.join(", "))
}
