//! Content providers: one file each, one function each, one line in `http::fill_body` each.
//! Process: worker, sealed. A provider sees its `Context` and the request, and makes a response, or a refusal.

mod error;
mod listing;
mod page;
mod parameters;
mod perlin;
mod served;
mod sha256;
mod stats;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;

use crate::config::Config;
use crate::message::HttpDate;
use crate::stats::Boards;

pub use error::error;
pub use listing::listing;
pub use perlin::perlin;
pub use served::{is_hidden, refuse_open};
pub use sha256::{sha256, sha256_of_file};
pub use stats::stats;

/// All that a provider may see of the worker.
pub struct Context<'w> {
    /// The configuration of this generation.
    pub config: &'w Config,
    /// The clock, read once a wake.
    pub now: Now,
    /// The document root (an O_PATH descriptor): everything is opened beneath it.
    pub root: BorrowedFd<'w>,
    /// The shared counters of all workers.
    pub boards: &'w Boards,
}

/// The time at which the current wake began.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Seconds since the epoch.
    pub unix_seconds: u64,
    /// Nanoseconds within that second.
    pub nanoseconds: u32,
}

impl Now {
    /// The value of a `Date` field.
    #[must_use]
    pub fn date(self) -> HttpDate {
        HttpDate::from_unix_seconds(self.unix_seconds)
    }
}
