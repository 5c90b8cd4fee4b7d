//! Extended attributes of open files. The one door to the `xattr` crate.
//! Process: worker, sealed. Privileges: none. Blocks: as the disk does.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::NixPath;
use nix::errno::Errno;
use xattr::FileExt;

/// Those of security modules belong to the system: it gives every file its own, and a capability is nothing that new
/// content should take over.
const OF_THE_SYSTEM: &[u8] = b"security.";

/// listxattrat(2), since Linux 6.13; the same number on every processor. libc has no name for it yet.
pub const LIST_AT: libc::c_long = 465;

/// Has this entry of a folder any extended attributes? One call where it takes three to open it, to ask, and to close it.
/// `None` where the kernel can't say.
#[must_use]
pub fn has_any(folder: BorrowedFd<'_>, name: &[u8]) -> Option<bool> {
    let listed = name.with_nix_path(|name| {
        let (folder, no_list) = (folder.as_raw_fd(), std::ptr::null_mut::<libc::c_char>());
        // SAFETY: the name ends with a zero byte and lives as long as the call; of a list with no room nothing is written,
        // and only its length is told.
        unsafe { libc::syscall(LIST_AT, folder, name.as_ptr(), libc::AT_SYMLINK_NOFOLLOW, no_list, 0_usize) }
    });
    listed.ok().filter(|length| *length >= 0).map(|length| length > 0)
}

/// Copies the extended attributes of a file, access lists among them, to another one. Gives those that could not be
/// copied, each with the reason.
///
/// # Errors
/// When they can't be listed. A file system without any has none.
pub fn copy(from: &File, to: &File) -> io::Result<Vec<(OsString, io::Error)>> {
    let names = match from.list_xattr() {
        Err(error) if error.raw_os_error() == Some(Errno::ENOTSUP as i32) => return Ok(Vec::new()),
        names => names?,
    };
    let mut lost = Vec::new();
    for name in names.filter(|name| !name.as_bytes().starts_with(OF_THE_SYSTEM)) {
        let copied = from.get_xattr(&name).and_then(|value| value.map_or(Ok(()), |value| to.set_xattr(&name, &value)));
        lost.extend(copied.err().map(|error| (name, error)));
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_tells_whether_it_has_attributes() {
        use std::os::fd::AsFd;
        let place = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(place.path().join("a")).unwrap();
        let folder = std::fs::File::open(place.path()).unwrap();
        let has_any = || has_any(folder.as_fd(), b"a");
        // An older kernel does not say; where every file has a label, this one has it, too.
        if has_any() == Some(false) && file.set_xattr("user.origin", b"a camera").is_ok() {
            assert_eq!(has_any(), Some(true));
        }
    }

    #[test]
    fn attributes_are_copied_where_there_are_any() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        // Some file systems have none.
        if from.set_xattr("user.origin", b"a camera").is_ok() {
            assert!(copy(&from, &to).unwrap().is_empty());
            assert_eq!(to.get_xattr("user.origin").unwrap().unwrap(), b"a camera");
        } else {
            assert!(copy(&from, &to).unwrap().is_empty());
        }
    }
}
