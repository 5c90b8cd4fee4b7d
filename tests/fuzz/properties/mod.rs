//! What must hold for whatever a stranger sends: one function for each reader of foreign bytes, which panics where a
//! property doesn't hold. The fuzzer calls them with bytes of its own making, `tests/corpus.rs` with the kept ones.
#![allow(unreachable_pub, reason = "these files are the fuzz package's library, and a module of tests/corpus.rs")]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::unwrap_used, reason = "a broken property ends so")]
#![allow(clippy::expect_used, reason = "a broken property ends so, and says which it was")]

mod accept_encoding;
mod chunked;
mod config;
mod date;
mod forwarded;
mod head;
mod proxy_header;
mod range;
mod target;
mod want_digest;

pub use accept_encoding::accept_encoding;
pub use chunked::chunked;
pub use config::config;
pub use date::date;
pub use forwarded::forwarded;
pub use head::head;
pub use proxy_header::proxy_header;
pub use range::range;
pub use target::target;
pub use want_digest::want_digest;

use fileserv::message::{FieldName, Fields};

/// A field whose value came in these lines.
fn field<'b>(name: FieldName, lines: impl IntoIterator<Item = &'b [u8]>) -> Option<Fields<'b>> {
    let mut fields = Fields::default();
    lines.into_iter().all(|line| fields.push(name.text(), line)).then_some(fields)
}

/// Where to cut an input into two: everywhere while it is short, then at some three hundred places.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length / 300 + 1)
}
