//! A real etcd 3.6 on ephemeral ports of the loopback, gone with its test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use buzonera_directory::store::Store;
use buzonera_directory::store::etcd::{Etcd, Options};
use kit::authority::STORE_CLIENT_NAME;
use tempfile::TempDir;

use crate::store_suite::PATIENCE;

/// One running etcd of one member.
pub(crate) struct Server {
    child: Child,
    scheme: &'static str,
    port: u16,
    _data: TempDir,
}

/// The etcd that tests share, each with a prefix of its own; it dies with this process.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (started, server) = mpsc::channel();
        // The kernel ends etcd when the thread that started it ends, so this one never does.
        std::thread::spawn(move || {
            started.send(Server::start()).unwrap();
            loop {
                std::thread::park();
            }
        });
        server.recv().unwrap()
    })
}

impl Server {
    /// Starts an etcd; it answers as soon as its first caller is patient enough.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more flags.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let unsynced = ["--unsafe-no-fsync"];
        let flags: Vec<&str> = unsynced.iter().chain(flags).copied().collect();
        Self::spawn("http", &flags)
    }

    /// One that syncs what it writes, as etcd does everywhere but in these tests.
    pub(crate) fn start_synced() -> Self {
        Self::spawn("http", &[])
    }

    /// From now on, and until the answer is dropped, each of its syncs takes so long.
    pub(crate) fn slow_disk(&self, sync: Duration) -> SlowDisk {
        let delay = sync.as_micros();
        let mut strace = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
            ])
            .args(["-e", "trace=fdatasync,fsync", "-e"])
            .arg(format!("inject=fdatasync,fsync:delay_exit={delay}"))
            .args(["-p", &self.pid().to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv (util-linux) starts strace: {error}"));
        // Attached, it is what traces etcd's threads.
        while !self.is_traced() {
            if let Ok(Some(ended)) = strace.try_wait() {
                panic!("this test needs strace (Debian's package strace), which ended: {ended}");
            }
            std::thread::yield_now();
        }
        SlowDisk { strace }
    }

    fn is_traced(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status"));
        let traced = |status: String| !status.contains("TracerPid:\t0\n");
        tasks.flatten().all(|task| status(task).is_ok_and(traced))
    }

    /// One that clients reach by TLS only, with a certificate of the authority in `folder`
    /// (`ca.pem`, beside its own `cert.pem` and `key.pem`).
    pub(crate) fn start_tls(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name).display().to_string();
        let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        let ours = ["--cert-file", &cert, "--key-file", &key];
        let theirs = [
            "--client-cert-auth",
            "--trusted-ca-file",
            &ca,
            "--client-cert-allowed-hostname",
            STORE_CLIENT_NAME,
        ];
        let unsynced = ["--unsafe-no-fsync"];
        let flags: Vec<&str> = ours.into_iter().chain(theirs).chain(unsynced).collect();
        Self::spawn("https", &flags)
    }

    fn spawn(scheme: &'static str, flags: &[&str]) -> Self {
        let binary = binary();
        let data = TempDir::new().unwrap();
        let (port, peer) = (free_port(), free_port());
        let client = format!("{scheme}://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{peer}");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&binary)
            .args(["--name", "test", "--log-level", "error"])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .arg("--data-dir")
            .arg(data.path())
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("test={peer}")])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv (util-linux) starts etcd: {error}"));
        Self {
            child,
            scheme,
            port,
            _data: data,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A store under `prefix`, once etcd answers.
    pub(crate) async fn store(&self, prefix: &str) -> Etcd {
        self.store_with(self.options(prefix)).await
    }

    /// With more patience than a directory has: the machine may be busy.
    pub(crate) fn options(&self, prefix: impl Into<String>) -> Options {
        let mut options = Options::new(vec![self.endpoint()], prefix);
        options.read_timeout = PATIENCE;
        options.write_timeout = PATIENCE;
        options.attempt_timeout = PATIENCE / 2;
        options.stall_timeout = PATIENCE;
        options
    }

    pub(crate) async fn store_with(&self, options: Options) -> Etcd {
        let store = Etcd::new(options).unwrap();
        for _ in 0..20 {
            if store.head().await.is_ok() {
                return store;
            }
        }
        panic!("etcd does not answer at {}", self.endpoint());
    }

    /// Forgets everything before `revision`.
    pub(crate) fn compact(&self, revision: u64) {
        let body = format!("{{\"revision\": \"{revision}\", \"physical\": true}}");
        self.post("/v3/kv/compaction", &body);
    }

    /// Does to the alarm of a full database what `action` says: ACTIVATE or DEACTIVATE.
    pub(crate) fn alarm_of_space(&self, action: &str) {
        let body = format!("{{\"action\": \"{action}\", \"alarm\": \"NOSPACE\"}}");
        self.post("/v3/maintenance/alarm", &body);
    }

    /// By etcd's JSON gateway.
    fn post(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// While it lives, an etcd's disk is slow.
pub(crate) struct SlowDisk {
    strace: Child,
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // strace lets etcd go when it ends; it may have ended with it.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The first etcd 3.6 of: `BUZONERA_ETCD`, the workspace's `.e2e/bin/etcd`, the one on PATH.
fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.e2e/bin/etcd");
    let named = std::env::var_os("BUZONERA_ETCD").map(PathBuf::from);
    let candidates = named.into_iter().chain([built, PathBuf::from("etcd")]);
    let fits = |path: &PathBuf| {
        let output = Command::new(path).arg("--version").output();
        output.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).contains("etcd Version: 3.6.")
        })
    };
    candidates.into_iter().find(fits).expect(
        "these tests need an etcd 3.6: `cargo e2e test` builds one into .e2e/bin; or name one in \
         the environment variable BUZONERA_ETCD, or put it on PATH",
    )
}
