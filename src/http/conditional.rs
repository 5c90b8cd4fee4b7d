//! Conditional requests (RFC 9110 section 13): a 200 becomes a 304, a 412, or stays what it is.
//! Process: worker, sealed. Pure.

use crate::content;
use crate::message::{
    Body, FieldName, Refusal, Request, Response, Status, Verdict, evaluate_fields, precondition_detail,
};

/// Looks at the preconditions of a retrieval that would succeed.
pub(super) fn apply(request: &Request<'_>, response: &mut Response) {
    match evaluate_fields(request.fields, request.method, Some(response.validators)) {
        Verdict::Proceed => {}
        Verdict::NotModified => not_modified(response),
        Verdict::Failed(field) => {
            let refusal = Refusal::new(Status::PRECONDITION_FAILED, precondition_detail(field, true));
            *response = content::error(&refusal, content::ErrorForm::of(request.fields));
        }
    }
}

/// A 304 has no content and only the fields that a cache needs (RFC 9110 section 15.4.5).
fn not_modified(response: &mut Response) {
    const KEPT: [FieldName; 3] = [FieldName::CacheControl, FieldName::Vary, FieldName::Location];
    response.status = Status::NOT_MODIFIED;
    response.fields.retain(|name| KEPT.contains(&name));
    response.accepts_ranges = false;
    // What holds its lines ready holds those of a 304 too.
    if response.body.label().is_none() {
        response.body = Body::Empty;
    }
}
