//! Which bytes of the file that a connection sends are in memory: asked seldom, as each answer holds for many turns.
//! Process: worker, sealed. Blocks: never.

use crate::message::OpenFile;
use crate::sys::page_cache::{self, Residence};

/// What one answer covers where all of it is in memory.
const STRETCH_BYTES: usize = 1024 * 1024;
/// What is asked for instead while the kernel is still reading ahead, for part of it may have come.
const BEGIN_BYTES: usize = 256 * 1024;
/// For how long an answer is believed: many turns where few send files. Where thousands do, and one has its next turn
/// late, the kernel may have forgotten the file by then.
const BELIEVED_MS: u64 = 20;

/// Asks where bytes of a file are, unless another reply with it has asked within the last moment: many clients that want
/// the same page would else ask twice a request. What is told here may be so old that it is believed for twice as long.
pub(super) fn residence(file: &OpenFile, offset: u64, count: usize, begins: bool, monotonic_ms: u64) -> Residence {
    let (until, asked_ms) = file.seen.last();
    if until == NEAR {
        return Residence::Near;
    }
    let end = offset.saturating_add(count as u64);
    if end <= until && monotonic_ms.saturating_sub(asked_ms) <= BELIEVED_MS {
        return Residence::Memory { goes_on: end < until };
    }
    let answer = page_cache::residence(file, offset, count, begins);
    match answer {
        Residence::Memory { .. } if offset == 0 => file.seen.note(end, monotonic_ms),
        Residence::Near => file.seen.note(NEAR, monotonic_ms),
        Residence::Memory { .. } | Residence::Begins | Residence::Elsewhere => {}
    }
    answer
}

/// Where a file ends that nobody need ask about.
const NEAR: u64 = u64::MAX;

/// What is known, for one body.
#[derive(Debug, Default)]
pub(super) struct InMemory {
    /// Up to here all is in memory.
    until: u64,
    /// And so is the byte behind that.
    goes_on: bool,
    /// When that was asked, on the loop's clock.
    asked_ms: u64,
    /// Nobody can tell, and the file is sent without asking: that never changes.
    is_near: bool,
}

impl InMemory {
    /// How many bytes from `offset` can be sent without waiting for a disk, at most `share` of those that are `left`;
    /// `None` if a helper thread must read them. `residence` is asked as `page_cache::residence` is.
    pub(super) fn ready(
        &mut self,
        residence: impl Fn(u64, usize, bool) -> Residence,
        offset: u64,
        left: u64,
        share: usize,
        monotonic_ms: u64,
    ) -> Option<usize> {
        let no_more_than = |bytes: usize, bound: u64| usize::try_from(bound).map_or(bytes, |bound| bytes.min(bound));
        let share = no_more_than(share, left);
        if self.is_near {
            return Some(share);
        }
        if monotonic_ms.saturating_sub(self.asked_ms) > BELIEVED_MS {
            self.forget();
        }
        if self.until <= offset {
            let mut asked = no_more_than(STRETCH_BYTES, left);
            let mut answer = residence(offset, asked, self.goes_on && self.until == offset);
            if answer == Residence::Begins && asked > BEGIN_BYTES {
                asked = BEGIN_BYTES;
                answer = residence(offset, asked, true);
            }
            match answer {
                Residence::Memory { goes_on } => {
                    (self.until, self.goes_on, self.asked_ms) = (offset + asked as u64, goes_on, monotonic_ms);
                }
                Residence::Near => {
                    self.is_near = true;
                    return Some(share);
                }
                Residence::Begins | Residence::Elsewhere => return None,
            }
        }
        Some(no_more_than(share, self.until - offset))
    }

