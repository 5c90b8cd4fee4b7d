//! Content on its way to a sink that may have to wait for a disk: it goes there a piece at a time, on a helper thread.
//! Process: worker, sealed. Blocks: never; that is what it is for. Meanwhile more content waits in the kernel, so the
//! client sends while the disk writes, and who has many uploads under way has one piece of each in memory, as far as the
//! budget for all of them goes.

use super::await_job::JOB_MS;
use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, Input, State};
use super::desk::Desk;
use super::exchange::{Awaiting, Decoder, Receiving, Taker};
use super::handle::busy;
use super::offload::Task;
use super::transport::Transferred;
use crate::message::{BodySink, PIECE_BYTES, Refusal};

impl Connection {
    /// Shall the next bytes be received to where they are gathered, without a copy? Where little comes at a time, the room would
    /// be wasted on it.
    pub(super) fn comes_fast(&self) -> bool {
        matches!(&self.state, State::RecvBody(receiving) if receiving.is_fast
            && receiving.taker.may_block()
            && receiving.gathered.bytes().is_empty()
            && matches!(receiving.decoder, Decoder::Length(left) if left >= PIECE_BYTES as u64 && left <= receiving.room))
    }

    /// Does that, and hands over what has come.
    pub(super) fn receive_gathered(&mut self, input: &mut Input, desk: &mut Desk) -> Flow {
        let State::RecvBody(receiving) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        let Decoder::Length(left) = &mut receiving.decoder else { return Flow::Close(CloseReason::Aborted) };
        if !self.can_receive {
            return Flow::Wait;
        }
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        let room = receiving.gathered.room();
        let wanted = room.len().min(most);
        match self.transport.receive(room.get_mut(..wanted).unwrap_or_default()) {
            Transferred::Bytes(count) => {
                receiving.gathered.fill(count);
                *left -= count as u64;
                receiving.room -= count as u64;
                let is_end = *left == 0;
                self.note_received(count, wanted, input, desk);
                self.note_content(count, desk);
                self.hand_over(is_end, desk)
            }
            Transferred::Later => {
                receiving.gathered = desk.budget.gather();
                self.can_receive = false;
                Flow::Wait
            }
            Transferred::End | Transferred::Broken => Flow::Close(CloseReason::Aborted),
        }
    }

    /// Hands over what was gathered. `is_end`: nothing comes after it.
    pub(super) fn hand_over(&mut self, is_end: bool, desk: &mut Desk) -> Flow {
        let State::RecvBody(mut receiving) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let Taker::Sink(sink) = std::mem::replace(&mut receiving.taker, Taker::Away) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let task = Task::Take(sink, std::mem::replace(&mut receiving.gathered, desk.budget.gather()));
        if desk.offload.submit(self.token, task) {
            return self.await_job(Awaiting::Sink { receiving, is_end, since_ms: desk.monotonic_ms }, desk);
        }
        self.state = State::RecvBody(receiving);
        self.refuse_body(&busy(), desk)
    }

    /// Does it have content that waits for more of it?
    pub(super) fn has_gathered(&self) -> bool {
        matches!(&self.state, State::RecvBody(receiving) if !receiving.gathered.bytes().is_empty())
    }

    /// Others need the memory: what was gathered goes to the disk, however little it is.
    pub(super) fn hand_over_early(&mut self, desk: &mut Desk) -> Flow {
        self.hand_over(false, desk)
    }

    /// Goes on where there is memory for more content; else the rest of it is left in the socket until there is.
    pub(super) fn find_room(&mut self, desk: &mut Desk) -> Flow {
        let State::RecvBody(receiving) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        if !receiving.taker.may_block() || desk.budget.has_room() {
            if let Some(since_ms) = receiving.starves_since_ms.take() {
                // The client is not to blame for the time that others took.
                self.pace.forgive(desk.monotonic_ms.saturating_sub(since_ms));
                self.set_paced_deadline(desk, desk.config.timeouts.body);
            }
            return Flow::Next;
        }
        if !receiving.gathered.bytes().is_empty() {
            return self.hand_over(false, desk);
        }
        receiving.starves_since_ms.get_or_insert(desk.monotonic_ms);
        if !std::mem::replace(&mut receiving.awaits_room, true) {
            desk.budget.wait(self.token);
            // As long as for a helper thread, which it is that makes room.
            self.deadline_ms = desk.monotonic_ms + JOB_MS;
        }
        Flow::Wait
    }

    /// There may be room again.
    pub(super) fn look_for_room(&mut self) {
        if let State::RecvBody(receiving) = &mut self.state {
            receiving.awaits_room = false;
        }
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
