//! Resource limits of a process (setrlimit(2)).
//! Process: both. Privileges: to raise a hard limit CAP_SYS_RESOURCE, else none. Blocks: never.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process and its children open as many files as they may, and `wanted` if the privileges suffice. Gives
/// the limit that holds now.
///
/// # Errors
/// As getrlimit(2) and setrlimit(2).
pub fn allow_open_files(wanted: u64) -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// How many files this process may have open.
#[must_use]
pub fn open_files() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

/// No core is ever written: it would hold what clients sent, and be written outside the seal.
///
/// # Errors
/// As setrlimit(2).
pub fn forbid_core() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
}

/// From now on this process can start neither a thread nor a process, whatever else lets it.
///
/// # Errors
/// As setrlimit(2).
pub fn forbid_processes() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_NPROC, 0, 0)?)
}

/// The size of a page of memory in bytes.
#[must_use]
pub fn page_bytes() -> u64 {
    const USUAL: u64 = 4096;
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, wait};
    use std::process::ExitCode;

    #[test]
    fn limits_are_set() {
        let child = fork(|| {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            assert_eq!(allow_open_files(1).unwrap(), hard);
            assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
            assert_eq!(open_files() as u64, hard);
            forbid_core().unwrap();
            assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
            ExitCode::SUCCESS
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }
}
