//! Helper threads: a fixed few, for what may block or compute for long. Disk, content and computing apart.
//! Process: worker; started after landlock and before seccomp, so that both hold for them. Queues are bounded.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::connection::Token;
use super::fetch::Fetch;
use super::gathered::Gathered;
use super::queue::Queue;
use super::verdicts::{Credential, Verdict};
use crate::auth::Attempt;
use crate::message::{BodySink, BodySource, Job, PIECE_BYTES, Progress, Receive, Refusal, Response, Work, Worked};
use crate::sys::epoll::Waker;
use crate::sys::process;

/// Threads that sync, rename, delete, and read what is not in memory. They mostly wait for the disk, and what waits
/// together is synced together: by one commit of the file system's journal, and by one sync of a folder.
const DISK_THREADS: usize = 8;
/// Threads that write large contents, a piece at a time. They are none of those above: content for a file system that hangs
/// must not hold up commits, removals and reads elsewhere. What is begun or committed there has no such bound.
const CONTENT_THREADS: usize = 4;
/// Threads that draw, hash and list, at a lower priority than the loop.
const SOURCE_THREADS: usize = 2;
/// Threads that look at passwords: one, so that their memory is bounded, and neither guessing nor logging in stops a
/// listing.
const VERIFYING_THREADS: usize = 1;
/// Tasks that wait for a thread, a pool. A connection has at most one, so this is also how many may be busy at once.
const QUEUE_TASKS: usize = 4096;
/// Nice value of the threads that compute (sources and passwords): the event loop goes first.
const SOURCE_NICE: i32 = 10;

/// Which threads a configuration has work for; those for the disk and for sources any has. Each costs a start some 100 µs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pools {
    /// Somebody may write somewhere.
    pub(super) content: bool,
    /// Somebody has a password.
    pub(super) verifying: bool,
}

/// What a helper thread does for a connection.
pub(super) enum Task {
    /// Something that ends in an answer.
    Job(Job),
    /// The next piece of a body.
    Piece(Box<dyn BodySource>),
    /// A piece of a file that is not in memory.
    Fetch(Fetch),
    /// The next piece of work for an answer.
    Work(Box<dyn Work>),
    /// A password to look at, and what to log if it is wrong.
    Verify { credential: Credential, attempt: Attempt, failure: String },
    /// The same for work that may block, and that ends in an answer or in who takes the content.
    Prepare(Box<dyn Work>),
    /// The next piece of a content, for a sink that may block.
    Take(Box<dyn BodySink>, Gathered),
    /// What nobody waits for any more. It may own a large temporary, and to unlink that takes the disk its time.
    Forget(Box<dyn Send>),
}

/// What came of a task.
pub(super) enum Outcome {
    /// The answer.
    Answer(Result<Response, Refusal>),
    /// Whose password it was; nobody's is logged.
    Verdict { verdict: Verdict, failure: Option<String> },
    /// There is more to do for the answer.
    More(Task),
    /// The same, but not before this time has passed.
    Later(Duration, Job),
    /// The content may come.
    Ready(Receive),
    /// A sink that has taken a piece, or has not.
    Taken(Box<dyn BodySink>, Result<(), Refusal>),
    /// A piece of a body, and its source for the next one.
    Piece { source: Box<dyn BodySource>, bytes: Vec<u8>, progress: io::Result<Progress> },
    /// A piece of a file; nothing where it has none.
    Fetched(io::Result<Vec<u8>>),
}

type Assignment = (Token, Task);

/// The loop's end of the helper threads.
pub(super) struct Offload {
    disk: Arc<Queue<Assignment>>,
    content: Arc<Queue<Assignment>>,
    sources: Arc<Queue<Assignment>>,
    verifying: Arc<Queue<Assignment>>,
    done: Receiver<(Token, Outcome)>,
    waker: Arc<Waker>,
    /// What waits for somebody else's lock, and until when. No more than connections, and mostly none.
    paused: Vec<(Instant, Token, Job)>,
}

