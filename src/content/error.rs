//! Box `content_error`: a refusal becomes a page or a problem document, and a redirect a page with the link.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: nothing; it is the last resort.
//! RFC 9457 (problem details), RFC 9110 section 15.4 (redirects).

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use maud::html;
use serde::Serialize;

use super::page;
use crate::message::{
    Accept, Body, Digests, FieldName, Fields, Label, Prepared, Problem, Refusal, Response, ResponseFields, Status,
    Value,
};

/// In which form an error is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorForm {
    /// For a person.
    #[default]
    Page,
    /// For a program.
    Problem,
}

impl ErrorForm {
    /// The form that a client asks for. Who accepts neither gets the page: an error told in the wrong form is worth
    /// more than a 406 without reason.
    #[must_use]
    pub fn of(fields: &Fields<'_>) -> Self {
        // Most programs say nothing, and a list of what is accepted is large.
        if !fields.contains(FieldName::Accept) {
            return Self::default();
        }
        Accept::of(fields).choose(&OFFERS).unwrap_or_default()
    }
}

/// The page is first: a person with a browser sends `*/*` among others, a program that wants JSON says so.
const OFFERS: [(&str, ErrorForm); 3] = [
    ("text/html", ErrorForm::Page),
    ("application/problem+json", ErrorForm::Problem),
    ("application/json", ErrorForm::Problem),
];

/// A problem. Of type `about:blank` it says no more than its status and what is wrong with this request.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'r> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provided_offset: Option<u64>,
}