    /// The client makes us wait: until it goes on, the kernel may have forgotten the file.
    pub(super) fn forget(&mut self) {
        (self.until, self.goes_on) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const MIB: u64 = 1024 * 1024;

    /// A file of which `memory` is in memory, and what was asked of it.
    struct Pages {
        memory: std::ops::Range<u64>,
        asked: RefCell<Vec<(u64, usize, bool)>>,
    }

    impl Pages {
        fn new(memory: std::ops::Range<u64>) -> Self {
            Self { memory, asked: RefCell::default() }
        }

        fn residence(&self, offset: u64, count: usize, begins: bool) -> Residence {
            self.asked.borrow_mut().push((offset, count, begins));
            let end = offset + count as u64;
            match (self.memory.contains(&offset), self.memory.contains(&(end - 1))) {
                (false, _) => Residence::Elsewhere,
                (true, false) => Residence::Begins,
                (true, true) => Residence::Memory { goes_on: self.memory.contains(&end) },
            }
        }

        /// Sends it all in turns of `share`, and gives the pieces.
        fn send(&self, share: usize, length: u64) -> Vec<usize> {
            let (mut known, mut offset, mut pieces) = (InMemory::default(), 0, Vec::new());
            while offset < length {
                let ask = |offset, count, begins| self.residence(offset, count, begins);
                let Some(piece) = known.ready(ask, offset, length - offset, share, 5) else { break };
                offset += piece as u64;
                pieces.push(piece);
            }
            pieces
        }
    }

    #[test]
    fn a_stretch_is_asked_for_once_and_its_begin_but_for_the_first() {
        let pages = Pages::new(0..10 * MIB);
        assert_eq!(pages.send(600_000, 2 * MIB + 5), [600_000, 448_576, 600_000, 448_576, 5]);
        let stretch = STRETCH_BYTES;
        assert_eq!(*pages.asked.borrow(), [(0, stretch, false), (MIB, stretch, true), (2 * MIB, 5, true)]);
    }

    #[test]
    fn what_has_come_is_sent_while_the_kernel_reads_ahead() {
        let pages = Pages::new(0..MIB + BEGIN_BYTES as u64);
        assert_eq!(pages.send(STRETCH_BYTES, 2 * MIB), [STRETCH_BYTES, BEGIN_BYTES]);
        assert_eq!(pages.asked.borrow().last(), Some(&(MIB + BEGIN_BYTES as u64, STRETCH_BYTES - BEGIN_BYTES, false)));
    }

    #[test]
    fn replies_with_one_file_ask_once_in_a_moment() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        std::io::Read::read(&mut &file, &mut [0; 100]).unwrap();
        let file = OpenFile::from(file);
        let is_there = |offset, count, now| residence(&file, offset, count, false, now) != Residence::Elsewhere;
        assert!(is_there(0, 100, 5), "asked");
        file.set_len(0).unwrap();
        assert!(is_there(0, 100, 5 + BELIEVED_MS) && is_there(10, 90, 5 + BELIEVED_MS), "believed");
        assert!(file.seen.last() == (NEAR, 5) || !is_there(10, 91, 5), "never asked for");
        assert!(file.seen.last() == (NEAR, 5) || !is_there(0, 100, 6 + BELIEVED_MS), "too old");
    }

    #[test]
    fn an_answer_is_believed_for_a_while_and_not_after_a_wait() {
        let there = |_, _, _| Residence::Memory { goes_on: true };
        let gone = |_, _, _| Residence::Elsewhere;
        let mut known = InMemory::default();
        assert_eq!(known.ready(there, 0, MIB, 10, 100), Some(10));
        assert_eq!(known.ready(gone, 10, MIB, 10, 100 + BELIEVED_MS), Some(10));
        assert_eq!(known.ready(gone, 20, MIB, 10, 101 + BELIEVED_MS), None);
        assert_eq!(known.ready(there, 0, MIB, 10, 200), Some(10));
        known.forget();
        assert_eq!(known.ready(gone, 10, MIB, 10, 200), None);
        assert_eq!(known.ready(|_, _, _| Residence::Near, 10, 7, 10, 200), Some(7));
        assert_eq!(known.ready(gone, 17, MIB, 10, 900), Some(10), "nobody is asked again");
    }
}
