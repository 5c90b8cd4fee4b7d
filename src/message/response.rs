//! The answer that a content provider gives, before it is formatted.

use std::borrow::Cow;
use std::fmt;

use arrayvec::ArrayVec;

use super::{Body, BodySink, ETag, FieldName, HttpDate, Job, Label, Refusal, Status, Work};

/// So many lines are kept in the response itself: enough for a part of a file, the one answer of the hot path whose body
/// does not hold all of them ready.
const INLINE_FIELDS: usize = 1;

/// A field value that is cheap to make and to move.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text known when fileserv was compiled, or made for this response.
    Text(Cow<'static, str>),
    /// A decimal number.
    Number(u64),
    /// An HTTP date.
    Date(HttpDate),
    /// An entity tag.
    Tag(ETag),
    /// Which bytes of how many.
    Range(ContentRange),
}

/// A `Content-Range` (RFC 9110 section 14.4), for answers that need no heap for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// How many there are in all.
    pub complete: u64,
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.first, self.last, self.complete)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// The field lines of a response that its provider chose.
#[derive(Debug, Clone, Default)]
pub struct ResponseFields {
    first: ArrayVec<(FieldName, Value), INLINE_FIELDS>,
    /// Those that come after as many as there is room for.
    rest: Vec<(FieldName, Value)>,
}

impl ResponseFields {
    /// Adds a line.
    pub fn push(&mut self, name: FieldName, value: impl Into<Value>) {
        let line = (name, value.into());
        if self.rest.is_empty() {
            if let Err(full) = self.first.try_push(line) {
                self.rest.push(full.element());
            }
        } else {
            self.rest.push(line);
        }
    }

    /// Says that the answer depends on this field of the request too, in the one line that there is.
    pub fn vary_by(&mut self, name: FieldName) {
        let line = self.first.iter_mut().chain(&mut self.rest).find(|(line, _)| *line == FieldName::Vary);
        match line {
            Some((_, Value::Text(names))) => *names = Cow::Owned(format!("{names}, {}", name.text())),
            Some((_, Value::Number(_) | Value::Date(_) | Value::Tag(_) | Value::Range(_))) => {}
            None => self.push(FieldName::Vary, name.text()),
        }
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }

    /// The lines in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &(FieldName, Value)> {
        self.first.iter().chain(&self.rest)
    }

    /// The first line of this name.
    #[must_use]
    pub fn find(&self, name: FieldName) -> Option<&Value> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Takes away every line that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldName) -> bool) {
        self.first.retain(|(name, _)| keep(*name));
        self.rest.retain(|(name, _)| keep(*name));
    }
}

/// What tells one state of a representation from another (RFC 9110 section 8.8).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Validators {
    /// The entity tag.
    pub etag: Option<ETag>,
    /// The time of the last change.
    pub last_modified: Option<HttpDate>,
}

/// An answer: what a provider makes and `format` turns into bytes.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// Fields besides those that `format` writes (Date, Server, Connection, framing, validators).
    pub fields: ResponseFields,
    /// Validators of the selected representation. They decide conditional requests and are sent with 200, 206 and 304.
    pub validators: Validators,
    /// May a part of it be asked for? Then `Accept-Ranges: bytes` is sent and `Range` is looked at.
    pub accepts_ranges: bool,
    /// The content.
    pub body: Body,
    /// Can it not be told where the next request starts? Then this answer is the connection's last.
    pub ends_connection: bool,
}

