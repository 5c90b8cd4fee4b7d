//! What is remembered of a resumable upload beside its content: a small file that is only ever replaced whole.
//! Process: worker, sealed; on helper threads. Trusts: files of our own user only. Blocks: as the disk does.
//! Without a record there is no upload, whatever else lies in the folder.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{Kind, UploadId};
use crate::config::Durability;
use crate::content::folder::Folder;
use crate::content::temporary::Temporary;
use crate::message::{FieldName, Fields, Method, Preconditions};
use crate::sys::credentials;
use crate::sys::file::{self, FileKind, Identity};

/// Nobody but the server reads what has not become a file yet.
pub(super) const MODE: u32 = 0o600;
/// Says to the request that has the upload for itself that another one waits for it. No record is a program, so the bit
/// means nothing else; and unlike the content a record never becomes a file of the site.
const WANTED: u32 = 0o100;
/// More than a head can carry into it, so more is not ours.
const LIMIT_BYTES: u64 = 512 * 1024;

/// What is remembered. The content itself says how much of it there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The last name of the target, as its address has it: the upload is nowhere else.
    pub(super) target: String,
    /// Does it update what must exist (POST)?
    updates: bool,
    /// The preconditions of the request that began it; it is decided by them at its end.
    preconditions: Vec<(String, String)>,
    /// The digests that the same request has announced for the whole (`Repr-Digest`), as they were written.
    pub(super) digests: Vec<String>,
    /// What it wanted to be told of the whole (`Want-Repr-Digest`), as it was written.
    pub(super) wanted_digests: Vec<String>,
    /// How long the whole is, once that is known.
    pub(super) length: Option<u64>,
    /// How much of the content counts, where a wrong end of it must not.
    pub(super) counted: Option<u64>,
    /// So much of what is stored is in the sums of the quotas, where that is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) charged: Option<u64>,
    /// Was it about to become the target? If its content is gone, it has.
    pub(super) is_complete: bool,
}

impl Record {
    /// What must be remembered of the request that begins an upload.
    pub(super) fn new(target: String, method: Method, fields: &Fields<'_>, length: Option<u64>) -> Self {
        // A byte that is no UTF-8 occurs in no tag of ours: what is put in its place changes no verdict.
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let lines = |name| fields.all(name).map(text).collect();
        let preconditions = Preconditions::of(fields);
        Self {
            target,
            updates: method == Method::Post,
            preconditions: preconditions.lines().map(|(name, value)| (name.text().to_owned(), text(value))).collect(),
            digests: lines(FieldName::ReprDigest),
            wanted_digests: lines(FieldName::WantReprDigest),
            length,
            counted: None,
            charged: None,
            is_complete: false,
        }
    }

    /// The method of the request that began it.
    pub(super) fn method(&self) -> Method {
        if self.updates { Method::Post } else { Method::Put }
    }

    /// Its preconditions.
    pub(super) fn preconditions(&self) -> Preconditions {
        let line = |(name, value): &(String, String)| {
            (FieldName::from_bytes(name.as_bytes()), value.clone().into_bytes().into_boxed_slice())
        };
        Preconditions::of_lines(self.preconditions.iter().map(line))
    }

    /// Notes that the whole is there and is about to become the target.
    pub(super) fn complete(&mut self, length: u64) {
        (self.length, self.counted, self.is_complete) = (Some(length), None, true);
    }

    /// Reads it, and tells when it was written. `None`: there is none, or none of ours.
    pub(super) fn read(folder: &File, id: UploadId) -> Option<(Self, Identity)> {
        let file = file::open_entry(folder.as_fd(), id.name(Kind::Record).as_bytes()).ok()?;
        let identity = file::identity(&file).ok().filter(is_ours)?;
        Self::parse(&file).map(|record| (record, identity))
    }

    /// Reads what is in a file that may be one.
    pub(super) fn parse(file: &File) -> Option<Self> {
        let mut bytes = Vec::new();
        file.take(LIMIT_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Asks the holder of the upload to leave, or takes that back. Where modes can't be changed he is waited for.
    pub(super) fn mark_wanted(folder: &File, id: UploadId, is_wanted: bool) {
        let mode = if is_wanted { MODE | WANTED } else { MODE };
        let Ok(file) = file::open_entry(folder.as_fd(), id.name(Kind::Record).as_bytes()) else { return };
        if file::identity(&file).is_ok_and(|identity| is_ours(&identity) && identity.mode != mode) {
            let _ = file::set_mode(&file, mode);
        }
    }

    /// Is the holder asked to leave?
    pub(super) fn is_wanted(folder: &File, id: UploadId) -> bool {
        let identity = file::identity_of_entry(folder.as_fd(), id.name(Kind::Record).as_bytes());
        identity.is_ok_and(|identity| identity.mode & WANTED != 0)
    }

    /// Writes it, in the place of the one before.
    ///
    /// # Errors
    /// As openat(2), write(2), fsync(2) and renameat(2); then the one before is still there.
    pub(super) fn write(&self, folder: &Arc<Folder>, id: UploadId, durability: Durability) -> io::Result<()> {
        let mut temporary = Temporary::create(folder.clone(), MODE)?;
        let mut file = temporary.file();
        file.write_all(&serde_json::to_vec(self)?)?;
        if durability == Durability::Full {
            file.sync_all()?;
        }
        temporary.replace(id.name(Kind::Record).as_bytes())?;
        if durability == Durability::Full {
            folder.sync_all()?;
        }
        Ok(())
    }
}

/// Is this a file that the server itself has made?
pub(super) fn is_ours(identity: &Identity) -> bool {
    identity.kind == FileKind::Regular && identity.uid == credentials::user_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Folder::of(File::open(folder.path()).unwrap(), false).unwrap().unwrap();
        let mut fields = Fields::default();
        for (name, value) in [
            ("If-Match", &b"\"a,b\", W/\"\xff\""[..]),
            ("If-Match", b"\"c\""),
            ("If-Unmodified-Since", b"Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Repr-Digest", b"sha-256=:AAA=:"),
        ] {
            assert!(fields.push(name, value));
        }
        let id = UploadId::random().unwrap();
        let record = Record::new("a%20b".to_owned(), Method::Post, &fields, Some(7));
        record.write(&opened, id, Durability::Full).unwrap();
        let changed = Record { length: None, is_complete: true, ..record.clone() };
        assert_eq!(Record::read(&opened, id).unwrap().0, record);
        changed.write(&opened, id, Durability::None).unwrap();
        assert_eq!(Record::read(&opened, id).unwrap().0, changed);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(record.method(), Method::Post);
        assert_eq!(record.preconditions().lines().count(), 3);
        assert_eq!(record.digests, ["sha-256=:AAA=:"]);
    }

    #[test]
    fn what_we_have_not_written_is_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let opened = File::open(folder.path()).unwrap();
        let id = UploadId::random().unwrap();
        let path = folder.path().join(id.name(Kind::Record));
        assert!(Record::read(&opened, id).is_none());
        for text in ["", "{}", "[]", "{\"target\":"] {
            std::fs::write(&path, text).unwrap();
            assert!(Record::read(&opened, id).is_none(), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(Record::read(&opened, id).is_none());
    }
}
