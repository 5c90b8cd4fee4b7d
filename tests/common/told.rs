//! A server with a pid file, and what `fileserv --signal` says to it.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::server::binary;
use super::{Server, Site};

/// Where the pid file of a site's server is.
pub(crate) fn pid_file(site: &Site) -> PathBuf {
    site.beside("log/fileserv.pid")
}

/// The line of a configuration that names it.
pub(crate) fn pid_file_line(site: &Site) -> String {
    format!("pid_file = {:?}\n", pid_file(site))
}

/// The process that the pid file names now, if there is one.
pub(crate) fn pid_in(site: &Site) -> Option<u32> {
    std::fs::read_to_string(pid_file(site)).ok()?.trim().parse().ok()
}

/// What the command said, and whether it ended with success.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Server {
    /// `fileserv --signal WHAT -c FILE`.
    pub(crate) fn tell(&self, what: &str) -> Output {
        let mut command = Command::new(binary());
        command.arg("--signal").arg(what).arg("-c").arg(self.config_file()).output().unwrap()
    }

    /// The same, and it does what it is told.
    pub(crate) fn obeys(&self, what: &str) {
        let output = self.tell(what);
        assert_eq!(output.status.code(), Some(0), "{what}: {}\n{}", said(&output), self.said());
    }
}
