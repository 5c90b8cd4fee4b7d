//! Content that a helper thread must make room for before anybody knows who takes it. Meanwhile it waits in the kernel.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use super::connection::{Connection, Flow};
use super::desk::Desk;
use super::exchange::{Asked, Awaiting, Coming, Taker};
use super::handle::{DISCARD_LIMIT_BYTES, busy};
use super::offload::Task;
use crate::http;
use crate::message::{BodyFraming, Fields, Finish, Receive, Refusal, Response};

impl Connection {
    /// Has a helper thread find out who takes the content.
    pub(super) fn prepare(&mut self, task: Task, asked: Asked, coming: Coming, desk: &mut Desk) -> Flow {
        if desk.offload.submit(self.token, task) {
            return self.await_job(Awaiting::Taker(asked, coming), desk);
        }
        self.answer_unprepared(Err(busy()), asked, coming, desk)
    }

    /// The content may come.
    pub(super) fn take_ready(&mut self, receive: Receive, asked: Asked, coming: Coming, desk: &mut Desk) -> Flow {
        let Receive { sink, limit_bytes, interim } = receive;
        if coming.framing == BodyFraming::None {
            return self.finish_body(sink.finish(&Fields::default()), asked, desk);
        }
        if let Some(interim) = interim {
            desk.tally.count_interim();
            http::format_interim(&interim, &mut desk.out);
        }
        self.start_body(Taker::Sink(sink), limit_bytes, coming, asked, desk)
    }

    /// Nobody takes the content: a short one is read and dropped, so that the connection can go on.
    pub(super) fn answer_unprepared(
        &mut self,
        answer: Result<Response, Refusal>,
        mut asked: Asked,
        coming: Coming,
        desk: &mut Desk,
    ) -> Flow {
        if coming.framing == BodyFraming::None {
            return self.answer(&asked, answer, desk);
        }
        let is_short = coming.framing.length().is_none_or(|length| length <= DISCARD_LIMIT_BYTES);
        if is_short && !coming.expects_continue {
            return self.start_body(Taker::Nobody(Finish::Reply(answer)), DISCARD_LIMIT_BYTES, coming, asked, desk);
        }
        asked.facts.keep_alive = false;
        self.answer(&asked, answer, desk)
    }
}
