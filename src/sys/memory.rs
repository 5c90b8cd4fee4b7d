//! Shared memory of one board: a memory file that nobody can shrink, writable for one process, read-only for the rest.
//! Process: made by the supervisor; a worker inherits the mappings. Privileges: none. Blocks: never.
//! Instead of one page for all boards (a worker could forge another's heartbeat), and instead of read-only descriptors
//! by way of /proc/self/fd (they need a mounted /proc; and no worker needs a descriptor here).
#![allow(unsafe_code, reason = "mmap has no safe form")]

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap};

use crate::stats::{Board, Service};

/// What may lie in shared memory: atomics and nothing else.
///
/// # Safety
/// Any bytes are a valid value, reading it writes nothing, it is aligned within a page, and other processes may change
/// it at any time.
pub unsafe trait Plain: 'static {}

// SAFETY: made of `AtomicU64` only.
unsafe impl Plain for Board {}
// SAFETY: made of `AtomicU64` only.
unsafe impl Plain for Service {}

/// The memory of one board. It lives as long as the process.
#[derive(Debug)]
pub struct Shared<T: Plain> {
    /// Everybody's mapping; the kernel refuses to make it writable, whoever asks.
    shared: &'static T,
    /// The writable mapping. No child has it (MADV_DONTFORK), but the one that is forked by `lend`.
    writable: NonNull<T>,
}

impl<T: Plain> Shared<T> {
    const LENGTH: NonZeroUsize = match NonZeroUsize::new(size_of::<T>()) {
        Some(length) => length,
        None => NonZeroUsize::MIN,
    };

    /// A board of zeros.
    ///
    /// # Errors
    /// As memfd_create(2), mmap(2) and fcntl(2); EINVAL for a kernel older than 5.1.
    pub fn new() -> io::Result<Self> {
        let file = memfd_create("board", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        nix::unistd::ftruncate(&file, i64::try_from(Self::LENGTH.get()).map_err(io::Error::other)?)?;
        let map = |protection| {
            // SAFETY: the kernel chooses an address that was free; the length is not zero.
            unsafe { mmap(None, Self::LENGTH, protection, MapFlags::MAP_SHARED, &file, 0) }
        };
        let writable = map(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
        Self::inherit(writable, false)?;
        // From here on nobody can change the size, which would kill readers by SIGBUS, nor map it writable once more;
        // a mapping made after this can't become writable by mprotect(2) either.
        let seals =
            SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_FUTURE_WRITE | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let shared = map(ProtFlags::PROT_READ)?.cast::<T>();
        // SAFETY: the mapping is page-aligned, holds a whole `T`, is never unmapped and can't shrink; for a `Plain`
        // any bytes that others may write are valid, and reading them writes nothing.
        let shared = unsafe { shared.as_ref() };
        Ok(Self { shared, writable: writable.cast() })
    }

    /// The board, to be read by every process.
    #[must_use]
    pub fn shared(&self) -> &'static T {
        self.shared
    }

    /// The board, to be written by the supervisor, while no worker has it.
    #[must_use]
    pub fn writable(&self) -> &T {
        // SAFETY: as for `shared`. Only the process that made this value has it: a child has nothing of its parent but
        // what its closure takes along, and that is the board that `lend` gave it.
        unsafe { self.writable.as_ref() }
    }

    /// Calls `fork` with the writable board, which the child that it makes inherits; no other child will.
    ///
    /// # Errors
    /// As madvise(2), and what `fork` gives.
    pub fn lend<C>(&self, fork: impl FnOnce(&'static T) -> io::Result<C>) -> io::Result<C> {
        Self::inherit(self.writable.cast(), true)?;
        // SAFETY: as for `shared`; the mapping is never unmapped in this process, and the child gets it too.
        let board = unsafe { self.writable.as_ref() };
        let child = fork(board);
        Self::inherit(self.writable.cast(), false)?;
        child
    }

    /// Shall a child of a fork have this mapping?
    fn inherit(mapping: NonNull<core::ffi::c_void>, yes: bool) -> io::Result<()> {
        let advice = if yes { MmapAdvise::MADV_DOFORK } else { MmapAdvise::MADV_DONTFORK };
        // SAFETY: the range is one whole mapping of ours, and the advice changes no byte of it.
        unsafe { madvise(mapping, Self::LENGTH.get(), advice) }?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, kill, wait};
    use std::process::ExitCode;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn counters_outlive_a_worker_and_its_successor_goes_on() {
        let board = Shared::<Board>::new().unwrap();
        for round in 1..=2 {
            let child = board.lend(|own| {
                fork(|| {
                    Board::add(&own.requests, 10);
                    loop {
                        std::hint::spin_loop();
                    }
                })
            });
            let child = child.unwrap();
            while board.shared().requests.load(Relaxed) < round * 10 {
                std::thread::yield_now();
            }
            kill(child);
            wait(child).unwrap();
        }
        assert_eq!(board.shared().requests.load(Relaxed), 20);
        board.writable().deaths.store(2, Relaxed);
        assert_eq!(board.shared().deaths.load(Relaxed), 2);
    }

    #[test]
    fn readers_can_not_make_their_mapping_writable() {
        let board = Shared::<Board>::new().unwrap();
        let shared = NonNull::from(board.shared()).cast();
        // SAFETY: the call is expected to fail; if it did not, nothing would write through it.
        let outcome = unsafe { nix::sys::mman::mprotect(shared, Shared::<Board>::LENGTH.get(), ProtFlags::PROT_WRITE) };
        assert_eq!(outcome, Err(nix::errno::Errno::EACCES));
    }

    #[test]
    fn worker_has_no_writable_mapping_of_another_board() {
        let (own, other) = (Shared::<Board>::new().unwrap(), Shared::<Board>::new().unwrap());
        let child = own.lend(|own| {
            fork(|| {
                Board::add(&own.requests, 1);
                // The mapping is gone here, so this is a fault.
                Board::add(&other.writable().requests, 1);
                ExitCode::SUCCESS
            })
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Killed(libc::SIGSEGV));
        assert_eq!(own.shared().requests.load(Relaxed), 1);
        assert_eq!(other.shared().requests.load(Relaxed), 0);
    }
}
