//! A listing as a manifest: the digest of each file of the folder, in the lines that `sha256sum -c` reads.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: as the disk does.
//! Fails with: errors of the disk, and an error when a file changes under its digest or the folder has too many: a
//! manifest can't say that it is a part, or of two minds.

use std::io;

use super::entries::{Entries, Reader};
use crate::config::{AccessRules, Verb};
use crate::content::sha256::{DIGEST_PIECE_BYTES, FileDigest};
use crate::message::{BodySource, Progress, Visitor};
use crate::sys::failure::OpenFailure;
use crate::sys::file::{FileKind, identity, open_beneath};

/// Files begun in one piece of work, if their contents don't end it earlier; each costs some system calls.
const FILES_A_PIECE: usize = 32;

/// A manifest in the making: first every entry is read, for they must be in order; then file after file is digested.
pub(super) struct Manifest {
    reader: Reader,
    /// Who may read which of the files.
    access: AccessRules,
    /// Who asks.
    visitor: Visitor,
    /// What has been read, once all has.
    entries: Option<Entries>,
    /// The file whose turn it is.
    current: Option<FileDigest>,
    /// The buffer of the last digest, for the next one.
    buf: Vec<u8>,
}

impl Manifest {
    pub(super) fn new(reader: Reader, access: AccessRules, visitor: Visitor) -> Self {
        Self { reader, access, visitor, entries: None, current: None, buf: Vec::new() }
    }

    /// Begins with the next file; false if there is none. A file that has gone meanwhile, or may not be read, is not in
    /// the manifest, as it is not to be had.
    fn begin_next(&mut self) -> io::Result<bool> {
        let Some(entries) = &mut self.entries else { return Ok(false) };
        while let Some(entry) = entries.take_first() {
            let path = self.reader.path_of(&entry.name);
            if entry.is_folder || !self.access.verbs(&path, &self.visitor).contains(Verb::Read) {
                continue;
            }
            let file = match open_beneath(self.reader.root(), &path) {
                Ok(file) => file,
                Err(error) => match OpenFailure::of(&error) {
                    OpenFailure::Absent | OpenFailure::Forbidden => continue,
                    OpenFailure::Exhausted | OpenFailure::Broken => return Err(error),
                },
            };
            let identity = identity(&file)?;
            if identity.kind == FileKind::Regular {
                self.current = Some(FileDigest::new(file, identity, &entry.name, std::mem::take(&mut self.buf)));
                return Ok(true);
            }
        }
        if entries.is_cut() {
            return Err(io::Error::other("the folder has more entries than can be listed"));
        }
        Ok(false)
    }
}

impl BodySource for Manifest {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        if self.entries.is_none() {
            self.entries = self.reader.read()?;
            return Ok(Progress::More);
        }
        let mut bytes = 0;
        for _ in 0..FILES_A_PIECE {
            if self.current.is_none() && !self.begin_next()? {
                return Ok(Progress::End);
            }
            let Some(digest) = &mut self.current else { continue };
            bytes += digest.file_bytes();
            if digest.fill(out)? == Progress::More {
                return Ok(Progress::More);
            }
            self.buf = self.current.take().map(FileDigest::into_buf).unwrap_or_default();
            if bytes >= DIGEST_PIECE_BYTES as u64 {
                break;
            }
        }
        Ok(Progress::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessRule, Verbs};
    use crate::content::listing::entries::{Order, Sort};
    use crate::content::tests::drain;
    use crate::sys::file::open_root;
    use std::os::fd::AsFd;
    use std::path::Path;

    fn manifest(root: &Path, path: &str, rules: &[(&str, Verbs)]) -> io::Result<Vec<u8>> {
        let root = open_root(root).unwrap();
        let folder = open_beneath(root.as_fd(), path.as_bytes()).unwrap();
        let reader = Reader::new(folder, root, path.as_bytes(), Sort::Name, Order::Ascending).unwrap();
        let rule = |(path, allow): &(&str, Verbs)| AccessRule {
            path: (*path).to_owned(),
            allow: *allow,
            ..AccessRule::default()
        };
        drain(&mut Manifest::new(reader, AccessRules::new(rules.iter().map(rule).collect()), Visitor::default()))
    }

    const ALL: Verbs = Verbs::NONE.with(Verb::Read).with(Verb::List);

    #[test]
    fn sha256sum_checks_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sub");
        std::fs::create_dir_all(folder.join("deeper")).unwrap();
        for number in 0..200 {
            std::fs::write(folder.join(format!("f{number}")), vec![b'x'; number * 40]).unwrap();
        }
        std::fs::write(folder.join("large"), vec![b'y'; 3_000_000]).unwrap();
        std::fs::write(folder.join("new\nline"), "z").unwrap();
        std::fs::write(folder.join(".hidden"), "z").unwrap();
        let sums = manifest(root.path(), "/sub/", &[("/", ALL)]).unwrap();
        assert_eq!(sums.iter().filter(|byte| **byte == b'\n').count(), 202);
        let list = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(list.path(), sums).unwrap();
        let mut check = std::process::Command::new("sha256sum");
        check.args(["--strict", "--check"]).arg(list.path()).current_dir(&folder);
        let verdict = check.output().unwrap();
        assert!(verdict.status.success(), "{verdict:?}");
    }

    #[test]
    fn what_may_not_be_read_is_not_in_it() {
        let root = tempfile::tempdir().unwrap();
        for name in ["open", "shut"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        let sums = manifest(root.path(), "/", &[("/", ALL), ("/shut/", Verbs::NONE)]).unwrap();
        let sums = String::from_utf8(sums).unwrap();
        assert!(sums.ends_with("  open\n") && !sums.contains("shut"), "{sums}");
    }
}
