//! The seal on files, ports and signals (Landlock): from here on a worker sees its document roots and nothing else.
//! Process: worker, on its last steps before the first client. Trusts: its configuration. Blocks: never.
//! It binds the calling thread and the threads that this starts later, so it comes before the helper threads do.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::grants::Grants;
use crate::config::Sandbox;
use crate::sys::landlock::kernel_abi;

/// The oldest interface whose rules for files leave no way out: before it, links across folders were not covered.
/// Linux 5.19; Debian 12 has it.
const REQUIRED_ABI: u32 = 2;
/// The newest interface that the crate knows; Linux 7.0 and later have it.
const NEWEST_ABI: ABI = ABI::V9;
/// Since this one TCP is covered (Linux 6.7).
const NETWORK_ABI: u32 = 4;
/// Since this one signals and abstract Unix sockets are covered (Linux 6.12).
const SCOPE_ABI: u32 = 6;

/// What the seal of this worker enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    files: Result<Files, String>,
    system_calls: Result<usize, String>,
}

/// What Landlock enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    abi: u32,
    /// Beneath how many folders may be read.
    roots: usize,
    /// Beneath how many may be written.
    writable: usize,
    /// How many that should be writable were not there.
    missing: usize,
}

/// A folder, and what a worker may do beneath it: the rules of the kernel add up, so a folder within another one has the
/// rights of both.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'f> {
    /// Any descriptor of it.
    pub fd: BorrowedFd<'f>,
    /// What may be done.
    pub right: Right,
}

/// What may be done beneath a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Read files and list folders.
    Read,
    /// Also make a new file, write it, put it in the place of another in the same folder, remove it.
    Write,
    /// And make folders.
    WriteAndMakeFolders,
    /// Speak to Unix sockets by their paths: to syslog, after the daemon has made its socket anew.
    Speak,
}

/// Why a worker can't be sealed as its configuration wants.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The kernel has no Landlock, or it is switched off.
    #[error(
        "this kernel has no Landlock, or it is switched off: Linux 5.19 or newer is needed, with landlock among the \
         modules of its lsm= parameter; sandbox = \"best-effort\" serves without it"
    )]
    NoLandlock,
    /// The kernel's Landlock is too old.
    #[error(
        "this kernel's Landlock (ABI {0}) can't forbid links and renames across folders: ABI {REQUIRED_ABI} is needed \
         (Linux 5.19); sandbox = \"best-effort\" serves with what there is"
    )]
    TooOld(u32),
    /// Somebody forbids the calls of Landlock. That says nothing of the kernel.
    #[error(
        "Landlock is refused ({0}): a system call filter of the service manager or container forbids it; allow \
         landlock_create_ruleset, landlock_add_rule and landlock_restrict_self"
    )]
    Refused(io::Error),
    /// The rules were not taken.
    #[error("the Landlock rules were not taken: {0}")]
    Rules(#[from] RulesetError),
    /// They were taken and are not enforced.
    #[error("the Landlock rules for files are not enforced")]
    NotEnforced,
    /// The system call filter was not taken.
    #[error("the system call filter was not taken: {0}")]
    Filter(String),
}

/// Restricts this thread and all that it will start: files beneath the roots may be read, and written where an access
/// rule lets somebody write; no TCP port may be bound or connected to; no process outside may be sent a signal or
/// reached by an abstract socket.
///
/// # Errors
/// With `Sandbox::Required` whatever keeps the rules for files from being enforced; otherwise none.
pub fn seal_filesystem(grants: &Grants, mode: Sandbox) -> Result<Seal, SealError> {
    let files = match mode {
        Sandbox::Off => Err("switched off".to_owned()),
        Sandbox::Required => Ok(restrict(grants, REQUIRED_ABI)?),
        Sandbox::BestEffort => restrict(grants, 1).map_err(|error| error.to_string()),
    };
    let system_calls = if mode == Sandbox::Off { "switched off" } else { "none yet" };
    Ok(Seal { files, system_calls: Err(system_calls.to_owned()) })
}

