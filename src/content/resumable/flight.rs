//! A piece of an upload that is charged, and on its way to the disk: who counts what is stored waits until it is there.
//! Process: worker, sealed; on helper threads. Trusts: nothing. Blocks: as long as another one writes a piece.
//! The lock (flock) is that of the record: the part's own is taken for the whole request. Only who has the upload replaces
//! its record: never while a piece is in flight, and where that says what is not charged, under the old one's lock.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::id::{Kind, UploadId};
use super::part::Place;
use super::record::Record;
use crate::content::locks::lock_patiently;
use crate::content::temporary::is_still_named;
use crate::sys::failure::OpenFailure;
use crate::sys::file;

/// Held from the charge of a piece to the end of its write, and begun under the locks of the sums, which a count has as
/// well; or, without those, while the record is told what is not charged (`charge.rs`).
pub(super) struct Flight {
    _record: File,
}

impl Flight {
    /// Begins one; `None` if the upload is gone.
    ///
    /// # Errors
    /// As openat(2) and flock(2); WouldBlock if somebody else has the record for too long.
    pub(super) fn begin(place: &Place) -> io::Result<Option<Self>> {
        Ok(lock_record(&place.folder, place.id)?.map(|record| Self { _record: record }))
    }
}

/// An upload of which nothing is in flight as long as this lives.
pub(in crate::content) struct Landed {
    /// So many bytes of it are in the sums, or will be when what is stored is counted; all, if nothing is said.
    pub(in crate::content) charged: Option<u64>,
    _record: File,
}

/// Waits until nothing of the upload with this part is in flight; `None` for what is no part.
///
/// # Errors
/// As openat(2) and flock(2); WouldBlock if it takes too long.
pub(in crate::content) fn await_landing(folder: &File, name: &[u8]) -> io::Result<Option<Landed>> {
    let record = match UploadId::of_name(name) {
        Some((id, Kind::Part)) => lock_record(folder, id)?,
        Some((_, Kind::Record)) | None => None,
    };
    Ok(record.map(|file| Landed { charged: Record::parse(&file).and_then(|record| record.charged), _record: file }))
}

/// The locked record of an upload; `None` if it has none.
fn lock_record(folder: &File, id: UploadId) -> io::Result<Option<File>> {
    let name = id.name(Kind::Record);
    loop {
        let record = match file::open_entry(folder.as_fd(), name.as_bytes()) {
            Ok(record) => record,
            Err(error) => match OpenFailure::of(&error) {
                // It is not there, or it is none of ours.
                OpenFailure::Absent | OpenFailure::Forbidden => return Ok(None),
                OpenFailure::Exhausted | OpenFailure::Broken => return Err(error),
            },
        };
        if !lock_patiently(&record)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if is_still_named(folder, &name, &record) {
            return Ok(Some(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use super::*;
    use crate::config::Durability;
    use crate::content::Now;
    use crate::content::folder::Folder;
    use crate::content::stored::stored_bytes;
    use crate::message::{Fields, Method};

    #[test]
    fn a_count_waits_for_the_piece_that_is_under_way() {
        let root = tempfile::tempdir().unwrap();
        let id = UploadId::of_query(Some("upload=00112233445566778899aabbccddeeff")).unwrap();
        std::fs::write(root.path().join(id.name(Kind::Part)), "stored").unwrap();
        std::fs::write(root.path().join(id.name(Kind::Record)), "{}").unwrap();
        let folder = Folder::of(File::open(root.path()).unwrap(), false).unwrap().unwrap();
        let place = Place {
            folder: folder.clone(),
            id,
            target: String::new(),
            durability: Durability::None,
            expiry_seconds: 60,
            now: Now { unix_seconds: 0, nanoseconds: 0 },
        };
        let count = || stored_bytes(&folder).unwrap();
        assert_eq!(count(), 6);
        let flight = Flight::begin(&place).unwrap().unwrap();
        std::thread::scope(|scope| {
            let (counted, sum) = channel();
            scope.spawn(move || counted.send(count()).unwrap());
            // However long it takes to begin: it does not end.
            assert_eq!(sum.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout));
            std::fs::write(root.path().join(id.name(Kind::Part)), "stored, and more").unwrap();
            drop(flight);
            assert_eq!(sum.recv().unwrap(), 16);
        });
        let mut record = Record::new(String::new(), Method::Put, &Fields::default(), None);
        record.charged = Some(6);
        record.write(&folder, id, Durability::None).unwrap();
        assert_eq!(count(), 6, "what is not charged yet is charged by who wrote it");
        std::fs::remove_file(root.path().join(id.name(Kind::Record))).unwrap();
        assert_eq!(count(), 16);
        assert!(Flight::begin(&place).unwrap().is_none(), "without a record there is no upload");
    }
}
