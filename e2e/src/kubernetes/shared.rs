//! One API of Kubernetes for all tests of a program, since it takes seconds to start.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context as _, Result, anyhow};

use super::access::Access;
use super::plane::Plane;

/// Started when the first test asks for it. It ends with this program, whatever ends that.
pub fn access() -> Result<&'static Access> {
    static STARTED: OnceLock<Result<Access, String>> = OnceLock::new();
    let started = STARTED.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    started.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Tests' threads end with their tests, and Linux would end the processes with them: so they have a
/// thread of their own.
fn start() -> Result<Access> {
    let (tell, told) = sync_channel(1);
    let keep = move || {
        if let Err(error) = keep(&tell) {
            // Nobody waits any more when this cannot be told.
            let _ = tell.send(Err(error));
        }
    };
    std::thread::Builder::new()
        .name("kubernetes".to_owned())
        .spawn(keep)?;
    told.recv().context("the thread that keeps it ended")?
}

fn keep(tell: &SyncSender<Result<Access>>) -> Result<()> {
    let folder = tempfile::tempdir()?.keep();
    let _remover = remove_after_us(&folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plane = runtime.block_on(Plane::start(&folder))?;
    tell.send(Ok(plane.access().clone()))?;
    loop {
        std::thread::park();
    }
}

/// Values of a static are never dropped. So a shell waits for the end of its input, which is ours,
/// and removes the folder; what still ends may write a moment longer.
fn remove_after_us(folder: &Path) -> Result<std::process::Child> {
    let script = r#"read -r _; for try in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$0" && exit; done"#;
    Command::new("sh")
        .args(["-c", script])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("sh does not start")
}
