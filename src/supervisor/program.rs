//! The program that an upgrade starts: where it was called from, and what it is told by its environment.
//! Process: supervisor, and the child that becomes the new one. Trusts: the operator. Blocks: never.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::handed::UPGRADE_VARIABLE;
use crate::sys::inherited;
use crate::sys::packet::PacketEnd;
use crate::sys::process::{self, ProcessId};

/// What a program is started as, again.
pub(super) struct Program {
    /// As it was called: an upgrade of the package replaces what is there.
    pub(super) path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This program, by the path that it was called by.
    pub(super) fn own() -> Self {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let path = arguments.first().and_then(|name| called(Path::new(name))).or_else(|| std::env::current_exe().ok());
        Self { path: path.unwrap_or_default(), arguments }
    }

    /// Becomes the program, with the line to the old one. For the child of a fork; comes back with what went wrong.
    pub(super) fn exec(&self, line: &PacketEnd) -> io::Error {
        let number = match inherited::close_all_but(&[line.as_fd()]).and_then(|()| line.keep_for_exec()) {
            Ok(number) => number,
            Err(error) => return error,
        };
        let own = ProcessId::own();
        // What was meant for the old process is not for the new one.
        let is_old = |name: &OsString| {
            ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", UPGRADE_VARIABLE]
                .iter()
                .any(|old| name == old)
        };
        let had_watchdog = std::env::var_os("WATCHDOG_PID").is_some();
        let mut environment: Vec<_> = std::env::vars_os().filter(|(name, _)| !is_old(name)).collect();
        environment.push((UPGRADE_VARIABLE.into(), format!("{own}:{number}").into()));
        if had_watchdog {
            environment.push(("WATCHDOG_PID".into(), own.to_string().into()));
        }
        process::exec(&self.path, &self.arguments, &environment)
    }
}

/// The absolute path of a program as a shell would find it.
fn called(name: &Path) -> Option<PathBuf> {
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(name).ok();
    }
    let folders = std::env::var_os("PATH")?;
    // Only whether there is a file: that it can't be run, the upgrade would say.
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| std::fs::File::open(path).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_found_as_a_shell_finds_it() {
        assert_eq!(called(Path::new("/usr/sbin/fileserv")), Some("/usr/sbin/fileserv".into()));
        assert_eq!(called(Path::new("./x")), std::env::current_dir().ok().map(|here| here.join("x")));
        assert!(called(Path::new("sh")).is_some_and(|path| path.is_absolute() && path.ends_with("sh")));
        assert_eq!(called(Path::new("no-such-program-at-all")), None);
        assert!(!Program::own().path.as_os_str().is_empty());
    }
}
