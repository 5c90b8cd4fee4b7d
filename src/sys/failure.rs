//! What a failed system call means: std has no stable name for every error number that a server must tell apart.
//! Process: any. Privileges: none. Blocks: never.

use std::io;

use nix::errno::Errno;

/// Why a file beneath a root could not be opened, as far as a client is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFailure {
    /// There is nothing of that name, or it leads out of the root, which must look the same.
    Absent,
    /// It exists, and the service user may not read it.
    Forbidden,
    /// This process, or the machine, has no descriptor or memory left; later it may work.
    Exhausted,
    /// Something is wrong with the machine.
    Broken,
}

impl OpenFailure {
    /// What this error of openat2(2) means.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let number = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        if matches!(number, Errno::ENOENT | Errno::ENOTDIR | Errno::EXDEV | Errno::ELOOP | Errno::ENAMETOOLONG) {
            Self::Absent
        } else if matches!(number, Errno::EACCES | Errno::EPERM | Errno::ENXIO) {
            // ENXIO: a socket, which can't be opened, or a device without a driver.
            Self::Forbidden
        } else if matches!(number, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::ESTALE) {
            Self::Exhausted
        } else {
            Self::Broken
        }
    }
}

/// What openat2(2) says where nothing is.
#[must_use]
pub fn absent() -> io::Error {
    Errno::ENOENT.into()
}

/// What the kernel says of a call that it does not have.
#[must_use]
pub fn no_such_call() -> io::Error {
    Errno::ENOSYS.into()
}

/// What write(2) would say where no room is left.
#[must_use]
pub fn no_room() -> io::Error {
    Errno::ENOSPC.into()
}

/// Why a file could not be written, made, renamed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFailure {
    /// This process, or the machine, has no descriptor or memory left; later it may work.
    Exhausted,
    /// The disk, or a quota, is full.
    NoRoom,
    /// The file system takes no file of that size.
    TooLarge,
    /// The service user has no right to do it, or the file system is read-only.
    Forbidden,
    /// The name is taken.
    Taken,
    /// The name is not there, or its folder is not.
    Absent,
    /// Something is wrong with the machine.
    Broken,
}

impl WriteFailure {
    /// What this error of write(2), fallocate(2), renameat2(2) or unlinkat(2) means.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let number = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        if matches!(number, Errno::ENOSPC | Errno::EDQUOT) {
            Self::NoRoom
        } else if matches!(number, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) {
            Self::Exhausted
        } else if number == Errno::EFBIG {
            Self::TooLarge
        } else if matches!(number, Errno::EACCES | Errno::EPERM | Errno::EROFS) {
            Self::Forbidden
        } else if number == Errno::EEXIST {
            Self::Taken
        } else if matches!(number, Errno::ENOENT | Errno::ENOTDIR) {
            Self::Absent
        } else {
            Self::Broken
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_the_root_looks_like_nothing() {
        let of = |number: Errno| OpenFailure::of(&io::Error::from(number));
        for number in [Errno::ENOENT, Errno::ENOTDIR, Errno::EXDEV, Errno::ELOOP, Errno::ENAMETOOLONG] {
            assert_eq!(of(number), OpenFailure::Absent, "{number}");
        }
        assert_eq!(of(Errno::EACCES), OpenFailure::Forbidden);
        assert_eq!(of(Errno::ENXIO), OpenFailure::Forbidden);
        for number in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM] {
            assert_eq!(of(number), OpenFailure::Exhausted, "{number}");
        }
        assert_eq!(of(Errno::EIO), OpenFailure::Broken);
        let of_write = |number: Errno| WriteFailure::of(&io::Error::from(number));
        assert_eq!(of_write(Errno::ENOSPC), WriteFailure::NoRoom);
        for number in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM] {
            assert_eq!(of_write(number), WriteFailure::Exhausted, "{number}");
        }
        assert_eq!(OpenFailure::of(&io::Error::other("no number")), OpenFailure::Broken);
    }
}
