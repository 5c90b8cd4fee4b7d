//! A bounded queue from the loop to the helper threads of a pool.
//! Process: worker. Blocks: `take` only, on a helper thread.
//! It has memory for what waits in it and not for what might: an array for 4096 tasks, as `sync_channel` makes it, is half
//! a mebibyte a pool.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Things that wait for a thread.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// Told when something has come, or the end.
    has_come: Condvar,
    limit: usize,
}

struct Inner<T> {
    waiting: VecDeque<T>,
    /// Threads that have nothing to do.
    idle: usize,
    is_closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue for so many things.
    pub(super) fn new(limit: usize) -> Self {
        let inner = Inner { waiting: VecDeque::new(), idle: 0, is_closed: false };
        Self { inner: Mutex::new(inner), has_come: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // A panic aborts the process, so it is never poisoned.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something at the end; gives it back if the queue is full or closed.
    ///
    /// # Errors
    /// The thing itself.
    pub(super) fn put(&self, thing: T) -> Result<(), T> {
        let inner = self.lock();
        if inner.waiting.len() >= self.limit || inner.is_closed {
            return Err(thing);
        }
        self.append(inner, thing);
        Ok(())
    }

    /// Adds something at the end that can't be given back.
    pub(super) fn put_beyond_limit(&self, thing: T) {
        self.append(self.lock(), thing);
    }

    fn append(&self, mut inner: MutexGuard<'_, Inner<T>>, thing: T) {
        inner.waiting.push_back(thing);
        let is_awaited = inner.idle > 0;
        drop(inner);
        // Who is busy looks again by itself: to wake nobody costs a system call, too.
        if is_awaited {
            self.has_come.notify_one();
        }
    }

    /// Waits for the first thing and takes it; `None` when the queue is closed.
    pub(super) fn take(&self) -> Option<T> {
        let mut inner = self.lock();
        loop {
            if inner.is_closed {
                return None;
            }
            if let Some(thing) = inner.waiting.pop_front() {
                return Some(thing);
            }
            inner.idle += 1;
            inner = self.has_come.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }

    /// Nothing is taken any more; what waits is dropped with the queue.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.has_come.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    /// A thread that hands on what it takes.
    fn taker(queue: &Arc<Queue<u32>>) -> (std::thread::JoinHandle<()>, std::sync::mpsc::Receiver<u32>) {
        let (queue, (send, taken)) = (queue.clone(), channel());
        let taker = std::thread::Builder::new().spawn(move || {
            while let Some(number) = queue.take() {
                send.send(number).unwrap();
            }
        });
        (taker.unwrap(), taken)
    }

    #[test]
    fn things_come_in_order_and_not_too_many() {
        let queue = Arc::new(Queue::new(2));
        assert_eq!([1, 2, 3].map(|number| queue.put(number)), [Ok(()), Ok(()), Err(3)]);
        let (thread, taken) = taker(&queue);
        assert_eq!([taken.recv(), taken.recv()], [Ok(1), Ok(2)]);
        for number in 0..1000 {
            while queue.put(number).is_err() {}
        }
        assert!(taken.iter().take(1000).eq(0..1000));
        queue.close();
        thread.join().unwrap();
        assert_eq!(queue.put(5), Err(5), "nobody takes it any more");
    }

    #[test]
    fn each_thing_wakes_a_thread() {
        let queue = Arc::new(Queue::new(100));
        let takers: Vec<_> = (0..4).map(|_| taker(&queue)).collect();
        for number in 0..100 {
            queue.put(number).unwrap();
        }
        let mut all = Vec::new();
        while all.len() < 100 {
            all.extend(takers.iter().flat_map(|(_, taken)| taken.try_iter()));
        }
        queue.close();
        for (thread, _) in takers {
            thread.join().unwrap();
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
    }
}
