//! A request head as `parse` gives it, and how much of one is taken.
//! Process: worker, sealed. Pure.

use crate::message::Method;

/// How much of a head is taken.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The whole head in bytes; more is 431.
    pub head_bytes: usize,
    /// The target in bytes; more is 414.
    pub target_bytes: usize,
    /// Field lines; more is 431.
    pub fields: usize,
}

/// What the bytes so far hold.
#[derive(Debug)]
pub enum Parsed<'b> {
    /// Not a whole head yet. That is not an error.
    Incomplete,
    /// A head, and how many bytes it took.
    Complete(Head<'b>, usize),
}

/// A head whose lines are well-formed; whether they make sense together is for `validate` to say.
#[derive(Debug)]
pub struct Head<'b> {
    /// The whole request line, for the log. It and its parts are ASCII; nobody on the hot path has to know.
    pub line: &'b [u8],
    /// The method as it was sent.
    pub method: &'b [u8],
    /// The target as it was sent: visible.
    pub target: &'b [u8],
    /// The minor version: 0, or 1 for every higher 1.x (RFC 9110 section 2.5).
    pub minor_version: u8,
}

impl Head<'_> {
    /// The method if it is a known one, else GET: all that matters of it for a refusal is whether it is HEAD.
    #[must_use]
    pub fn known_method(&self) -> Method {
        Method::from_name(self.method).unwrap_or(Method::Get)
    }
}
