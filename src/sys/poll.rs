//! Waiting until one of a few descriptors has something to read.
//! Process: supervisor. Privileges: none. Blocks: yes, that is what it is for.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

/// Waits until one of the descriptors can be read (or is at its end), a signal came, or the time is over; `None` waits
/// for ever. It doesn't say which: a caller that looks at all of them after each wake misses nothing.
///
/// # Errors
/// As poll(2).
pub fn wait(fds: &[BorrowedFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let mut fds: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match nix::poll::poll(&mut fds, timeout(limit)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Rounded up, for a wake one millisecond too early would turn the loop without anything to do; and a wait that is
/// longer than poll(2) can count (24 days) is cut into pieces by the caller's loop.
pub(super) fn timeout(limit: Option<Duration>) -> PollTimeout {
    match limit {
        None => PollTimeout::NONE,
        Some(limit) => {
            let milliseconds = limit.as_nanos().div_ceil(1_000_000);
            i32::try_from(milliseconds).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn wakes_for_a_byte_and_for_the_end_of_time() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        wait(&[there.as_fd()], Some(Duration::from_millis(30))).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(30), "woke before the time was over");
        here.write_all(b"x").unwrap();
        wait(&[there.as_fd()], None).unwrap();
    }

    #[test]
    fn part_of_a_millisecond_counts_as_a_whole_one() {
        assert_eq!(timeout(Some(Duration::from_nanos(1))), PollTimeout::from(1_u8));
        assert_eq!(timeout(Some(Duration::ZERO)), PollTimeout::ZERO);
        assert_eq!(timeout(Some(Duration::MAX)), PollTimeout::MAX);
    }
}