fn restrict(grants: &Grants, required: u32) -> Result<Files, SealError> {
    let abi = match kernel_abi() {
        Ok(Some(abi)) if abi >= required => abi,
        Ok(Some(abi)) => return Err(SealError::TooOld(abi)),
        Ok(None) => return Err(SealError::NoLandlock),
        Err(error) => return Err(SealError::Refused(error)),
    };
    let grants_of: Vec<Grant<'_>> = grants.iter().collect();
    match enforce(&grants_of)?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            let of = |right: &[Right]| grants_of.iter().filter(|grant| right.contains(&grant.right)).count();
            let writable = of(&[Right::Write, Right::WriteAndMakeFolders]);
            Ok(Files { abi, roots: of(&[Right::Read]), writable, missing: grants.missing() })
        }
        RulesetStatus::NotEnforced => Err(SealError::NotEnforced),
    }
}

/// Every right that the crate knows is handled, that is: forbidden unless a rule allows it. What the kernel is too old
/// to know is left out (the crate's best effort), for `restrict` has seen that it knows enough.
fn enforce(grants: &[Grant<'_>]) -> Result<RestrictionStatus, RulesetError> {
    let rules = grants.iter().map(|grant| Ok::<_, RulesetError>(PathBeneath::new(grant.fd, rights(grant.right))));
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST_ABI))?
        .handle_access(AccessNet::from_all(NEWEST_ABI))?
        .scope(Scope::from_all(NEWEST_ABI))?
        .create()?
        .add_rules(rules)?
        .restrict_self()
}

/// What the kernel is told. Never to make links, devices or sockets, nor to cut a file off (a file is replaced whole or
/// not at all), nor to run a program, nor what devices do of their own (`IoctlDev`).
fn rights(right: Right) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile;
    match right {
        Right::Read => read,
        Right::Write => read | write,
        Right::WriteAndMakeFolders => read | write | AccessFs::MakeDir,
        Right::Speak => AccessFs::ResolveUnix.into(),
    }
}

impl Seal {
    /// Notes what came of the system call filter: how many calls it allows.
    ///
    /// # Errors
    /// With `Sandbox::Required` that the filter wasn't taken; otherwise none.
    pub fn add_filter(&mut self, filter: Result<usize, SealError>, mode: Sandbox) -> Result<(), SealError> {
        self.system_calls = match (filter, mode) {
            (Err(error), Sandbox::Required) => return Err(error),
            (filter, _) => filter.map_err(|error| error.to_string()),
        };
        Ok(())
    }
}

impl fmt::Display for Seal {
    /// One line of words for the start-up log and `/stats`: what is enforced, and by name what is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.files {
            Ok(files) => files.fmt(f)?,
            Err(reason) => write!(f, "NO Landlock ({reason})")?,
        }
        match &self.system_calls {
            Ok(count) => write!(f, "; seccomp: {count} system calls, no new process, program or socket"),
            Err(reason) => write!(f, "; NO seccomp ({reason})"),
        }
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { abi, roots, writable, missing } = *self;
        write!(f, "Landlock ABI {abi}: files beneath ")?;
        match roots {
            1 => f.write_str("the root may be read")?,
            _ => write!(f, "{roots} roots may be read")?,
        }
        match writable {
            0 => f.write_str(", none written")?,
            1 => f.write_str(", beneath 1 folder written")?,
            _ => write!(f, ", beneath {writable} folders written")?,
        }
        if missing > 0 {
            write!(f, " ({missing} more not there)")?;
        }
        let said = |since, words, missing| if self.abi >= since { words } else { missing };
        f.write_str(said(NETWORK_ABI, ", no TCP bind or connect", ", TCP left to seccomp"))?;
        f.write_str(said(SCOPE_ABI, ", no signal or abstract socket to others", ", signals left to seccomp"))
    }
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
