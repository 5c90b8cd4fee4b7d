//! The thread that removes what killed workers left behind: at the start of a worker that is told to, and on orders.
//! Process: worker; started between landlock and seccomp, so that both hold for it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::config::{Site, Sites};
use crate::content;
use crate::heritage::Heritage;
use crate::log::{Level, Logs};
use crate::sys::{credentials, process};

/// Nice value of the thread: a large tree must not slow down a client.
const NICE: i32 = 10;

/// The loop's end of the thread.
pub(super) struct Sweeper(SyncSender<()>);

impl Sweeper {
    /// Starts the thread, if somebody may write beneath some root.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start_if_needed(heritage: &Heritage) -> io::Result<Option<Self>> {
        let Heritage { config, roots, logs, .. } = heritage;
        if !config.sites.can_write() {
            return Ok(None);
        }
        let (config, roots, logs) = (config.clone(), roots.clone(), logs.clone());
        // One wish may wait: it covers all that were uttered before it is begun.
        let (ask, wishes) = sync_channel(1);
        // The seal forbids to change priorities, so the thread has done it before this returns.
        let (is_set, set) = sync_channel(0);
        std::thread::Builder::new().name("sweep".to_owned()).stack_size(256 * 1024).spawn(move || {
            process::be_nice(NICE);
            let _ = is_set.send(());
            work(&config.sites, &roots, &logs, &wishes);
        })?;
        let _ = set.recv();
        Ok(Some(Self(ask)))
    }

    /// Lets it look for abandoned temporaries below every root beneath which somebody may write.
    pub(super) fn sweep(&self) {
        let _ = self.0.try_send(());
    }
}

/// The life of the thread: it ends when the loop does.
fn work(sites: &Sites<Site>, roots: &Sites<OwnedFd>, logs: &Logs, wishes: &Receiver<()>) {
    let our_uid = credentials::user_id();
    while wishes.recv().is_ok() {
        for (id, root) in roots.iter().filter(|(id, _)| sites.get(*id).access.can_write()) {
            match content::sweep(root, our_uid) {
                Ok(0) => {}
                Ok(count) => {
                    logs.error(Level::Notice, format_args!("removed {count} unfinished uploads of dead workers"));
                }
                Err(error) => {
                    let root = sites.get(id).root.display();
                    logs.error(Level::Warning, format_args!("can't look for unfinished uploads in {root}: {error}"));
                }
            }
        }
    }
}
