//! The error of the whole line: a status, the reason in words, and what the answer must add.

use std::borrow::Cow;
use std::io;

use super::{FieldName, Method, MethodSet, Status, Value, Verbs};

/// Why a request is not served. `content::error` makes the answer of it, through the same `format` as every other.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What is sent.
    pub status: Status,
    /// What was wrong and what would be right, for the client to read.
    pub detail: Cow<'static, str>,
    /// A field the status calls for: `Allow`, `Retry-After`, `Content-Range`, `WWW-Authenticate`.
    pub field: Option<(FieldName, Value)>,
    /// What kind of problem it is, where a program has to tell that.
    pub problem: Problem,
    /// Can it no longer be told where the next request starts? Then the connection ends with this answer.
    pub ends_connection: bool,
    /// Rights of which any one would have let it be served; none if rights are not what it lacks.
    pub lacks: Verbs,
    /// The number of the system's error that is behind it, which concerns the operator and not the client.
    pub os_error: Option<i32>,
}

/// The kind of a problem (RFC 9457 section 3.1.1), as far as it has one of its own: those that resumable uploads define.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Problem {
    /// The status says it all.
    #[default]
    Blank,
    /// The content does not begin where the upload ends.
    MismatchingUploadOffset {
        /// Where the upload ends.
        expected: u64,
        /// Where the client believes that it does.
        provided: u64,
    },
    /// Nothing can be added to the upload any more.
    CompletedUpload,
    /// The lengths that the client has told do not agree.
    InconsistentUploadLength,
}

impl Refusal {
    /// A refusal after which the connection may go on.
    #[must_use]
    pub fn new(status: Status, detail: impl Into<Cow<'static, str>>) -> Self {
        let (detail, problem) = (detail.into(), Problem::Blank);
        Self { status, detail, field: None, problem, ends_connection: false, lacks: Verbs::NONE, os_error: None }
    }

    /// A refusal of bytes whose framing can't be trusted (RFC 9112 section 9.6): the answer closes.
    #[must_use]
    pub fn closing(status: Status, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { ends_connection: true, ..Self::new(status, detail) }
    }

    /// 403 for want of one of these rights. Where a user would have it, the answer asks who it is, with 401.
    #[must_use]
    pub fn lacking(verbs: impl Into<Verbs>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { lacks: verbs.into(), ..Self::new(Status::FORBIDDEN, detail) }
    }

    /// The same with one more field in the answer.
    #[must_use]
    pub fn with_field(mut self, name: FieldName, value: Value) -> Self {
        self.field = Some((name, value));
        self
    }

    /// The same, because of this error of the system.
    #[must_use]
    pub fn because_of(mut self, error: &io::Error) -> Self {
        self.os_error = error.raw_os_error();
        self
    }

    /// The same, of a kind that has a name.
    #[must_use]
    pub fn of_kind(mut self, problem: Problem) -> Self {
        self.problem = problem;
        self
    }

    /// 404 in the words that are the same for every reason, so that nothing is told of what exists.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Status::NOT_FOUND, "There is nothing at this address.")
    }

    /// 413 for content that is longer than what is taken, told before it comes.
    #[must_use]
    pub fn too_long(limit_bytes: u64) -> Self {
        Self::closing(Status::CONTENT_TOO_LARGE, format!("At most {limit_bytes} bytes are taken here."))
    }

    /// 405 with the `Allow` field that RFC 9110 section 15.5.6 demands.
    #[must_use]
    pub fn method_not_allowed(method: Method, allow: MethodSet) -> Self {
        Self::new(
            Status::METHOD_NOT_ALLOWED,
            format!("{} is not possible here; {} would be.", method.name(), allow.allow_value()),
        )
        .with_field(FieldName::Allow, Value::Text(allow.allow_value().into()))
    }
}
