//! What the access log says of a reply, or of a request that never got one.
//! Process: worker, sealed. Blocks: never.

use std::net::IpAddr;

use super::connection::{Connection, State};
use super::desk::Desk;
use super::exchange::{Asked, Awaiting};
use crate::http::Head;
use crate::log::RequestLine;
use crate::message::{FieldName, Request};

impl Connection {
    /// Writes the log line of a reply that is over.
    pub(super) fn log_reply(&mut self, desk: &mut Desk) {
        if let State::SendReply(sending) = &mut self.state
            && let Some(line) = sending.log.take()
        {
            desk.access_log.finish(&line, sending.sent_bytes);
        }
    }

    /// Writes the log line of whatever was under way when the connection ended.
    pub(super) fn log_end(&mut self, desk: &mut Desk) {
        match &mut self.state {
            State::SendReply(_) => self.log_reply(desk),
            State::AwaitJob(awaiting) => match &mut **awaiting {
                Awaiting::Piece(sending) | Awaiting::Fetch(sending) => {
                    if let Some(line) = sending.log.take() {
                        desk.access_log.finish(&line, sending.sent_bytes);
                    }
                }
                Awaiting::Sink { receiving, .. } => log_unanswered(&receiving.asked, self.client, desk),
                Awaiting::Answer(asked) | Awaiting::Taker(asked, _) | Awaiting::Verdict(asked) => {
                    log_unanswered(asked, self.client, desk);
                }
            },
            State::RecvBody(receiving) => log_unanswered(&receiving.asked, self.client, desk),
            State::RecvProxy | State::RecvHead | State::Linger => {}
        }
    }
}

/// A request whose client was gone before its answer: 499, as nginx's users know it.
fn log_unanswered(asked: &Asked, client: Option<IpAddr>, desk: &mut Desk) {
    const CLIENT_CLOSED_REQUEST: u16 = 499;
    if let Some(words) = &asked.for_log {
        let line = fill_in(words.line(NOTHING_KNOWN), client, CLIENT_CLOSED_REQUEST, desk);
        desk.access_log.write(&line, 0);
    }
}

/// Adds to a line what the worker knows.
pub(super) fn fill_in<'r>(line: RequestLine<'r>, client: Option<IpAddr>, status: u16, desk: &Desk) -> RequestLine<'r> {
    RequestLine { client, unix_seconds: desk.now.unix_seconds, status, ..line }
}

/// What the access log says of bytes that are no request; the rest is filled in when the answer is known.
pub(super) const NOTHING_KNOWN: RequestLine<'static> = RequestLine {
    client: None,
    user: None,
    unix_seconds: 0,
    request: None,
    status: 0,
    referer: None,
    user_agent: None,
};

pub(super) fn log_line<'r>(request: &'r Request<'_>, head: &'r Head<'_>) -> RequestLine<'r> {
    RequestLine {
        request: Some(head.line),
        referer: request.field(FieldName::Referer),
        user_agent: request.field(FieldName::UserAgent),
        user: request.visitor.user.as_deref(),
        ..NOTHING_KNOWN
    }
}
