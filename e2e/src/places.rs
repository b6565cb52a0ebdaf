//! Where things are: the workspace, and its ignored folder `.e2e`.

use std::path::{Path, PathBuf};

/// The workspace's top folder.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Links to tools, demos, logs of failed tests; ignored by git.
pub fn scratch() -> PathBuf {
    workspace().join(".e2e")
}

/// What outlives a clone: programs that take minutes to build. `BUZONERA_CACHE` chooses another
/// folder than `buzonera` in the user's cache.
pub fn cache() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let users = || named("HOME").map(|home| home.join(".cache"));
    let ours = || {
        named("XDG_CACHE_HOME")
            .or_else(users)
            .map(|all| all.join("buzonera"))
    };
    let found = named("BUZONERA_CACHE").or_else(ours);
    found.unwrap_or_else(|| scratch().join("cache"))
}

/// Links to them.
pub fn tools() -> PathBuf {
    scratch().join("bin")
}

/// The first program of that name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// An etcd: the one that was built, or the first on PATH.
pub fn etcd() -> Option<PathBuf> {
    let built = tools().join("etcd");
    built.is_file().then_some(built).or_else(|| on_path("etcd"))
}
