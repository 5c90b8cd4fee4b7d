//! What a new file has besides its content: permissions, a group, and a time, where its rename does not give it one.
//! Process: worker, sealed. Trusts: nothing. Blocks: as making a file does.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::Context;
use super::folder::Folder;
use super::temporary::Temporary;
use crate::sys::file;

/// Gives a file the group of new ones, where they have one of their own.
pub(super) fn give_group(file: &File, group: Option<u32>) -> io::Result<()> {
    group.map_or(Ok(()), |group| file::set_owner(file, None, Some(group)))
}

/// What a new file has besides its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Birth {
    /// Permission bits.
    pub(super) mode: u32,
    /// Its group, where that is not the one it gets by itself.
    pub(super) group: Option<u32>,
}

impl Birth {
    /// As the configuration wants it.
    pub(super) fn of(ctx: &Context<'_>) -> Self {
        Self { mode: ctx.config.uploads.mode, group: ctx.config.uploads.group }
    }

    /// A temporary that will be a new file.
    pub(super) fn create(self, folder: &Arc<Folder>) -> io::Result<Temporary> {
        let temporary = Temporary::create(folder.clone(), self.mode)?;
        give_group(temporary.file(), self.group)?;
        Ok(temporary)
    }
}

/// A time of its own tells a file from whatever its name stood for before, also within one tick of the file system's
/// clock: its tag is strong from the first moment. Where that can't be had, time will tell them apart.
pub(super) fn give_time(temporary: &Temporary) {
    let _ = temporary.file().set_modified(SystemTime::now());
}