impl Response {
    /// A response without fields or content.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self {
            status,
            fields: ResponseFields::default(),
            validators: Validators::default(),
            accepts_ranges: false,
            body: Body::Empty,
            ends_connection: false,
        }
    }

    /// A response with content of this type.
    #[must_use]
    pub fn with_body(status: Status, content_type: impl Into<Value>, body: Body) -> Self {
        let mut response = Self::new(status);
        response.fields.push(FieldName::ContentType, content_type);
        response.body = body;
        response
    }

    /// A response with a file that is held ready, of which parts may be asked for.
    #[must_use]
    pub fn with_file(body: Body) -> Self {
        let mut response = Self::new(Status::OK);
        response.hold_file(body);
        response
    }

    /// Makes a response without fields or content one with a file that is held ready, of which parts may be asked for.
    pub fn hold_file(&mut self, body: Body) {
        self.validators = body.label().map_or_else(Validators::default, Label::validators);
        self.accepts_ranges = true;
        self.body = body;
    }

    /// The value of `Content-Type`, wherever it is kept.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        match self.fields.find(FieldName::ContentType) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Number(_) | Value::Date(_) | Value::Tag(_) | Value::Range(_)) | None => {
                self.body.label().map(Label::content_type)
            }
        }
    }

    /// The first field of this name, wherever it is kept.
    #[must_use]
    pub fn field(&self, name: FieldName) -> Option<&Value> {
        self.body.label().and_then(|label| label.fields().find(name)).or_else(|| self.fields.find(name))
    }

    /// The fields, to be changed: those that the body holds ready become the response's own. That costs a copy of the
    /// content, which is a short one.
    pub fn own_fields(&mut self) -> &mut ResponseFields {
        if let Body::Prepared { prepared, offset, length } = &self.body
            && !prepared.label.fields().is_empty()
        {
            let mut fields = prepared.label.fields().clone();
            for (name, value) in self.fields.iter() {
                fields.push(*name, value.clone());
            }
            let content = prepared.content.get(*offset..offset + length).unwrap_or_default().to_vec();
            (self.fields, self.body) = (fields, Body::Bytes(content));
        }
        &mut self.fields
    }

    /// The same with one more field.
    #[must_use]
    pub fn with_field(mut self, name: FieldName, value: impl Into<Value>) -> Self {
        self.fields.push(name, value);
        self
    }
}

/// A sink for the content of a request, and how much of it is taken.
pub struct Receive {
    /// Who takes it.
    pub sink: Box<dyn BodySink>,
    /// More than this is answered 413.
    pub limit_bytes: u64,
    /// What the client is told before its content is taken.
    pub interim: Option<Box<Interim>>,
}

/// An answer before the answer (RFC 9110 section 15.2). `100 Continue` is none: the worker knows by itself when to say it.
#[derive(Debug)]
pub struct Interim {
    /// 1xx.
    pub status: Status,
    /// Its fields.
    pub fields: ResponseFields,
}

/// What a provider does with a request. `R` is its answer, or says where that stands.
pub enum Handled<R = Response> {
    /// Answers.
    Reply(R),
    /// Needs the content first.
    Receive(Receive),
    /// Needs work first that may block.
    Await(Job),
    /// Needs work first that takes long.
    Work(Box<dyn Work>),
    /// Needs work that may block before it can be said who takes the content.
    Prepare(Box<dyn Work>),
}

/// The answer stands where the caller has made room for it: it is large to be handed from box to box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled;

impl<R> Handled<R> {
    /// The same with another answer, if it is one.
    pub fn map<S>(self, answer: impl FnOnce(R) -> S) -> Handled<S> {
        match self {
            Self::Reply(reply) => Handled::Reply(answer(reply)),
            Self::Receive(receive) => Handled::Receive(receive),
            Self::Await(job) => Handled::Await(job),
            Self::Work(work) => Handled::Work(work),
            Self::Prepare(work) => Handled::Prepare(work),
        }
    }
}

impl Handled {
    /// Puts the answer, if it is one, where there is room for it.
    pub fn fill(self, room: &mut Response) -> Handled<Filled> {
        self.map(|response| {
            *room = response;
            Filled
        })
    }
}

impl From<Response> for Handled {
    fn from(response: Response) -> Self {
        Self::Reply(response)
    }
}

/// What every provider's function returns.
pub type Provided = Result<Handled, Refusal>;
