//! Content on its way to a sink that may have to wait for a disk: it goes there a piece at a time, on a helper thread.
//! Process: worker, sealed. Blocks: never; that is what it is for. Meanwhile more content waits in the kernel, so the
//! client sends while the disk writes, and who has many uploads under way has one piece of each in memory.

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Awaiting, Receiving, Taker};
use super::handle::busy;
use super::offload::Task;
use crate::message::{BodySink, Refusal};

impl Connection {
    /// Hands over what was gathered. `is_end`: nothing comes after it.
    pub(super) fn hand_over(&mut self, is_end: bool, desk: &mut Desk) -> Flow {
        let State::RecvBody(mut receiving) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let Taker::Sink(sink) = std::mem::replace(&mut receiving.taker, Taker::Away) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let task = Task::Take(sink, std::mem::take(&mut receiving.gathered));
        if desk.offload.submit(self.token, task) {
            return self.await_job(Awaiting::Sink { receiving, is_end, since_ms: desk.monotonic_ms }, desk);
        }
        self.state = State::RecvBody(receiving);
        self.refuse_body(&busy(), desk)
    }

    /// The sink is back.
    pub(super) fn take_back(
        &mut self,
        mut receiving: Box<Receiving>,
        since_ms: u64,
        is_end: bool,
        sink: Box<dyn BodySink>,
        taken: Result<(), Refusal>,
        desk: &mut Desk,
    ) -> Flow {
        receiving.taker = Taker::Sink(sink);
        self.state = State::RecvBody(receiving);
        if let Err(refusal) = taken {
            return self.refuse_body(&refusal, desk);
        }
        if is_end {
            return self.complete_body(desk);
        }
        // The client is not to blame for the time that the disk took.
        self.pace.forgive(desk.monotonic_ms.saturating_sub(since_ms));
        self.set_paced_deadline(desk, desk.config.timeouts.body);
        Flow::Next
    }
}
