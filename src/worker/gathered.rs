//! Content that has been received and waits for a disk: how much of it a worker may have in memory.
//! Process: worker. Blocks: never. Who finds no room leaves the rest in the socket, where it slows the client down.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::connection::Token;

/// For all uploads of a worker together: enough for a hundred to keep a disk busy, and little enough that thousands don't
/// push the files that are served out of memory. A turn may go beyond it by what it brings.
const BUDGET_BYTES: usize = 32 * 1024 * 1024;

/// The memory for content on its way.
#[derive(Default)]
pub(super) struct Budget {
    spent: Arc<AtomicUsize>,
    /// Who has more in the socket than there was room for.
    waiting: VecDeque<Token>,
}

impl Budget {
    /// May more be received?
    pub(super) fn has_room(&self) -> bool {
        self.spent.load(Relaxed) < BUDGET_BYTES
    }

    /// Nothing, to be added to.
    pub(super) fn gather(&self) -> Gathered {
        Gathered { bytes: Vec::new(), spent: self.spent.clone() }
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
}

/// Content of one upload. Its memory is counted until it is dropped, on whatever thread.
pub(super) struct Gathered {
    bytes: Vec<u8>,
    spent: Arc<AtomicUsize>,
}

impl Gathered {
    /// Adds to it.
    pub(super) fn add(&mut self, content: &[u8]) {
        let before = self.bytes.capacity();
        self.bytes.extend_from_slice(content);
        self.spent.fetch_add(self.bytes.capacity() - before, Relaxed);
    }

    /// The content.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.spent.fetch_sub(self.bytes.capacity(), Relaxed);
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
        assert_eq!(budget.spent.load(Relaxed), 0);
    }
}
