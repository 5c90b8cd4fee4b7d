//! The thread that removes what killed workers left behind: at the start of a worker that is told to, and on orders.
//! Process: worker; started between landlock and seccomp, so that both hold for it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::content;
use crate::log::{Level, Logs};
use crate::sys::{credentials, process};

/// Nice value of the thread: a large tree must not slow down a client.
const NICE: i32 = 10;

/// The loop's end of the thread.
pub(super) struct Sweeper(SyncSender<()>);

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(root: Arc<OwnedFd>, logs: Logs) -> io::Result<Self> {
        // One wish may wait: it covers all that were uttered before it is begun.
        let (ask, wishes) = sync_channel(1);
        // The seal forbids to change priorities, so the thread has done it before this returns.
        let (is_set, set) = sync_channel(0);
        std::thread::Builder::new().name("sweep".to_owned()).stack_size(256 * 1024).spawn(move || {
            process::be_nice(NICE);
            let _ = is_set.send(());
            work(&root, &logs, &wishes);
        })?;
        let _ = set.recv();
        Ok(Self(ask))
    }

    /// Lets it look for abandoned temporaries below the root.
    pub(super) fn sweep(&self) {
        let _ = self.0.try_send(());
    }
}

/// The life of the thread: it ends when the loop does.
fn work(root: &OwnedFd, logs: &Logs, wishes: &Receiver<()>) {
    let our_uid = credentials::user_id();
    while wishes.recv().is_ok() {
        match content::sweep(root, our_uid) {
            Ok(0) => {}
            Ok(count) => logs.error(Level::Notice, format_args!("removed {count} unfinished uploads of dead workers")),
            Err(error) => logs.error(Level::Warning, format_args!("can't look for unfinished uploads: {error}")),
        }
    }
}
