//! Extended attributes of open files. The one door to the `xattr` crate.
//! Process: worker, sealed. Privileges: none. Blocks: as the disk does.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use xattr::FileExt;

/// Those of security modules belong to the system: it gives every file its own, and a capability is nothing that new
/// content should take over.
const OF_THE_SYSTEM: &[u8] = b"security.";

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

/// Is it certain that a file has no extended attributes to be copied?
#[must_use]
pub fn has_none(file: &File) -> bool {
    file.list_xattr().is_ok_and(|mut names| names.all(|name| name.as_bytes().starts_with(OF_THE_SYSTEM)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_copied_where_there_are_any() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        // Some file systems have none.
        if from.set_xattr("user.origin", b"a camera").is_ok() {
            assert!(!has_none(&from) && has_none(&to));
            assert!(copy(&from, &to).unwrap().is_empty());
            assert_eq!(to.get_xattr("user.origin").unwrap().unwrap(), b"a camera");
        } else {
            assert!(copy(&from, &to).unwrap().is_empty());
        }
    }
}
