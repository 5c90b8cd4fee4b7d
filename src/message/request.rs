//! A request that has been parsed and validated.

use std::borrow::Cow;

use super::{FieldName, Fields, Method, Visitor};

/// The protocol version of a request. A higher 1.x is read as 1.1 (RFC 9110 section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, no 1xx, closes unless asked to keep alive.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Where the content of a request ends (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// No content.
    None,
    /// `Content-Length` bytes, more than none.
    Length(u64),
    /// Until the last chunk.
    Chunked,
}

impl BodyFraming {
    /// How many bytes come, if the head said so.
    #[must_use]
    pub fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked => None,
        }
    }
}

/// What a client asks for, after every rule of RFC 9112 has been checked.
/// It borrows from the receive buffer (`'b`), so a request costs no allocation unless its path has escapes.
#[derive(Debug)]
pub struct Request<'b> {
    /// The method.
    pub method: Method,
    /// The version to answer in.
    pub version: Version,
    /// The target as it was sent, for the log and for redirects.
    pub raw_target: &'b [u8],
    /// The path, percent-decoded, without dot segments or NUL; begins with `/`.
    pub path: Cow<'b, [u8]>,
    /// What follows the `?`, not decoded.
    pub query: Option<&'b str>,
    /// Host of the target: `Host`, or the authority of an absolute-form target. Empty in HTTP/1.0 without Host.
    pub host: &'b [u8],
    /// The field lines.
    pub fields: &'b Fields<'b>,
    /// How the content is framed.
    pub framing: BodyFraming,
    /// May the connection go on after this request?
    pub keep_alive: bool,
    /// Does the client wait for `100 Continue` before it sends content (RFC 9110 section 10.1.1)?
    pub expects_continue: bool,
    /// `OPTIONS *`: about the server, not about a path.
    pub asterisk: bool,
    /// Who asks; `validate` knows of nobody, and the worker fills it in.
    pub visitor: Visitor,
}

impl<'b> Request<'b> {
    /// The value of a field that may stand only once; its first line otherwise.
    #[must_use]
    pub fn field(&self, name: FieldName) -> Option<&[u8]> {
        self.fields.first(name)
    }

    /// The host as text: it is ASCII. On the hot path nobody has to know, so the bytes are kept.
    #[must_use]
    pub fn host_text(&self) -> &'b str {
        std::str::from_utf8(self.host).unwrap_or_default()
    }
}
