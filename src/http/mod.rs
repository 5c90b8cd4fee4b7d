//! The pipeline: bytes → `parse` → `validate` → `route` → `fill_body` → `format` → bytes.
//! Process: worker, sealed. No descriptors, no clock, no system calls of its own; what there is to open, providers open.
//! Each product is made by its box only, so that none can be skipped.

mod audience;
mod authorization;
mod bytes;
mod chunked;
mod conditional;
mod cross_site;
mod fill_body;
mod format;
mod forwarded;
mod integrity;
mod malformed;
mod parse;
mod proxy_header;
mod range;
mod route;
mod validate;

pub use audience::Audience;
pub use authorization::{Schemes, Shown, read_authorization, unauthorized};
pub use chunked::{ChunkedDecoder, Piece};
pub use fill_body::{handle_request, refuse_request};
pub use format::{CommonLines, Facts, Reply, format, format_interim};
pub use forwarded::forwarded_client;
pub use parse::{Head, HeadLimits, Parsed, parse, parse_trailers};
pub use proxy_header::{NotProxied, ProxyHeader, parse_proxy_header};
/// The way from a `Range` field to an answer, for `tests/fuzz` alone: every other reader of foreign bytes can be called
/// from outside already, but this one would need a file, and a file as long as the numbers that it must stand.
#[doc(hidden)]
pub use range::apply as apply_ranges;
pub use route::subject;
pub use validate::validate;
