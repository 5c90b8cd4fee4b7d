//! Content that has been received and waits for a disk: how much of it a worker may have in memory.
//! Process: worker. Blocks: never. Who finds no room leaves the rest in the socket, where it slows the client down.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Token;

/// For all uploads of a worker together: enough for a hundred to keep a disk busy, and little enough that thousands don't
/// push the files that are served out of memory. A turn may go beyond it by what it brings.
const BUDGET_BYTES: usize = 32 * 1024 * 1024;

/// Room for content that comes fast: what one turn brings.
pub(super) const ROOM_BYTES: usize = 256 * 1024;
/// So many rooms that were given back are kept for the next ones. To get one from the kernel, and to give it back, takes longer
/// than to fill it, and holds up all threads whose memory grows meanwhile.
const SPARE_ROOMS: usize = 4;

/// The memory for content on its way.
#[derive(Default)]
pub(super) struct Budget {
    shared: Arc<Shared>,
    /// Who has more in the socket than there was room for.
    waiting: VecDeque<Token>,
}

/// What the threads have of it, too.
#[derive(Default)]
struct Shared {
    spent: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Shared {
    /// A panic aborts the process, so the lock is never poisoned.
    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// May more be received?
    pub(super) fn has_room(&self) -> bool {
        self.shared.spent.load(Relaxed) < BUDGET_BYTES
    }

    /// Nothing, to be added to.
    pub(super) fn gather(&self) -> Gathered {
        Gathered { bytes: Vec::new(), filled: 0, shared: self.shared.clone() }
    }

    /// Remembers who needs room.
    pub(super) fn wait(&mut self, token: Token) {
        self.waiting.push_back(token);
    }

    /// Does anybody need room?
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next one for whom there is room.
    pub(super) fn next(&mut self) -> Option<Token> {
        if self.has_room() { self.waiting.pop_front() } else { None }
    }

    /// Gives back one of the rooms that nobody has: a worker at rest has none.
    pub(super) fn shrink(&self) {
        let spare = self.shared.spare().pop();
        drop(spare);
    }
}

/// Content of one upload. Its memory is counted until it is dropped, on whatever thread.
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// So many of them are content; the others are room.
    filled: usize,
    shared: Arc<Shared>,
}

impl Gathered {
    /// Adds to it.
    pub(super) fn add(&mut self, content: &[u8]) {
        let before = self.bytes.capacity();
        self.bytes.truncate(self.filled);
        self.bytes.extend_from_slice(content);
        self.filled = self.bytes.len();
        self.shared.spent.fetch_add(self.bytes.capacity() - before, Relaxed);
    }

    /// Where more can be received to without a copy; `fill` tells how much has come.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            let spare = self.shared.spare().pop();
            self.bytes = spare.unwrap_or_else(|| vec![0; ROOM_BYTES]);
            self.shared.spent.fetch_add(self.bytes.capacity(), Relaxed);
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// So much has been received to the room.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// The content.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.shared.spent.fetch_sub(self.bytes.capacity(), Relaxed);
        let mut spare = self.shared.spare();
        if self.bytes.len() == ROOM_BYTES && spare.len() < SPARE_ROOMS {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_makes_room() {
        let mut budget = Budget::default();
        let mut gathered = budget.gather();
        gathered.add(&vec![0; BUDGET_BYTES]);
        let token = Token { key: 1, serial: 2 };
        budget.wait(token);
        assert!(!budget.has_room() && budget.next().is_none() && budget.is_awaited());
        drop(gathered);
        assert_eq!((budget.next(), budget.next(), budget.is_awaited()), (Some(token), None, false));
        assert_eq!(budget.shared.spent.load(Relaxed), 0);
    }

    #[test]
    fn a_room_is_counted_while_it_is_in_use_and_kept_for_the_next() {
        let budget = Budget::default();
        let mut gathered = budget.gather();
        assert_eq!(gathered.room().len(), ROOM_BYTES);
        gathered.room()[..3].copy_from_slice(b"abc");
        gathered.fill(3);
        assert_eq!(gathered.room().len(), ROOM_BYTES - 3);
        assert_eq!(gathered.bytes(), b"abc");
        let place = gathered.bytes().as_ptr();
        assert_eq!(budget.shared.spent.load(Relaxed), ROOM_BYTES);
        drop(gathered);
        assert_eq!(budget.shared.spent.load(Relaxed), 0);
        let mut next = budget.gather();
        assert_eq!(next.room().as_ptr(), place);
        assert_eq!(next.bytes(), b"");
        drop(next);
        budget.shrink();
        assert!(budget.shared.spare().is_empty());
    }
}
