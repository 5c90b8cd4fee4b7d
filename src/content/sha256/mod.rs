//! Box `content_sha256`: the SHA-256 digest of a form field, of any other content, or of a served file.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 403, 404, 405, 415, 500, 503.
//!
//! A POST of a form with the field `sha_input` is answered with the digest of that field, any other content with the
//! digest of its bytes, as `sha256sum` prints it. `curl --data-binary @FILE` declares every file to be a form, so a
//! "form" without that field counts as any other content. Nothing is kept of what is sent but the digest, so it may be
//! as long as `limits.body_bytes` allows.

mod file;
mod form;

use std::fmt::Write;

use maud::{Markup, html};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Context, page};
use crate::message::{
    Accept, Body, BodySink, FieldName, Finish, Handled, Provided, Receive, Refusal, Request, Response, Status,
};
pub use file::sha256_of_file;
pub(super) use file::{DIGEST_PIECE_BYTES, FileDigest};
use form::{Field, FormDigest};

/// The field of the form.
const FIELD: &str = "sha_input";

/// The page with the form, and the answer to what is posted.
#[doc(alias = "content_sha256")]
#[expect(clippy::missing_errors_doc, reason = "the head of this file names the refusals of its provider")]
pub fn sha256(ctx: &Context<'_>, request: &Request<'_>) -> Provided {
    if request.method.is_retrieval() {
        let response = page::respond(Status::OK, page::page("SHA-256", &form_markup()));
        return Ok(response.with_field(FieldName::CacheControl, "max-age=3600").into());
    }
    let accept = Accept::of(request.fields);
    let (page, text, json) = (("text/html", Form::Page), ("text/plain", Form::Text), ("application/json", Form::Json));
    // A person sends the form, a program anything else; each gets its own form of answer unless it asks otherwise.
    let of_content = accept.choose(&[text, json, page]).unwrap_or(Form::Text);
    let of_field = accept.choose(&[page, text, json]).unwrap_or(Form::Page);
    let sink: Box<dyn BodySink> = match content_type(request).as_str() {
        "application/x-www-form-urlencoded" => {
            Box::new(FormSink { form: FormDigest::new(FIELD), of_field, content: ContentSink::new(of_content) })
        }
        "multipart/form-data" => {
            return Err(Refusal::new(
                Status::UNSUPPORTED_MEDIA_TYPE,
                "A form must come as application/x-www-form-urlencoded; the bytes of a file as application/octet-stream.",
            ));
        }
        _ => Box::new(ContentSink::new(of_content)),
    };
    Ok(Handled::Receive(Receive { sink, limit_bytes: ctx.config.limits.body_bytes }))
}

/// The media type of the request's content in lower case, without parameters.
fn content_type(request: &Request<'_>) -> String {
    let value = request.field(FieldName::ContentType).unwrap_or_default();
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase()
}

/// Digests content as it comes.
struct ContentSink {
    digest: Sha256,
    bytes: u64,
    answer: Form,
}

impl ContentSink {
    fn new(answer: Form) -> Self {
        Self { digest: Sha256::new(), bytes: 0, answer }
    }
}

impl BodySink for ContentSink {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.digest.update(chunk);
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Finish {
        let digested = Digested { sha256: hex(self.digest), bytes: self.bytes };
        // What `sha256sum < FILE` prints, so the two can be compared, and `sha256sum -c` reads it.
        let line = format!("{}  -\n", digested.sha256);
        Finish::Reply(Ok(answer(self.answer, &digested, line)))
    }
}

/// Digests content that is declared to be a form.
struct FormSink {
    form: FormDigest,
    of_field: Form,
    /// For content that turns out to have no field of ours; no longer fed once it has.
    content: ContentSink,
}

impl BodySink for FormSink {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.form.take(chunk);
        if self.form.has_field() { Ok(()) } else { self.content.take(chunk) }
    }

    fn finish(self: Box<Self>) -> Finish {
        match self.form.finish() {
            Field::Absent => Box::new(self.content).finish(),
            Field::Once { digest, bytes } => {
                let digested = Digested { sha256: hex(digest), bytes };
                let line = format!("{}\n", digested.sha256);
                Finish::Reply(Ok(answer(self.of_field, &digested, line)))
            }
            Field::Repeated => Finish::Reply(Err(Refusal::new(
                Status::BAD_REQUEST,
                format!("The form has the field “{FIELD}” more than once."),
            ))),
        }
    }
}

/// In which form a digest is told.
#[derive(Debug, Clone, Copy)]
enum Form {
    Page,
    Text,
    Json,
}

/// A digest, and of how much.
#[derive(Serialize)]
struct Digested {
    sha256: String,
    bytes: u64,
}

