//! Content providers: one file each, one function each, one line in `http::fill_body` each.
//! Process: worker, sealed. A provider sees its `Context` and the request, and makes a response, or a refusal.

mod attributes;
mod bare;
mod birth;
mod cache;
mod checks;
mod commit;
mod compress;
mod delete;
mod disposition;
mod error;
mod error_page;
mod files;
mod folder;
mod folders;
mod integrity;
mod listing;
mod locks;
mod media_type;
mod page;
mod parameters;
mod perlin;
mod precompressed;
mod quota;
mod readfile;
mod redirect;
mod resumable;
mod room;
mod sendfile;
mod served;
mod sha256;
mod stats;
mod stored;
mod syncs;
mod target;
mod temporary;
#[cfg(test)]
mod tests;
mod upload;
mod verify;
mod watch;

use std::os::fd::BorrowedFd;

use crate::config::{Config, Site};
use crate::log::Logs;
use crate::message::HttpDate;
use crate::stats::{Boards, Tally};

pub use cache::Cache;
pub use compress::compress;
pub use delete::delete;
pub use error::{ErrorForm, error};
pub use error_page::error_page;
pub use files::files;
pub use folder::OpenFolders;
pub use integrity::{KnownDigests, Wanted, add_digests};
pub use listing::listing;
pub use media_type::MediaTypes;
pub use perlin::perlin;
pub use readfile::readfile;
pub use redirect::redirect;
pub use resumable::{
    UPLOAD_METHODS, UploadId, begins_upload, create as begin_upload, offer as offer_uploads, resume as resume_upload,
};
pub use sendfile::sendfile;
pub use served::{is_hidden, refuse_open, tell_operator};
pub use sha256::{sha256, sha256_of_file};
pub use stats::stats;
pub use syncs::FolderSyncs;
pub use temporary::{Swept, sweep};
pub use upload::upload;

/// All that a provider may see of the worker.
pub struct Context<'w> {
    /// The configuration of this generation.
    pub config: &'w Config,
    /// The site that the request means.
    pub site: &'w Site,
    /// The clock, read once a wake.
    pub now: Now,
    /// The document root of that site (an O_PATH descriptor): everything is opened beneath it.
    pub root: BorrowedFd<'w>,
    /// The shared counters of all workers.
    pub boards: &'w Boards,
    /// What the worker keeps of files.
    pub cache: &'w mut Cache,
    /// Digests of files that somebody has asked for.
    pub known_digests: &'w KnownDigests,
    /// Folders that uploads bring to stable storage.
    pub syncs: &'w FolderSyncs,
    /// Folders in which uploads were stored a moment ago.
    pub folders: &'w OpenFolders,
    /// For what an operator should hear of.
    pub logs: &'w Logs,
    /// Media types by name.
    pub media_types: &'w MediaTypes,
    /// What the worker counts in this wake.
    pub tally: &'w mut Tally,
    /// A buffer for building paths; whoever uses it clears it first.
    pub scratch: &'w mut Vec<u8>,
}

/// What the key of a cached file begins with if the file stands for another one whose content it holds encoded. No path
/// has this byte.
const ENCODED_KEY: u8 = 0;

/// The time at which the current wake began.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Seconds since the epoch.
    pub unix_seconds: u64,
    /// Nanoseconds within that second.
    pub nanoseconds: u32,
}

impl Now {
    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn unix_nanoseconds(self) -> i128 {
        i128::from(self.unix_seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    /// The value of a `Date` field.
    #[must_use]
    pub fn date(self) -> HttpDate {
        HttpDate::from_unix_seconds(self.unix_seconds)
    }
}
