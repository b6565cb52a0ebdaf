//! `buzonera local`: every tier in one process, on one machine.
//!
//! Start: lock the folder, plan the shards, issue identities, try the ports, start the tiers from
//! the directory outwards, show the screen. Stop: the other way round. When a shard has to start
//! anew, all tiers are stopped, and the program begins again.

pub mod args;
pub mod layout;
pub mod lock;
pub mod ports;
pub mod roster;
pub mod running;
pub mod screen;
pub mod shards;
mod stage;
mod tiers;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use kit::tls::PublicTls;
use wire::ids::ShardName;

use crate::commands::session::Session;
use crate::failure::Failure;
use crate::local::layout::Layout;
use crate::local::running::Running;
use crate::local::screen::Screen;
use crate::local::stage::Ending;
use crate::local::tiers::Tiers;

pub use args::LocalArgs;

/// Runs until asked to stop, or until a tier fails for good.
pub async fn run(args: LocalArgs, mut session: Session) -> Result<(), Failure> {
    args.start_log()
        .map_err(|error| Failure::Usage(format!("{error}.")))?;
    if session.reach.server.is_some() || session.reach.identity.is_some() {
        let text = "buzonera local runs here: --server and --identity are for the other commands.";
        return Err(Failure::Usage(text.to_owned()));
    }
    kit::process::keep_private();
    let layout = Layout::new(&session.reach.data);
    let _lock = lock::take(&layout)?;
    let shards = shards::plan(&layout, args.shards)?;
    identities(&args, &layout, &shards)?;
    certificates(&args)?;
    ports::check(&args.ports())?;
    // Nobody balances load in front of one machine: no lame duck.
    let shutdown = Shutdown::new(Duration::ZERO, tiers::DRAIN);
    shutdown.on_signals()?;
    let site = Site {
        args: &args,
        layout: &layout,
        shards: &shards,
    };
    match site.serve(&shutdown, &mut session).await {
        Ok(()) => {}
        Err(Ending::Failed(failure)) => return Err(failure),
        Err(Ending::Anew(why)) => return Err(begin_anew(&why)),
    }
    let stopped = format!("Stopped; everything is in {}.", layout.root().display());
    tell(&mut session, &stopped)
}

/// What is the same each time that the tiers start.
struct Site<'a> {
    args: &'a LocalArgs,
    layout: &'a Layout,
    shards: &'a [ShardName],
}

impl Site<'_> {
    /// Runs all tiers until asked to stop, or until one ends.
    async fn serve(&self, shutdown: &Shutdown, session: &mut Session) -> Result<(), Ending> {
        let started = tokio::select! {
            started = Tiers::start(self.args, self.layout, self.shards, shutdown) => started?,
            () = shutdown.triggered() => return Ok(()),
        };
        let running = Running {
            directory: started.directory,
            mx: started.mx,
            hostname: self.args.hostname.clone(),
        };
        running.write(self.layout)?;
        self.show(session)?;
        started.until(shutdown).await
    }

    fn show(&self, session: &mut Session) -> Result<(), Failure> {
        let screen = Screen {
            program: &program(),
            args: self.args,
            layout: self.layout,
            shards: self.shards,
            nearly_full: storage::space::is_nearly_full(self.layout.root())?,
        };
        tell(session, &screen.render())
    }
}

/// Becomes the same program, called the same way but for what was asked for once: there is nobody
/// else to start it, and what the tiers had open and locked is sure to be free. Returns only when
/// that cannot be done.
fn begin_anew(why: &str) -> Failure {
    tracing::warn!(why, "all tiers start anew");
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(program)
            .args(args::lasting(std::env::args_os().skip(1)))
            .exec(),
        Err(error) => error,
    };
    Failure::Refused(format!("{why} It does not start by itself: {error}."))
}

/// A reader that left, as in `buzonera local | head`, does not end the mail service.
fn tell(session: &mut Session, text: &str) -> Result<(), Failure> {
    match session.output.progress(text) {
        Err(Failure::OutputClosed) => Ok(()),
        told => told,
    }
}

/// Tries the certificates that were brought, so that a wrong one is named with its flag.
fn certificates(args: &LocalArgs) -> Result<(), Failure> {
    let Some(folder) = &args.tls else {
        return Ok(());
    };
    let tried = PublicTls::load(folder);
    tried
        .map(|_| ())
        .map_err(|error| Failure::Usage(format!("--tls cannot be used: {error}.")))
}

fn identities(args: &LocalArgs, layout: &Layout, shards: &[ShardName]) -> Result<(), Failure> {
    let cannot = |error: roster::RosterError| Failure::Refused(format!("{error}."));
    let authority = roster::authority(layout).map_err(cannot)?;
    roster::issue(&authority, layout, shards, &args.hostname).map_err(cannot)
}

/// How we were called: relative to the folder that we were called in, or by name from PATH.
fn program() -> String {
    let called = std::env::args_os()
        .next()
        .unwrap_or_else(|| "buzonera".into());
    Path::new(&called).display().to_string()
}
