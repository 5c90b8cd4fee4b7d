//! A complete head goes through the pipeline, and what comes of it decides what the connection does next.
//! Process: worker, sealed. Trusts: nothing. Blocks: as the providers do.

use super::await_job::count_upload;
use super::connection::{Connection, Flow};
use super::desk::Desk;
use super::exchange::{Asked, AskedForLog, Awaiting, Coming, Taker};
use super::identify::Identity;
use super::offload::Task;
use crate::content::{self, ErrorForm};
use crate::http::{self, Audience, Facts, Head};
use crate::message::{
    BodyFraming, FieldName, Fields, Filled, Finish, Handled, Refusal, Request, Response, Status, Value,
};

/// How much content that nobody wants is read and dropped so that the connection can go on.
pub(super) const DISCARD_LIMIT_BYTES: u64 = 1024 * 1024;

impl Connection {
    /// A head is complete: through the pipeline with it. `is_last`: nothing has come behind it.
    pub(super) fn handle(&mut self, head: &Head<'_>, fields: &Fields<'_>, is_last: bool, desk: &mut Desk) -> Flow {
        self.requests = self.requests.saturating_add(1);
        if self.is_trusted
            && let Err(refusal) = self.introduce_request(fields, desk)
        {
            return self.refuse_head(head, fields, &refusal, desk);
        }
        // A request and its answer stay where they are made: they are large to be handed from box to box.
        let mut validated = http::validate(head, fields);
        let request = match &mut validated {
            Ok(request) => request,
            Err(refusal) => return self.refuse_head(head, fields, refusal, desk),
        };
        let may_go_on = !desk.is_draining && self.requests < desk.config.limits.requests_per_connection;
        let site = desk.hosts.site_of(request.host);
        let identity = self.identify(request, site, desk);
        request.visitor = self.visitor(identity.as_ref().ok());
        let facts = Facts {
            method: request.method,
            version: request.version,
            keep_alive: request.keep_alive && may_go_on,
            client_closes: !request.keep_alive,
            site,
            fields: desk.config.sites.get(site).fields.find(&request.path),
            audience: Audience::of(desk.config.sites.get(site), request, desk.schemes(site)),
        };
        let mut response = Response::new(Status::OK);
        let handled = match identity {
            Ok(Identity::Unknown | Identity::User(_)) => {
                http::handle_request(&mut desk.context(site), request, &facts.audience, &mut response)
            }
            Ok(Identity::Wait) => return self.await_verdict(asked(request, head, &facts, desk), desk),
            Err(refusal) => http::refuse_request(&desk.context(site), request, &refusal, &mut response),
        };
        match (handled, request.framing) {
            (Handled::Reply(Filled), BodyFraming::None) => {
                self.reply_now(&mut response, &facts, request, head, is_last, desk)
            }
            (handled, _) => self.go_on(handled.map(|Filled| response), &facts, request, head, desk),
        }
    }

    /// What comes of the request, if not an answer at once, decides what the connection does next.
    fn go_on(
        &mut self,
        handled: Handled,
        facts: &Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        desk: &mut Desk,
    ) -> Flow {
        match (handled, request.framing) {
            (Handled::Reply(response), _) => self.discard_then(Finish::Reply(Ok(response)), facts, request, head, desk),
            (Handled::Await(job), BodyFraming::None) => {
                self.start(Task::Job(job), asked(request, head, facts, desk), desk)
            }
            (Handled::Await(job), _) => self.discard_then(Finish::Job(job), facts, request, head, desk),
            (Handled::Work(work), BodyFraming::None) => {
                self.start(Task::Work(work), asked(request, head, facts, desk), desk)
            }
            (Handled::Work(work), _) => self.discard_then(Finish::Work(work), facts, request, head, desk),
            (Handled::Prepare(work), _) => {
                let asked = asked(request, head, facts, desk);
                self.prepare(Task::Prepare(work), asked, Coming::of(request), desk)
            }
            (Handled::Receive(receive), BodyFraming::None) => {
                let asked = asked(request, head, facts, desk);
                self.finish_body(receive.sink.finish(&Fields::default()), asked, desk)
            }
            (Handled::Receive(receive), _) => {
                let asked = asked(request, head, facts, desk);
                self.start_body(Taker::Sink(receive.sink), receive.limit_bytes, Coming::of(request), asked, desk)
            }
        }
    }

    /// The answer is known before the content has come. A short content is read and dropped; for a long one, or one
    /// that waits for our word, the answer goes out at once and ends the connection.
    fn discard_then(
        &mut self,
        finish: Finish,
        facts: &Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        desk: &mut Desk,
    ) -> Flow {
        let is_short = request.framing.length().is_none_or(|length| length <= DISCARD_LIMIT_BYTES);
        // An answer that is the connection's last anyway is not held back either.
        let is_last = matches!(&finish, Finish::Reply(Ok(response)) if response.ends_connection);
        if is_short && !is_last && !request.expects_continue {
            let asked = asked(request, head, facts, desk);
            return self.start_body(Taker::Nobody(finish), DISCARD_LIMIT_BYTES, Coming::of(request), asked, desk);
        }
        let facts = &Facts { keep_alive: false, ..*facts };
        match finish {
            Finish::Reply(Ok(mut response)) => self.reply_and_linger(&mut response, facts, request, head, desk),
            Finish::Reply(Err(refusal)) => {
                content::tell_operator(&desk.logs, Some(&request.path), &refusal);
                let mut response = content::error(&refusal, ErrorForm::of(request.fields));
                self.reply_and_linger(&mut response, facts, request, head, desk)
            }
            Finish::Job(job) => self.start(Task::Job(job), asked(request, head, facts, desk), desk),
            Finish::Work(work) => self.start(Task::Work(work), asked(request, head, facts, desk), desk),
        }
    }

    /// The content is complete, or there was none.
    pub(super) fn finish_body(&mut self, finish: Finish, asked: Asked, desk: &mut Desk) -> Flow {
        match finish {
            Finish::Reply(answer) => {
                // It may have changed a file in the loop, which the requests behind this one must find changed.
                desk.cache.fall_behind();
                count_upload(&asked, answer.as_ref().ok(), desk);
                self.answer(&asked, answer, desk)
            }
            Finish::Job(job) => self.start(Task::Job(job), asked, desk),
            Finish::Work(work) => self.start(Task::Work(work), asked, desk),
        }
    }

    /// Has a helper thread do what the answer needs.
    pub(super) fn start(&mut self, task: Task, asked: Asked, desk: &mut Desk) -> Flow {
        if desk.offload.submit(self.token, task) {
            return self.await_job(Awaiting::Answer(asked), desk);
        }
        self.answer(&asked, Err(busy()), desk)
    }
}

/// What must outlive the bytes of this request.
fn asked(request: &Request<'_>, head: &Head<'_>, facts: &Facts, desk: &Desk) -> Asked {
    let for_log = desk.access_log.is_on().then(|| Box::new(AskedForLog::of(request, head.line)));
    Asked { facts: *facts, error_form: ErrorForm::of(request.fields), for_log }
}

/// The helper threads have more to do than they can.
pub(super) fn busy() -> Refusal {
    Refusal::new(Status::SERVICE_UNAVAILABLE, "The server is busy; try again in a moment.")
        .with_field(FieldName::RetryAfter, Value::Number(1))
}
