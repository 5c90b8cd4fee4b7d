//! Room for an upload: that the disk has it, that a floor of free space stays, and that nobody else takes it meanwhile.
//! Process: worker, sealed. Trusts: nothing. Blocks: as fallocate(2) of a stretch does. Fails with: 413, 507.

use std::fs::File;

use super::commit::write_refusal;
use crate::message::{Refusal, Status};
use crate::sys::{failure, file};

/// Less than this is not worth a reservation: the free space is counted, and that is all.
const RESERVED_FROM_BYTES: u64 = 1 << 20;
/// So much is reserved before anything has come: a client that announces much and sends nothing has no more of the disk.
const RESERVED_FIRST_BYTES: u64 = 64 << 20;
/// From then on as much again as has come, up to this. File systems with extents reserve it in less than a millisecond.
const RESERVED_AHEAD_BYTES: u64 = 1 << 30;
/// Where nothing can be reserved, or the length is not known: the free space is counted again after so much.
const COUNTED_EVERY_BYTES: u64 = 4 << 20;

/// The room of one upload.
pub(super) struct Room {
    /// As announced; `None` for a content in chunks.
    length: Option<u64>,
    /// This much must stay free for others.
    min_free: u64,
    /// Can room be reserved here, and is it worth while?
    reserves: bool,
    /// Up to this offset nothing more need be asked.
    secured: u64,
}

impl Room {
    /// Counts whether so many bytes would fit, so that a client need not send them to hear that they don't. What is
    /// replaced gives nothing back: until the commit both files exist.
    ///
    /// # Errors
    /// 507 if they don't.
    pub(super) fn check(folder: &File, length: Option<u64>, min_free: u64) -> Result<Self, Refusal> {
        // Of a content in chunks nothing is known, but that it is hardly nothing.
        count(folder, length.unwrap_or(1), min_free)?;
        let reserves = length.is_some_and(|length| length >= RESERVED_FROM_BYTES);
        // Counted just now, as a whole; only the floor has to be watched, and a stretch to be reserved.
        let secured = if reserves || (length.is_none() && min_free > 0) { 0 } else { u64::MAX };
        Ok(Self { length, min_free, reserves, secured })
    }

    /// Sees to it that the content may go on up to this offset. Called before anything is written, with the first
    /// offset, and before each write.
    ///
    /// # Errors
    /// 507 if there is not enough room, 413 if the file system takes no file of that size.
    pub(super) fn secure(&mut self, file: &File, end: u64) -> Result<(), Refusal> {
        while self.secured < end {
            let left = self.length.map_or(u64::MAX, |length| length.saturating_sub(self.secured));
            let ahead = if self.reserves { ahead_of(end) } else { COUNTED_EVERY_BYTES };
            let stretch = left.min(ahead);
            count(file, self.length.map_or(1, |_| stretch), self.min_free)?;
            if self.reserves {
                let reserved = file::reserve(file, self.secured, stretch);
                self.reserves = reserved.map_err(|error| write_refusal(&error))?;
                if !self.reserves && self.min_free == 0 {
                    self.secured = u64::MAX;
                    return Ok(());
                }
            }
            self.secured = self.secured.saturating_add(stretch.max(1));
        }
        Ok(())
    }
}

/// How much to reserve for a content that has come so far.
fn ahead_of(end: u64) -> u64 {
    end.clamp(RESERVED_FIRST_BYTES, RESERVED_AHEAD_BYTES)
}

fn count(file: &File, bytes: u64, min_free: u64) -> Result<(), Refusal> {
    let free = file::free_bytes(file).map_err(|error| write_refusal(&error))?;
    let left = free.saturating_sub(min_free);
    if bytes <= left {
        return Ok(());
    }
    let kept = if min_free > 0 { format!(", for {min_free} bytes are kept free") } else { String::new() };
    let detail = format!("There is not enough room for this file: {left} bytes are left{kept}.");
    Err(Refusal::new(Status::INSUFFICIENT_STORAGE, detail).because_of(&failure::no_room()))
}
