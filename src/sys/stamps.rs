//! How well the change times of files tell one change from the next.
//! Process: worker, before its seal, which forbids to make a memory file. Privileges: none. Blocks: never.

use std::io;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod, fstat};

/// So many changes in a row, within some microseconds, don't fall on as many ticks of the clock.
const CHANGES: usize = 8;

/// Has each change of a file in memory a time of its own, if somebody has asked for the time of the one before? Linux does
/// so since 6.13 ("multigrain timestamps"); before, whatever happened within a tick of some milliseconds had the same
/// time. The kernel is asked, and not its version, for distributions take later work into older kernels.
///
/// # Errors
/// As memfd_create(2) and fchmod(2).
pub fn tell_changes_in_memory() -> io::Result<bool> {
    let file = memfd_create("stamps", MFdFlags::MFD_CLOEXEC)?;
    let mut times = Vec::with_capacity(CHANGES);
    for _ in 0..CHANGES {
        fchmod(&file, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let stat = fstat(&file)?;
        times.push((stat.st_ctime, stat.st_ctime_nsec));
    }
    Ok(times.is_sorted_by(|earlier, later| earlier < later))
}
