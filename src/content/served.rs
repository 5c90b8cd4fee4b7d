//! Which names are served at all, and what a client is told when a file can't be opened.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 403, 404, 500, 503.

use std::io;

use super::page::link;
use crate::log::Logs;
use crate::message::{FieldName, Refusal, Status, Value};
use crate::sys::failure::OpenFailure;

/// No more of a path is shown in the error log: a line has to fit into a datagram.
const SHOWN_BYTES: usize = 256;
/// The one hidden name that is meant for everybody (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Is this decoded path hidden? A name that begins with a dot is, our own temporaries among them, wherever it stands in
/// the path; only `/.well-known` is not.
#[must_use]
pub fn is_hidden(path: &[u8]) -> bool {
    // Asked for every request, and nearly no path has a name that begins so.
    if !path.starts_with(b".") && !path.windows(2).any(|pair| pair == b"/.") {
        return false;
    }
    let names = path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/');
    names.enumerate().any(|(depth, name)| name.starts_with(b".") && !(depth == 0 && name == WELL_KNOWN))
}

/// The refusal for a file or folder that couldn't be opened beneath the root.
#[must_use]
pub fn refuse_open(error: &io::Error) -> Refusal {
    let refusal = match OpenFailure::of(error) {
        OpenFailure::Absent => return Refusal::not_found(),
        OpenFailure::Forbidden => Refusal::new(Status::FORBIDDEN, "The server is not permitted to read this."),
        OpenFailure::Exhausted => refuse_exhausted(),
        OpenFailure::Broken => Refusal::new(Status::INTERNAL_SERVER_ERROR, "The server can't read this."),
    };
    refusal.because_of(error)
}

/// Tells who runs the server what is behind a refusal, if that is something with the machine: the client can't mend it.
/// The path is shown as in a link, so that its words are none of ours.
pub fn tell_operator(logs: &Logs, path: Option<&[u8]>, refusal: &Refusal) {
    if let Some(number) = refusal.os_error {
        let shown = path.map(|path| link(path.get(..SHOWN_BYTES).unwrap_or(path)));
        let what = shown.as_deref().unwrap_or("a request that had to wait");
        logs.refused(refusal.status.code(), &refusal.detail, &io::Error::from_raw_os_error(number), what);
    }
}

/// The refusal when no descriptor or memory is left, to read or to write.
pub(super) fn refuse_exhausted() -> Refusal {
    // Seconds; an open connection or file of this worker ends sooner than that under any load it can bear.
    const RETRY_AFTER_SECONDS: u64 = 2;
    Refusal::new(Status::SERVICE_UNAVAILABLE, "The server has too much open; please try again in a moment.")
        .with_field(FieldName::RetryAfter, Value::Number(RETRY_AFTER_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_hide_but_well_known() {
        for path in
            ["/.git/config", "/a/.b", "/.fileserv-0.new", "/a/.well-known/x", "/.well-known/.x", ".x", "/.well-known2"]
        {
            assert!(is_hidden(path.as_bytes()), "{path}");
        }
        for path in ["/", "/a.b/c", "/.well-known", "/.well-known/security.txt", ".well-known/x", "/a/", ""] {
            assert!(!is_hidden(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn an_error_number_becomes_a_status() {
        let status = |kind: io::ErrorKind| refuse_open(&io::Error::from(kind)).status;
        // An error without a number is ours, so it is a 500, whatever its kind.
        assert_eq!(status(io::ErrorKind::NotFound), Status::INTERNAL_SERVER_ERROR);
        assert_eq!(refuse_open(&io::Error::from_raw_os_error(2)), Refusal::not_found());
        assert_eq!(refuse_open(&io::Error::from_raw_os_error(13)).status, Status::FORBIDDEN);
        // ENOMEM, ENFILE, EMFILE: of the machine or of the process alone, it passes.
        for number in [12, 23, 24] {
            let refusal = refuse_open(&io::Error::from_raw_os_error(number));
            assert_eq!(refusal.status, Status::SERVICE_UNAVAILABLE, "{number}");
            assert!(refusal.field.is_some(), "it says when to try again");
        }
    }
}