impl Offload {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors.
    pub(super) fn start(pools: Pools) -> io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        let (report, done) = channel();
        let (is_nice, all_are_nice) = channel();
        let common = (report, waker.clone());
        // Those first that are waited for below: they get there while the others are being made.
        let verifying =
            start_pool("verify", VERIFYING_THREADS * usize::from(pools.verifying), &common, Some(&is_nice))?;
        let sources = start_pool("source", SOURCE_THREADS, &common, Some(&is_nice))?;
        drop(is_nice);
        let disk = start_pool("disk", DISK_THREADS, &common, None)?;
        let content = start_pool("content", CONTENT_THREADS * usize::from(pools.content), &common, None)?;
        // The seal forbids to change priorities, so each thread has done it before this returns: the last one that has
        // drops the last end of this channel. To wait for each before the next is started would cost a start its time.
        let _ = all_are_nice.recv();
        Ok(Self { disk, content, sources, verifying, done, waker, paused: Vec::new() })
    }

    /// Hands a task to a thread; false if too many wait already.
    pub(super) fn submit(&self, token: Token, task: Task) -> bool {
        let queue = match task {
            Task::Job(_) | Task::Prepare(_) | Task::Forget(_) | Task::Fetch(_) => &self.disk,
            Task::Take(..) => &self.content,
            Task::Piece(_) | Task::Work(_) => &self.sources,
            Task::Verify { .. } => &self.verifying,
        };
        let refused = queue.put((token, task)).err();
        if let Some((token, task)) = refused {
            self.forget(token, task);
            return false;
        }
        true
    }

    /// Lets a thread drop something, however many tasks wait: a connection has no more than one such thing at a time, and
    /// there are no more of them than descriptors; the cache has one a second.
    pub(super) fn forget(&self, token: Token, thing: impl Send + 'static) {
        self.disk.put_beyond_limit((token, Task::Forget(Box::new(thing))));
    }

    /// Goes on with a job after a pause.
    pub(super) fn pause(&mut self, token: Token, pause: Duration, job: Job) {
        self.paused.push((Instant::now() + pause, token, job));
    }

    /// How long the loop may wait, of so many milliseconds, so that no pause is much too long.
    pub(super) fn shorten_wait(&self, wait_ms: u16) -> u16 {
        let Some(next) = self.paused.iter().map(|(until, ..)| *until).min() else { return wait_ms };
        let left_ms = next.saturating_duration_since(Instant::now()).as_millis() + 1;
        u16::try_from(left_ms).map_or(wait_ms, |left_ms| left_ms.min(wait_ms))
    }

    /// Hands those whose pause is over to a thread; where too many tasks wait, they pause for longer. What a client wanted
    /// that is gone is given up: nobody must see it done long after others have gone on.
    pub(super) fn resume_paused(&mut self, is_there: impl Fn(Token) -> bool) {
        if self.paused.is_empty() {
            return;
        }
        let now = Instant::now();
        for (until, token, job) in std::mem::take(&mut self.paused) {
            if !is_there(token) {
                self.forget(token, job);
                continue;
            }
            let waiting = if until > now { Err((until, token, job)) } else { self.resume(token, job) };
            self.paused.extend(waiting.err());
        }
    }

    fn resume(&self, token: Token, job: Job) -> Result<(), (Instant, Token, Job)> {
        const FULL_PAUSE: Duration = Duration::from_millis(10);
        match self.disk.put((token, Task::Job(job))) {
            Err((token, Task::Job(job))) => Err((Instant::now() + FULL_PAUSE, token, job)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What wakes the loop when a task is done.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The next outcome, if there is one.
    pub(super) fn next_outcome(&self) -> Option<(Token, Outcome)> {
        self.done.try_recv().ok()
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        for queue in [&self.disk, &self.content, &self.sources, &self.verifying] {
            queue.close();
        }
    }
}

/// What all threads have: where they report to, and what wakes the loop then.
type Common = (Sender<(Token, Outcome)>, Arc<Waker>);

/// Starts the threads of a pool; those that compute drop `is_nice` when they have their lower priority. A pool without
/// threads takes nothing.
fn start_pool(
    name: &str,
    threads: usize,
    common: &Common,
    is_nice: Option<&Sender<()>>,
) -> io::Result<Arc<Queue<Assignment>>> {
    let queue = Arc::new(Queue::new(QUEUE_TASKS));
    if threads == 0 {
        queue.close();
    }
    for _ in 0..threads {
        let (queue, (report, waker), is_nice) = (queue.clone(), common.clone(), is_nice.cloned());
        let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024);
        builder.spawn(move || {
            if let Some(is_nice) = is_nice {
                process::be_nice(SOURCE_NICE);
                drop(is_nice);
            }
            work(&queue, &report, &waker);
        })?;
    }
    Ok(queue)
}

/// The life of a helper thread: it ends when the loop does.
fn work(queue: &Queue<Assignment>, report: &Sender<(Token, Outcome)>, waker: &Waker) {
    while let Some((token, task)) = queue.take() {
        let Some(outcome) = perform(task) else { continue };
        if report.send((token, outcome)).is_err() {
            return;
        }
        waker.wake();
    }
}

fn perform(task: Task) -> Option<Outcome> {
    match task {
        Task::Job(job) => Some(outcome(job(), Task::Prepare)),
        Task::Work(work) => Some(advance(work, Task::Work)),
        Task::Prepare(work) => Some(advance(work, Task::Prepare)),
        Task::Piece(mut source) => {
            let mut bytes = Vec::with_capacity(PIECE_BYTES);
            let progress = source.fill(&mut bytes);
            Some(Outcome::Piece { source, bytes, progress })
        }
        Task::Fetch(fetch) => Some(Outcome::Fetched(fetch.read())),
        Task::Verify { credential, attempt, failure } => {
            let user = attempt.verify();
            let failure = user.is_none().then_some(failure);
            Some(Outcome::Verdict { verdict: Verdict { credential, user }, failure })
        }
        Task::Take(mut sink, piece) => {
            let taken = sink.take(piece.bytes());
            Some(Outcome::Taken(sink, taken))
        }
        Task::Forget(thing) => {
            drop(thing);
            None
        }
    }
}

/// One piece of work; what is left of it is the same kind of task.
fn advance(work: Box<dyn Work>, kind: fn(Box<dyn Work>) -> Task) -> Outcome {
    outcome(work.advance(), kind)
}

fn outcome(worked: Worked, kind: fn(Box<dyn Work>) -> Task) -> Outcome {
    match worked {
        Worked::More(work) => Outcome::More(kind(work)),
        Worked::Done(answer) => Outcome::Answer(answer),
        Worked::Block(job) => Outcome::More(Task::Job(job)),
        Worked::Later(Duration::ZERO, job) => outcome(job(), kind),
        Worked::Later(pause, job) => Outcome::Later(pause, job),
        Worked::Ready(receive) => Outcome::Ready(receive),
    }
}
