//! The pool of boards: each living worker has one to itself, and they outlive all workers.
//! Process: supervisor. Trusts: nothing that stands on a board. Blocks: never.

use std::io;

use crate::stats::{Board, Service};
use crate::sys::memory::Shared;

/// Which board of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BoardId(usize);

/// All boards.
#[derive(Debug)]
pub(super) struct BoardPool {
    boards: Vec<Entry>,
    /// What the supervisor says of itself.
    service: Shared<Service>,
}

#[derive(Debug)]
struct Entry {
    memory: Shared<Board>,
    taken: bool,
}

impl BoardPool {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { boards: Vec::new(), service: Shared::new()? })
    }

    /// What the supervisor says of itself, to be read by workers.
    pub(super) fn service(&self) -> &'static Service {
        self.service.shared()
    }

    /// The same, to be written.
    pub(super) fn service_writable(&self) -> &Service {
        self.service.writable()
    }

    /// What a worker says on its board: only ever to be compared, never to be believed.
    pub(super) fn board(&self, board: BoardId) -> Option<&'static Board> {
        self.boards.get(board.0).map(|entry| entry.memory.shared())
    }

    /// Makes sure that so many boards are free. A worker sees the boards that there were at its fork, so this comes
    /// before a generation is started.
    pub(super) fn reserve(&mut self, wanted: usize) -> io::Result<()> {
        let free = self.boards.iter().filter(|entry| !entry.taken).count();
        for _ in free..wanted {
            self.boards.push(Entry { memory: Shared::new()?, taken: false });
        }
        Ok(())
    }

    /// All boards, to be read.
    pub(super) fn shared(&self) -> Vec<&'static Board> {
        self.boards.iter().map(|entry| entry.memory.shared()).collect()
    }

    /// Has `fork` make a worker that writes a free board: the first, so that few boards tell the whole story.
    pub(super) fn lend<T>(&mut self, fork: impl FnOnce(&'static Board) -> io::Result<T>) -> io::Result<(BoardId, T)> {
        self.reserve(1)?;
        let free = self.boards.iter_mut().enumerate().find(|(_, entry)| !entry.taken);
        let (index, entry) = free.ok_or(io::ErrorKind::OutOfMemory)?;
        let child = entry.memory.lend(fork)?;
        entry.taken = true;
        Ok((BoardId(index), child))
    }

    /// The worker of this board was reaped; `unasked`: it died.
    pub(super) fn free(&mut self, board: BoardId, unasked: bool) {
        if let Some(entry) = self.boards.get_mut(board.0) {
            entry.memory.writable().leave(unasked);
            entry.taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn board_belongs_to_one_worker_and_its_counters_to_nobody() {
        let mut pool = BoardPool::new().unwrap();
        pool.reserve(2).unwrap();
        let count = |amount| {
            move |board: &'static Board| {
                Board::add(&board.requests, amount);
                Ok(())
            }
        };
        let (first, ()) = pool.lend(count(1)).unwrap();
        let (second, ()) = pool.lend(count(10)).unwrap();
        assert_ne!(first, second);
        pool.free(first, true);
        let (again, ()) = pool.lend(count(100)).unwrap();
        assert_eq!(again, first);
        let (third, ()) = pool.lend(count(1000)).unwrap();
        assert_eq!(third, BoardId(2));
        let requests: Vec<u64> = pool.shared().iter().map(|board| board.requests.load(Relaxed)).collect();
        assert_eq!(requests, [101, 10, 1000]);
    }

    #[test]
    fn reserve_counts_free_boards_only() {
        let mut pool = BoardPool::new().unwrap();
        pool.reserve(1).unwrap();
        pool.lend(|_| Ok(())).unwrap();
        pool.reserve(2).unwrap();
        assert_eq!(pool.shared().len(), 3);
        assert!(pool.lend(|_| io::Result::<()>::Err(io::ErrorKind::OutOfMemory.into())).is_err());
        pool.reserve(2).unwrap();
        assert_eq!(pool.shared().len(), 3, "a board that was not lent after all is free");
    }
}
