//! `--signal`: telling a running server what to do, and waiting for what comes of it.
//! Process: one of its own, with the rights of the operator. Trusts: the pid file, if somebody holds its lock. Blocks:
//! until the server has answered or ended; who can't wait for a drain interrupts it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::{Outcomes, Task, journal_path};
use crate::cli::Wish;
use crate::config::{self, ConfigError, Source};
use crate::sys::credentials;
use crate::sys::held::{Held, Telling};
use crate::sys::lock_file::LockFile;

/// How often the file that tells of outcomes is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Why the server was not told, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It names no pid file.
    #[error("{0} names no pid file, by which the server could be found: set pid_file there, or give --pid-file")]
    NoPidFile(String),
    /// The server does not run.
    #[error("no server runs: {}", .0)]
    NotRunning(String),
    /// The pid file can't be read.
    #[error("can't read the pid file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file was made by somebody who is not the server.
    #[error(
        "the pid file {} belongs to the user {owner}, but process {pid}, which it names, to another one ({user}): it is \
         not signalled. Remove the file, and start the server again where nobody else can make one", path.display()
    )]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// The process that it names.
        pid: u32,
        /// Whose that is.
        user: u32,
    },
    /// It must not be told by this user.
    #[error("can't signal process {pid}: {source}")]
    Refused {
        /// The server.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// It did, and it went wrong.
    #[error("the {what} changes nothing: {why}")]
    Failed {
        /// What was wished.
        what: &'static str,
        /// What the server says.
        why: String,
    },
    /// It ended meanwhile.
    #[error("the server ended before the {0} was done")]
    Ended(&'static str),
}

/// Tells the server of this configuration; gives a line to print when it is done.
///
/// # Errors
/// Why it was not.
pub fn ask(wish: Wish, source: &Source) -> Result<String, AskError> {
    let path = config::pid_file(source)?.ok_or_else(|| AskError::NoPidFile(source.name().to_owned()))?;
    let server = Server::find(&path)?;
    let before = outcomes(&path);
    server.tell(wish)?;
    let pid = server.pid;
    match wish {
        Wish::Reload => await_task(&path, server, Task::Reload, &before, "reload"),
        Wish::Upgrade => await_task(&path, server, Task::Upgrade, &before, "upgrade"),
        Wish::Reopen => Ok(format!("process {pid} opens its logs again")),
        Wish::Stop | Wish::Quit => {
            while !server.held.ends_within(Duration::from_secs(60)).map_err(unreadable(&path))? {}
            Ok(format!("process {pid} has ended"))
        }
    }
}

/// The process that holds the pid file.
struct Server {
    pid: u32,
    held: Held,
}

impl Server {
    fn find(path: &Path) -> Result<Self, AskError> {
        let absent = || AskError::NotRunning(format!("there is no {}", path.display()));
        let lock = LockFile::look(path).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound { absent() } else { unreadable(path)(source) }
        })?;
        let not_running = |words: &str| AskError::NotRunning(format!("{} {words}", path.display()));
        loop {
            if !lock.is_locked().map_err(unreadable(path))? {
                return Err(not_running("is locked by nobody"));
            }
            let text = lock.read().map_err(unreadable(path))?;
            let pid: u32 = text.trim().parse().map_err(|_| not_running("names no process yet, or no more"))?;
            let gone = |_| not_running(&format!("names process {pid}, which is not there"));
            let held = Held::find(pid).map_err(gone)?;
            let owner = lock.owner().map_err(unreadable(path))?;
            // Root's rights are not lent to whoever can lay a file there: only root and the server itself may name it.
            match held.user(pid) {
                Ok(Some(user)) if owner != 0 && owner != user => {
                    return Err(AskError::Foreign { path: path.to_owned(), owner, pid, user });
                }
                Ok(_) => {}
                // Where `/proc` hides processes (ProtectProc= of systemd), others than root can't know. They have
                // nothing to lend: the kernel lets them signal what is theirs, and nothing else.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !credentials::is_root() => {}
                Err(error) => return Err(unreadable(path)(error)),
            }
            // The process that was found is the one that is meant only if the file still says so.
            if lock.read().map_err(unreadable(path))? == text {
                return Ok(Self { pid, held });
            }
        }
    }

    fn tell(&self, wish: Wish) -> Result<(), AskError> {
        let signal = match wish {
            Wish::Reload => Telling::Hangup,
            Wish::Upgrade => Telling::User2,
            Wish::Reopen => Telling::User1,
            Wish::Stop => Telling::Terminate,
            Wish::Quit => Telling::Quit,
        };
        self.held.tell(signal).map_err(|source| AskError::Refused { pid: self.pid, source })
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> AskError {
    let path = path.to_owned();
    move |source| AskError::Unreadable { path, source }
}

/// What the server tells now; nothing if it is just writing.
fn outcomes(path: &Path) -> Outcomes {
    // A server that could not write it, for the disk was full, leaves it empty.
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match LockFile::look(&journal_path(path)).and_then(|journal| journal.read()) {
            Ok(text) if !text.is_empty() => {
                if let Some(outcomes) = Outcomes::parse(&text) {
                    return outcomes;
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Outcomes::default()
}

/// Waits until a task that was begun after `before` is done.
fn await_task(
    path: &Path,
    mut server: Server,
    task: Task,
    before: &Outcomes,
    what: &'static str,
) -> Result<String, AskError> {
    let begun = before.of(task).begun;
    loop {
        let has_ended = server.held.ends_within(LOOK_INTERVAL).map_err(unreadable(path))?;
        let outcomes = outcomes(path);
        let progress = outcomes.of(task);
        if progress.done > begun {
            if progress.failure.is_empty() {
                return Ok(format!("the {what} is done: process {} serves", Server::find(path)?.pid));
            }
            return Err(AskError::Failed { what, why: progress.failure.clone() });
        }
        if has_ended {
            // After an upgrade another one holds the file, which has been handed the wish, too; it may just be about to
            // write its number there.
            let lock = LockFile::look(path).map_err(unreadable(path))?;
            if !lock.is_locked().map_err(unreadable(path))? {
                return Err(AskError::Ended(what));
            }
            match Server::find(path) {
                Ok(now) if now.pid != server.pid => server = now,
                Ok(_) | Err(_) => std::thread::sleep(LOOK_INTERVAL),
            }
        }
    }
}