impl<'r> Document<'r> {
    fn of(problem: Problem, status: Status, detail: &'r str) -> Self {
        let (r#type, title, offsets) = match problem {
            Problem::Blank => ("about:blank", status.reason(), None),
            Problem::MismatchingUploadOffset { expected, provided } => (
                "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
                "Mismatching Upload Offset",
                Some((expected, provided)),
            ),
            Problem::CompletedUpload => {
                ("https://iana.org/assignments/http-problem-types#completed-upload", "Upload Is Completed", None)
            }
            Problem::InconsistentUploadLength => (
                "https://iana.org/assignments/http-problem-types#inconsistent-upload-length",
                "Inconsistent Upload Length Values",
                None,
            ),
        };
        let (expected_offset, provided_offset) = offsets.unzip();
        Self { r#type, title, status: status.code(), detail, expected_offset, provided_offset }
    }

    fn json(&self) -> Vec<u8> {
        // Text and numbers can always be written as JSON.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Makes the answer for a refusal, in the form that the client asked for.
#[doc(alias = "content_error")]
#[must_use]
pub fn error(refusal: &Refusal, form: ErrorForm) -> Response {
    let mut response = if !refusal.status.may_have_content() {
        Response::new(refusal.status)
    } else if refusal.status.is_error() {
        explain(refusal, form)
    } else {
        point_elsewhere(refusal)
    };
    if let Some((name, value)) = &refusal.field {
        response.fields.push(*name, value.clone());
    }
    response.ends_connection = refusal.ends_connection;
    response
}

fn explain(refusal: &Refusal, form: ErrorForm) -> Response {
    let status = refusal.status;
    // Only a program can make anything of a kind.
    let form = if refusal.problem == Problem::Blank { form } else { ErrorForm::Problem };
    match refusal.detail {
        _ if refusal.problem != Problem::Blank => {
            in_form(status, form, Body::Bytes(Document::of(refusal.problem, status, &refusal.detail).json()))
        }
        Cow::Borrowed(detail) => prepared(status, form, detail),
        Cow::Owned(ref detail) => in_form(status, form, Body::Bytes(render(status, form, detail))),
    }
}

/// The answer with this body, and the fields that tell what it is.
fn in_form(status: Status, form: ErrorForm, body: Body) -> Response {
    let response = match form {
        ErrorForm::Page => page::respond(status, body),
        ErrorForm::Problem => Response::with_body(status, "application/problem+json", body),
    };
    // 404, 405, 410, 414 and 501 may be cached unless told otherwise (RFC 9110 section 15.1), and what is missing now
    // may be uploaded in a second.
    response.with_field(FieldName::CacheControl, "no-store").with_field(FieldName::Vary, "Accept")
}

/// Status, form and words.
type Key = (u16, ErrorForm, &'static str);

thread_local! {
    /// Bodies in words that were known when fileserv was compiled: that also bounds how many there can be. The one that
    /// was wanted last is the first: mostly it is that of 404 again, and to compare costs less than to hash.
    static PREPARED: RefCell<Vec<(Key, Arc<Prepared>)>> = RefCell::default();
}

/// The answer in words that never change: body and fields are made once, and shared after that.
fn prepared(status: Status, form: ErrorForm, detail: &'static str) -> Response {
    let make = || Arc::new(prepare(in_form(status, form, Body::Empty).fields, render(status, form, detail)));
    let key = (status.code(), form, detail);
    let prepared = PREPARED.with_borrow_mut(|known| {
        match known.iter().position(|(of, _)| *of == key) {
            Some(at) => known.swap(0, at),
            None => known.insert(0, (key, make())),
        }
        known.first().map_or_else(make, |(_, prepared)| prepared.clone())
    });
    let mut response = Response::new(status);
    let length = prepared.content.len();
    response.body = Body::Prepared { prepared, offset: 0, length };
    response
}

fn prepare(fields: ResponseFields, content: Vec<u8>) -> Prepared {
    let label = Label::of_fields(fields, content.len() as u64);
    Prepared { label, content: content.into(), digests: Digests::default() }
}

fn render(status: Status, form: ErrorForm, detail: &str) -> Vec<u8> {
    match form {
        ErrorForm::Page => {
            let title = format!("{} {}", status.code(), status.reason());
            let content = html! {
                p { (detail) }
                p { a href="/" { "To the start page" } }
            };
            page::text(&title, &content)
        }
        ErrorForm::Problem => Document::of(Problem::Blank, status, detail).json(),
    }
}

/// The page of a redirect, for a client that doesn't follow it by itself.
fn point_elsewhere(refusal: &Refusal) -> Response {
    let target = match &refusal.field {
        Some((FieldName::Location, Value::Text(target))) => Some(target),
        _ => None,
    };
    let content = html! {
        p { (refusal.detail) }
        @if let Some(target) = target {
            p { a href=(target) { (target) } }
        }
    };
    page::respond(refusal.status, page::page(refusal.status.reason(), &content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, MethodSet};

    fn text(response: &Response) -> &str {
        let bytes = match &response.body {
            Body::Bytes(bytes) => bytes.as_slice(),
            Body::Prepared { prepared, .. } => &prepared.content,
            Body::Empty | Body::File { .. } | Body::Source { .. } | Body::Parts(_) => panic!("{response:?}"),
        };
        std::str::from_utf8(bytes).unwrap()
    }

    fn accepting(accept: &'static str) -> Fields<'static> {
        let mut fields = Fields::default();
        assert!(fields.push("Accept", accept.as_bytes()));
        fields
    }

    #[test]
    fn accept_decides_on_the_form() {
        let refusal = Refusal::new(Status::BAD_REQUEST, "a <b> & \"c\"");
        for (accept, is_problem) in [
            ("*/*", false),
            ("text/html", false),
            ("image/png", false),
            ("application/json", true),
            ("application/json, */*", true),
            ("application/problem+json", true),
        ] {
            let response = error(&refusal, ErrorForm::of(&accepting(accept)));
            if is_problem {
                let problem: serde_json::Value = serde_json::from_str(text(&response)).unwrap();
                assert_eq!(problem["type"], "about:blank");
                assert_eq!(problem["title"], "Bad Request");
                assert_eq!(problem["status"], 400);
                assert_eq!(problem["detail"], "a <b> & \"c\"");
                assert_eq!(response.content_type(), Some("application/problem+json"));
            } else {
                assert!(text(&response).contains("<h1>400 Bad Request</h1><p>a &lt;b&gt; &amp; &quot;c&quot;</p>"));
                assert_eq!(response.content_type(), Some("text/html; charset=utf-8"));
            }
            assert_eq!(response.field(FieldName::Vary), Some(&"Accept".into()));
            assert_eq!(response.field(FieldName::CacheControl), Some(&"no-store".into()));
        }
        assert!(text(&error(&refusal, ErrorForm::default())).starts_with("<!DOCTYPE html>"));
    }

    #[test]
    fn the_field_that_a_status_calls_for_is_sent() {
        let refusal = Refusal::method_not_allowed(Method::Delete, MethodSet::READ);
        let response = error(&refusal, ErrorForm::default());
        assert_eq!(response.status, Status::METHOD_NOT_ALLOWED);
        assert_eq!(response.fields.find(FieldName::Allow), Some(&String::from("GET, HEAD, OPTIONS").into()));
    }

    #[test]
    fn a_redirect_is_a_link() {
        let refusal = Refusal::new(Status::MOVED_PERMANENTLY, "This is a folder.")
            .with_field(FieldName::Location, "/a\"b/".into());
        let response = error(&refusal, ErrorForm::of(&accepting("application/json")));
        assert!(text(&response).contains("<a href=\"/a&quot;b/\">"), "{}", text(&response));
        assert_eq!(response.fields.find(FieldName::Location), Some(&"/a\"b/".into()));
        assert_eq!(response.field(FieldName::CacheControl), None);
    }

    #[test]
    fn fields_that_are_held_ready_can_be_changed() {
        let mut response =
            error(&Refusal::not_found(), ErrorForm::Page).with_field(FieldName::RetryAfter, Value::Number(1));
        let words = text(&response).to_owned();
        response.own_fields().vary_by(FieldName::Origin);
        let lines: Vec<_> = response.fields.iter().map(|(name, _)| name.text()).collect();
        let all = ["Content-Type", "Content-Security-Policy", "Cache-Control", "Vary", "Retry-After"];
        assert_eq!((lines.as_slice(), text(&response)), (&all[..], words.as_str()));
        assert_eq!(response.field(FieldName::Vary), Some(&String::from("Accept, Origin").into()));
        let other = error(&Refusal::not_found(), ErrorForm::Page);
        assert_eq!(other.field(FieldName::Vary), Some(&"Accept".into()), "the next one has what it had");
    }

    #[test]
    fn what_may_have_no_content_has_none() {
        let response = error(&Refusal::new(Status::NOT_MODIFIED, ""), ErrorForm::default());
        assert_eq!(response.body.length(), Some(0));
    }
}
