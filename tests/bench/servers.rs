//! The two servers on the same files, each started as its users would start it for speed.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The files that both serve.
pub(crate) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn make() -> Self {
        let folder = tempfile::Builder::new().prefix("fileserv-bench-").tempdir().expect("a folder for the files");
        let site = Self { folder };
        std::fs::create_dir(site.root()).expect("a root");
        for (name, bytes) in [("1k", 1024), ("10k", 10 * 1024), ("100k", 100 * 1024)] {
            std::fs::write(site.root().join(name), vec![b'x'; bytes]).expect("a file");
        }
        // As root both servers change to users of their own, who must get through.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(site.folder.path(), std::fs::Permissions::from_mode(0o755)).expect("open to all");
        site
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Which server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Fileserv,
    Nginx,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fileserv => "fileserv",
            Self::Nginx => "nginx",
        }
    }
}

/// A server that runs; dropped, it is stopped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    pub(crate) fn start(kind: Kind, site: &Site) -> Self {
        let address = free_address();
        let mut command = match kind {
            Kind::Fileserv => fileserv(address, site),
            Kind::Nginx => nginx(address, site),
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let running = Self { child: child.expect("the server starts"), address };
        running.await_ready();
        running
    }

    fn await_ready(&self) {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() || self.workers().len() < 2 {
            assert!(begin.elapsed() < Duration::from_secs(20), "the server does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Process ids of the workers.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Server and client share one core, so that no figure depends on which two cores the machine gave us.
pub(crate) fn on_one_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

fn fileserv(address: SocketAddr, site: &Site) -> Command {
    let mut command = on_one_core(env!("CARGO_BIN_EXE_fileserv"));
    // The limits are made wide enough for both servers to hold every connection of the idle scenario.
    command.args(["--listen", &address.to_string(), "--workers", "2", "--access-log", "off"]);
    command.args(["--set", "limits.connections=20000", "--set", "limits.requests_per_connection=1000000000"]);
    command.arg(site.root());
    command
}

fn nginx(address: SocketAddr, site: &Site) -> Command {
    let config = site.beside("nginx.conf");
    std::fs::write(&config, nginx_config(address, &site.root(), &site.beside("nginx.pid"))).expect("a configuration");
    let mut command = on_one_core("nginx");
    command.arg("-c").arg(config);
    command
}

fn nginx_config(address: SocketAddr, root: &Path, pid: &Path) -> String {
    format!(
        "daemon off; worker_processes 2; worker_rlimit_nofile 40000; pid {pid}; error_log /dev/null crit;
         events {{ worker_connections 20000; }}
         http {{
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
             open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s; etag on;
             types {{ }} default_type application/octet-stream;
             server {{ listen {address} backlog=4096; location / {{ root {root}; }} }}
         }}\n",
        pid = pid.display(),
        root = root.display(),
    )
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number")
}
