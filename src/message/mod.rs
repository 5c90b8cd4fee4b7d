//! The words of RFC 9110 and 9112 as types: what every box of the pipeline hands to the next one.
//! Process: any. No descriptors, no clock, no system calls. Imports nothing of fileserv.

mod accept;
mod accept_encoding;
mod body;
mod date;
mod digest;
mod etag;
mod fields;
mod label;
mod lines;
mod method;
mod precondition;
mod quality;
mod refusal;
mod request;
mod response;
mod status;
mod upload_state;
mod verb;
mod visitor;

pub use accept::Accept;
pub use accept_encoding::{AcceptEncoding, Coding};
pub use body::{
    Body, BodySink, BodySource, Finish, Job, OpenFile, PIECE_BYTES, Prepared, Progress, Seen, Work, Worked,
};
pub use date::{HttpDate, IMF_FIXDATE_BYTES};
pub use digest::{Algorithm, Claim, Claims, Digest, Digests, Hasher, wanted};
pub use etag::ETag;
pub use fields::{FIELD_LIMIT, Field, FieldName, FieldNames, Fields};
pub use label::Label;
pub use lines::{write_line, write_representation_lines};
pub use method::{Method, MethodSet};
pub use precondition::{Comparison, Preconditions, Verdict, evaluate_fields, precondition_detail, tag_matches};
pub use refusal::{Problem, Refusal};
pub use request::{BodyFraming, Request, Version};
pub use response::{
    ContentRange, Filled, Handled, Interim, Provided, Receive, Response, ResponseFields, Validators, Value,
};
pub use status::Status;
pub use upload_state::{PARTIAL_UPLOAD, UploadLimit, UploadState, boolean_text};
pub use verb::{Verb, Verbs};
pub use visitor::Visitor;
