//! One thread that removes what killed workers left behind, and ends.
//! Process: worker; started between landlock and seccomp, so that both hold for it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::config::{Config, Sites};
use crate::content;
use crate::log::{Level, Logs};
use crate::sys::{credentials, process};

/// Nice value of the thread: a large tree must not slow down a client.
const NICE: i32 = 10;

/// Starts to look for abandoned temporaries below every root in which somebody may write.
///
/// # Errors
/// When the system has no more threads.
pub(super) fn start(roots: Arc<Sites<OwnedFd>>, config: Arc<Config>, logs: Logs) -> io::Result<()> {
    let our_uid = credentials::user_id();
    // The seal forbids to change priorities, so the thread has done it before this returns.
    let (is_set, set) = sync_channel(0);
    std::thread::Builder::new().name("sweep".to_owned()).stack_size(256 * 1024).spawn(move || {
        process::be_nice(NICE);
        let _ = is_set.send(());
        for (id, root) in roots.iter().filter(|(id, _)| config.sites.get(*id).access.can_write()) {
            match content::sweep(root, our_uid) {
                Ok(0) => {}
                Ok(count) => {
                    logs.error(Level::Notice, format_args!("removed {count} unfinished uploads of dead workers"));
                }
                Err(error) => {
                    let root = config.sites.get(id).root.display();
                    logs.error(Level::Warning, format_args!("can't look for unfinished uploads in {root}: {error}"));
                }
            }
        }
    })?;
    let _ = set.recv();
    Ok(())
}
