//! A response becomes a reply: it is formatted and logged, and a small one is done with that.
//! Process: worker, sealed. Blocks: never.

use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Asked, Awaiting, Sending, Then};
use super::reply_log::{NOTHING_KNOWN, fill_in, log_line};
use super::send::{COPIED_PART_BYTES, append_part};
use crate::content::{self, ErrorForm};
use crate::http::{self, Facts, Head, Reply};
use crate::log::RequestLine;
use crate::message::{Body, FieldName, Fields, Refusal, Request, Response};

/// A body up to this size is copied behind its head, so that many replies go out in one call.
const COPIED_BODY_BYTES: usize = 16 * 1024;

impl Connection {
    /// Answers a request whose bytes are still in the buffer: the hot path, without an allocation.
    pub(super) fn reply_now(
        &mut self,
        response: &mut Response,
        facts: &Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        is_last: bool,
        desk: &mut Desk,
    ) -> Flow {
        // A client that wanted to close, and has sent nothing more, need not be waited for.
        let unless_kept = if facts.client_closes && is_last { Then::Close } else { Then::Linger };
        let form = || ErrorForm::of(request.fields);
        self.reply(response, facts, form, unless_kept, || Some(log_line(request, head)), desk)
    }

    /// The same for an answer that comes before content which will not be read.
    pub(super) fn reply_and_linger(
        &mut self,
        response: &mut Response,
        facts: &Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        desk: &mut Desk,
    ) -> Flow {
        let form = || ErrorForm::of(request.fields);
        self.reply(response, facts, form, Then::Linger, || Some(log_line(request, head)), desk)
    }

    /// Answers a request whose bytes are gone.
    pub(super) fn answer(&mut self, asked: &Asked, answer: Result<Response, Refusal>, desk: &mut Desk) -> Flow {
        let answer = answer.map_err(|refusal| asked.facts.audience.ask_for_user(refusal));
        let mut response = answer.unwrap_or_else(|refusal| {
            content::tell_operator(&desk.logs, None, &refusal);
            content::error(&refusal, asked.error_form)
        });
        let facts = Facts { keep_alive: asked.facts.keep_alive && !desk.is_draining, ..asked.facts };
        let line = || asked.for_log.as_ref().map(|words| words.line(NOTHING_KNOWN));
        self.reply(&mut response, &facts, || asked.error_form, Then::Linger, line, desk)
    }

    /// Answers bytes that are no request.
    pub(super) fn refuse_unparsed(&mut self, refusal: &Refusal, desk: &mut Desk) -> Flow {
        let mut response = content::error(refusal, ErrorForm::default());
        self.reply(&mut response, &Facts::OF_NO_REQUEST, ErrorForm::default, Then::Linger, || Some(NOTHING_KNOWN), desk)
    }

    /// Answers a head that makes no request.
    pub(super) fn refuse_head(
        &mut self,
        head: &Head<'_>,
        fields: &Fields<'_>,
        refusal: &Refusal,
        desk: &mut Desk,
    ) -> Flow {
        let mut response = content::error(refusal, ErrorForm::of(fields));
        let line = || {
            let (referer, user_agent) = (fields.first(FieldName::Referer), fields.first(FieldName::UserAgent));
            Some(RequestLine { request: Some(head.line), referer, user_agent, ..NOTHING_KNOWN })
        };
        let facts = Facts { method: head.known_method(), ..Facts::OF_NO_REQUEST };
        self.reply(&mut response, &facts, || ErrorForm::of(fields), Then::Linger, line, desk)
    }

    /// Formats a response. A small body goes out with its head; for any other the state changes to `SendReply`.
    /// `unless_kept` is what happens after a reply that ends the connection, `form` the one of an error, should the body
    /// not be had, `line` what the access log says of the request.
    fn reply<'r>(
        &mut self,
        response: &mut Response,
        facts: &Facts,
        form: impl FnOnce() -> ErrorForm,
        unless_kept: Then,
        line: impl FnOnce() -> Option<RequestLine<'r>>,
        desk: &mut Desk,
    ) -> Flow {
        let is_begun = self.begin_source(response, facts.method, desk).unwrap_or_else(|refusal| {
            *response = content::error(&refusal, form());
            false
        });
        let status = response.status;
        desk.tally.count_answer(status);
        facts.audience.dress(response);
        let site = desk.config.sites.get(facts.site);
        let fixed = facts.fields.and_then(|id| site.fields.get(id));
        let cors = facts.audience.cors.id.map_or("", |id| site.cors.lines(id));
        let Reply { is_chunked, keep_alive } =
            http::format(response, facts, fixed, cors, &desk.common_lines, &mut desk.out);
        let then = if keep_alive { Then::Next } else { unless_kept };
        let line = if desk.access_log.is_on() { line() } else { None };
        let line = line.map(|line| fill_in(line, self.client, status.code(), desk));
        if then == Then::Next
            && let Some(bytes) = copy_small(&response.body, &mut desk.out)
        {
            if let Some(line) = line {
                desk.access_log.write(&line, bytes);
            }
            return self.next_request(desk);
        }
        let log = line.map(|line| desk.access_log.begin(&line));
        let sending = Sending::new(std::mem::take(&mut response.body), is_chunked, then, log);
        if is_begun {
            return self.await_job(Awaiting::Piece(sending), desk);
        }
        self.begin_sending(desk);
        self.state = State::SendReply(Box::new(sending));
        Flow::Next
    }

    /// The reply is out: the client may think about the next request.
    pub(super) fn next_request(&mut self, desk: &mut Desk) -> Flow {
        self.state = State::RecvHead;
        // The next request of a proxy may be another client's.
        if self.is_trusted {
            self.dismiss(&mut desk.clients);
        }
        self.set_deadline(desk, desk.config.timeouts.idle);
        Flow::Next
    }
}

/// Copies a small body behind its head, if all of it is at hand; how many bytes was that?
fn copy_small(body: &Body, out: &mut Vec<u8>) -> Option<u64> {
    let content = match body {
        Body::Empty => &[][..],
        Body::Bytes(bytes) => bytes.as_slice(),
        Body::Prepared { prepared, offset, length } => prepared.content.get(*offset..offset + length)?,
        Body::File { file, offset, length: length @ 1..=COPIED_PART_BYTES } => {
            return append_part(file, *offset, *length, out).then_some(*length);
        }
        Body::File { .. } | Body::Source { .. } | Body::Parts(_) => return None,
    };
    if content.len() > COPIED_BODY_BYTES {
        return None;
    }
    out.extend_from_slice(content);
    Some(content.len() as u64)
}
