//! What the `main` of every tier does: settings, umask, logs, signals, admin port, run, drain.

use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::admin::{self, Admin};
use crate::config::{self, ConfigError, Program, Raw, Settings};
use crate::lifecycle::{DRAIN, LAME_DUCK, Shutdown};
use crate::listener::{BindError, ListenAt};
use crate::telemetry::{self, LogFormat, TelemetryError};

/// What a tier is given beside its own settings.
#[derive(Debug, Clone)]
pub struct Process {
    /// Where it registers metrics and readiness.
    pub admin: Admin,
    /// When it ends.
    pub shutdown: Shutdown,
}

crate::settings! {
    /// The settings that every process has.
    struct ProcessSettings {
        /// Where /livez, /readyz and /metrics are, in plain HTTP.
        admin_listen: ListenAt as "ADDRESS:PORT|*:PORT" =
            SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)).into(),
        /// How logs are written.
        log: LogFormat as "text|json",
        /// After SIGTERM, how long to go on accepting connections.
        lame_duck: Duration as DURATION = LAME_DUCK,
        /// After that, how long sessions may go on until they are cut; give the process the sum of
        /// both and 5s before SIGKILL.
        drain: Duration as DURATION = DRAIN,
    }
}

/// Beside the ports that mail clients know and above those that need privileges.
const ADMIN_PORT: u16 = 9400;

impl Settings for ProcessSettings {}

/// Why a process did not come up or went down.
#[derive(Debug, thiserror::Error)]
enum Failure<E> {
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error("cannot watch for signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("{0}")]
    Run(E),
}

/// Wrong usage.
const USAGE: u8 = 2;

/// Reads the settings and runs a tier until it ends: the whole of its `main`. Exit codes: 0 stopped
/// as asked, 1 failed, 2 wrong settings.
pub fn main<C, Run, Ran, E>(program: &Program, run: Run) -> ExitCode
where
    C: Settings,
    Run: FnOnce(C, Process) -> Ran,
    Ran: Future<Output = Result<(), E>>,
    E: std::error::Error,
{
    main_from(program, std::env::args_os(), run)
}

/// As [`main`], with the command line given; it begins with the program's name.
pub fn main_from<C, Run, Ran, E>(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
    run: Run,
) -> ExitCode
where
    C: Settings,
    Run: FnOnce(C, Process) -> Ran,
    Ran: Future<Output = Result<(), E>>,
    E: std::error::Error,
{
    let (settings, config) = match load::<C>(program, args) {
        Ok(loaded) => loaded,
        Err(ConfigError::Usage(usage)) => return print_usage(&usage),
        Err(error) => {
            say(program, &error);
            return ExitCode::from(USAGE);
        }
    };
    match start(settings, config, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(program, &error);
            ExitCode::FAILURE
        }
    }
}

/// A tier's own settings, as [`main_from`] reads them: for whoever writes such a command line and
/// wants to know whether it is understood.
pub fn read<C: Settings>(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
) -> Result<C, ConfigError> {
    load(program, args).map(|(_, config)| config)
}

fn load<C: Settings>(
    program: &Program,
    args: impl IntoIterator<Item = OsString>,
) -> Result<(ProcessSettings, C), ConfigError> {
    let parts = vec![
        config::describe::<C>(),
        config::describe::<ProcessSettings>(),
    ];
    let mut raw = Raw::read(program, parts, args)?;
    let loaded = (raw.take(), raw.take());
    raw.finish()?;
    match loaded {
        (Some(settings), Some(config)) => Ok((settings, config)),
        // `finish` has returned every problem, and without one there are values.
        _ => Err(ConfigError::Settings(Vec::new())),
    }
}

fn start<C, Run, Ran, E>(settings: ProcessSettings, config: C, run: Run) -> Result<(), Failure<E>>
where
    Run: FnOnce(C, Process) -> Ran,
    Ran: Future<Output = Result<(), E>>,
{
    keep_private();
    telemetry::init(settings.log)?;
    block_on(async {
        let shutdown = Shutdown::new(settings.lame_duck, settings.drain);
        shutdown.on_signals().map_err(Failure::Signals)?;
        let listener = admin::bind(settings.admin_listen, "--admin-listen")?;
        let process = Process {
            admin: Admin::default(),
            shutdown: shutdown.clone(),
        };
        let serving = admin::serve(listener, process.admin.clone(), shutdown.clone());
        tokio::spawn(serving);
        run(config, process).await.map_err(Failure::Run)?;
        // A tier that ended by itself takes the rest with it.
        shutdown.trigger_now();
        if let Err(cut) = shutdown.drained().await {
            tracing::warn!("{cut}");
        }
        Ok(())
    })
    .map_err(Failure::Runtime)?
}

/// Runs a program's work to its end. Threads that then still wait for a disk are not waited for:
/// nobody is told any more what they do.
pub fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Makes what the process creates from now on its user's alone: mail and keys are nobody else's on
/// the machine. Who is not started by [`main`] calls it before its first file.
pub fn keep_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

fn print_usage(usage: &clap::Error) -> ExitCode {
    // Nothing is left to tell when even this cannot be printed.
    let _ = usage.print();
    ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(USAGE))
}

fn say(program: &Program, error: &dyn std::fmt::Display) {
    // Nothing is left to tell when even this cannot be printed.
    let _ = writeln!(std::io::stderr(), "{}: {error}", program.name);
}