/// The 64 digits of a finished digest.
fn hex(digest: Sha256) -> String {
    digest.finalize().iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a String can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn answer(form: Form, digested: &Digested, line: String) -> Response {
    let response = match form {
        Form::Page => page::respond(Status::OK, page::page("SHA-256", &result_markup(digested))),
        Form::Text => Response::with_body(Status::OK, "text/plain; charset=utf-8", Body::Bytes(line.into_bytes())),
        Form::Json => {
            // Text and a number can always be written as JSON.
            let mut bytes = serde_json::to_vec(digested).unwrap_or_default();
            bytes.push(b'\n');
            Response::with_body(Status::OK, "application/json", Body::Bytes(bytes))
        }
    };
    response.with_field(FieldName::CacheControl, "no-store").with_field(FieldName::Vary, "Accept")
}

fn result_markup(digested: &Digested) -> Markup {
    html! {
        p { output { (digested.sha256) } }
        p.faint { "of " (digested.bytes) @if digested.bytes == 1 { " byte" } @else { " bytes" } }
        (form_markup())
    }
}

fn form_markup() -> Markup {
    html! {
        form method="post" accept-charset="utf-8" {
            p { label for=(FIELD) { "Text" } textarea #(FIELD) name=(FIELD) rows="8" spellcheck="false" {} }
            p { button { "Digest" } }
        }
        p.faint { "The text is digested as UTF-8. Browsers send each line end as CR LF." }
        p.faint { "A file: " code { "curl -H 'Content-Type: application/octet-stream' --data-binary @FILE URL" } }
        p.faint { "A file of this server, for " code { "sha256sum -c" } ": append its path to this address." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::{World, ask, receive, whole, with_request};
    use crate::message::Method;
    use std::path::Path;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8");

    fn post(lines: &[(&str, &str)], content: &[u8], piece: usize) -> Result<String, Refusal> {
        let world = World::new(Path::new("."));
        let handled = with_request(Method::Post, "/sha256", None, lines, |request| sha256(&world.context(), request))?;
        Ok(String::from_utf8(whole(receive(handled, content, piece)?.body)).unwrap())
    }

    #[test]
    fn the_page_has_the_form() {
        let response = ask(sha256, Method::Get, "/sha256", None, &[]).unwrap();
        let text = String::from_utf8(whole(response.body)).unwrap();
        assert!(text.contains("<form method=\"post\"") && text.contains("name=\"sha_input\""), "{text}");
    }

    #[test]
    fn a_form_field_is_digested_whatever_the_pieces() {
        let text = ("Accept", "text/plain");
        for piece in 1..12 {
            assert_eq!(post(&[FORM, text], b"sha_input=abc", piece).unwrap(), format!("{ABC}\n"));
            assert_eq!(post(&[FORM, text], b"x=1&sha%5Finput=%61b%63&y", piece).unwrap(), format!("{ABC}\n"));
            assert_eq!(post(&[FORM, text], b"sha_input=", piece).unwrap(), format!("{EMPTY}\n"));
        }
        let page = post(&[FORM], b"sha_input=abc", 100).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(ABC) && page.contains("of 3 bytes"));
        let json = post(&[FORM, ("Accept", "application/json")], b"sha_input=abc", 100).unwrap();
        assert_eq!(json, format!("{{\"sha256\":\"{ABC}\",\"bytes\":3}}\n"));
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let refusal = post(&[FORM], b"sha_input=abc&sha_input=abc", 100).unwrap_err();
        assert_eq!(refusal.status, Status::BAD_REQUEST);
        assert!(refusal.detail.contains("sha_input"));
    }

    #[test]
    fn other_content_is_digested_as_it_is() {
        for piece in [1, 2, 3] {
            assert_eq!(post(&[], b"abc", piece).unwrap(), format!("{ABC}  -\n"));
            assert_eq!(post(&[("Content-Type", "image/png")], b"abc", piece).unwrap(), format!("{ABC}  -\n"));
            // What curl sends for `--data-binary @FILE`.
            assert_eq!(post(&[FORM, ("Accept", "*/*")], b"abc", piece).unwrap(), format!("{ABC}  -\n"));
        }
        assert_eq!(post(&[], b"", 1).unwrap(), format!("{EMPTY}  -\n"));
        // One million times "a": the long vector of FIPS 180.
        let million = vec![b'a'; 1_000_000];
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0  -\n";
        assert_eq!(post(&[], &million, 65_536).unwrap(), expected);
        assert_eq!(post(&[FORM], &million, 65_536).unwrap(), expected);
    }

    #[test]
    fn what_cant_be_taken_is_refused() {
        let multipart = [("Content-Type", "Multipart/Form-Data; boundary=x")];
        assert_eq!(post(&multipart, b"", 1).unwrap_err().status, Status::UNSUPPORTED_MEDIA_TYPE);
    }
}
