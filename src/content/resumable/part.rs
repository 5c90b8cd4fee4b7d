//! The content of a resumable upload as far as it has come: a file that one request at a time has for itself.
//! Process: worker, sealed; on helper threads. Trusts: files of our own user only. Blocks: as the disk does.
//! The lock (flock) holds between all workers and generations and ends with its holder. Who finds it taken marks the
//! record: the holder looks, and leaves (draft section 5: the newer request is right, for the client has given up the
//! older one).
//! A file system writes data before the size that covers it, so the size is an offset that can be told after fsync(2).

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::id::{Kind, UploadId};
use super::record::{MODE, Record, is_ours};
use crate::config::Durability;
use crate::content::commit::write_refusal;
use crate::content::folder::Folder;
use crate::content::{Now, refuse_open};
use crate::message::Refusal;
use crate::sys::failure::OpenFailure;
use crate::sys::file::{self, Identity};

/// Where an upload is, and how long one may be there.
#[derive(Clone)]
pub(super) struct Place {
    /// The target's folder.
    pub(super) folder: Arc<Folder>,
    /// Which upload.
    pub(super) id: UploadId,
    /// The target's last name, as its address has it.
    pub(super) target: String,
    /// What an acknowledged offset must have survived.
    pub(super) durability: Durability,
    /// Seconds that it is kept after its last change.
    pub(super) expiry_seconds: u64,
    /// When the request came.
    pub(super) now: Now,
}

/// An upload, as somebody finds it who asks for it.
pub(super) enum Found {
    /// It can go on, and belongs to the one who asked.
    Open(Part),
    /// It has become its target, at this time.
    Complete(Record, u64),
    /// Somebody else has it, and was told to leave.
    Busy,
}

/// An upload that can go on. Nobody else touches it as long as this lives.
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) record: Record,
    pub(super) file: File,
    /// Where the next byte belongs.
    pub(super) offset: u64,
    /// So much of what was stored when it was opened is in the sums of the quotas: more than the offset if a wrong end of it
    /// does not count.
    pub(super) charged: u64,
    /// When it was changed last, in seconds since the epoch.
    pub(super) changed: u64,
}

impl Place {
    /// Begins an upload: its content, and then its record, without which it is nothing.
    pub(super) fn begin(self, record: Record) -> Result<Part, Refusal> {
        let failed = |error: io::Error| write_refusal(&error);
        let file = file::create_new(self.folder.as_fd(), &self.id.name(Kind::Part), MODE).map_err(failed)?;
        let changed = self.now.unix_seconds;
        let part = Part { place: self, record, file, offset: 0, charged: 0, changed };
        let made = part.file.try_lock().map_err(io::Error::from).and_then(|()| part.sync());
        match made.and_then(|()| part.write_record()) {
            Ok(()) => Ok(part),
            Err(error) => {
                part.remove();
                Err(write_refusal(&error))
            }
        }
    }

    /// Looks for an upload, and takes it if it is free.
    pub(super) fn find(&self) -> Result<Found, Refusal> {
        let name = self.id.name(Kind::Part);
        let file = match file::open_entry_to_write(self.folder.as_fd(), name.as_bytes()) {
            Ok(file) => file,
            Err(error) if OpenFailure::of(&error) == OpenFailure::Absent => return self.find_complete(),
            Err(error) => return Err(refuse_open(&error)),
        };
        let identity = file::identity(&file).ok().filter(is_ours).ok_or_else(Refusal::not_found)?;
        // It became the target by linkat(2), and whoever did that died before it could take this name away.
        if identity.links > 1 {
            return self.find_complete();
        }
        match file.try_lock() {
            Ok(()) => self.take(file),
            Err(TryLockError::WouldBlock) => {
                Record::mark_wanted(&self.folder, self.id, true);
                Ok(Found::Busy)
            }
            Err(TryLockError::Error(error)) => Err(write_refusal(&error)),
        }
    }

    fn take(&self, file: File) -> Result<Found, Refusal> {
        let identity = file::identity(&file).map_err(|error| refuse_open(&error))?;
        let named = file::identity_of_entry(self.folder.as_fd(), self.id.name(Kind::Part).as_bytes());
        if !named.is_ok_and(|named| named.inode == identity.inode && named.device == identity.device) {
            // It was completed, cancelled or cut while it was opened: the next look will tell.
            return Ok(Found::Busy);
        }
        let (record, written) = self.read_record()?;
        let changed = identity.modified_seconds().max(written.modified_seconds());
        if self.seconds_left(changed) == 0 {
            return Err(Refusal::not_found());
        }
        Record::mark_wanted(&self.folder, self.id, false);
        let offset = record.counted.unwrap_or(u64::MAX).min(identity.size);
        let charged = record.charged.unwrap_or(u64::MAX).min(identity.size);
        Ok(Found::Open(Part { place: self.clone(), record, file, offset, charged, changed }))
    }

    fn find_complete(&self) -> Result<Found, Refusal> {
        let (record, written) = self.read_record()?;
        let changed = written.modified_seconds();
        let is_there = record.is_complete && self.seconds_left(changed) > 0;
        if is_there { Ok(Found::Complete(record, changed)) } else { Err(Refusal::not_found()) }
    }

    /// The record, if it is one of this very target.
    fn read_record(&self) -> Result<(Record, Identity), Refusal> {
        let record = Record::read(&self.folder, self.id).filter(|(record, _)| record.target == self.target);
        record.ok_or_else(Refusal::not_found)
    }

    /// How long an upload is still there that was changed last at this time.
    pub(super) fn seconds_left(&self, changed: u64) -> u64 {
        self.expiry_seconds.saturating_sub(self.now.unix_seconds.saturating_sub(changed))
    }

    /// Takes away the record, and with it the upload, and then what it is the record of.
    pub(super) fn remove(&self) {
        self.unlink();
        self.sync_removal();
    }

    /// Sees to it that a power cut does not bring back what was unlinked.
    pub(super) fn sync_removal(&self) {
        if self.durability == Durability::Full {
            let _ = self.folder.sync_all();
        }
    }

    /// Takes it away, but a power cut may bring it back.
    pub(super) fn unlink(&self) {
        for kind in [Kind::Record, Kind::Part] {
            // What can't be removed has no record, or expires with it.
            let _ = file::remove_entry(self.folder.as_fd(), self.id.name(kind).as_bytes());
        }
    }
}

impl Part {
    /// Has somebody else asked for it?
    pub(super) fn is_wanted(&self) -> bool {
        Record::is_wanted(&self.place.folder, self.place.id)
    }

    /// Has less come than was told? More never does.
    pub(super) fn is_short(&self) -> bool {
        self.record.length.is_some_and(|length| length != self.offset)
    }

    /// Puts bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Makes what has come so far outlive a power cut. A failure is final: what was lost can't be told from the rest.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.place.durability == Durability::Full { self.file.sync_all() } else { Ok(()) }
    }

    /// Writes the record as it is now.
    pub(super) fn write_record(&self) -> io::Result<()> {
        self.record.write(&self.place.folder, self.place.id, self.place.durability)
    }

    /// How long the file is.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(file::identity(&self.file)?.size)
    }

    /// Has an earlier request left bytes behind the end that do not count?
    pub(super) fn has_excess(&self) -> io::Result<bool> {
        Ok(self.size()? > self.offset)
    }

    /// Cancels the upload.
    pub(super) fn remove(&self) {
        self.place.remove();
    }
}
