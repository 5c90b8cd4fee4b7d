//! The thread that removes what killed workers and clients left behind: at the start of a worker that is told to, on
//! orders, and from then on by the hour.
//! Process: worker; started between landlock and seccomp, so that both hold for it.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::{Site, Sites};
use crate::content::{self, Swept};
use crate::heritage::Heritage;
use crate::log::{LatestLogs, Level, Logs};
use crate::sys::failure::OpenFailure;
use crate::sys::{credentials, process};

/// Nice value of the thread: a large tree must not slow down a client.
const NICE: i32 = 10;

/// Expired uploads are looked for so often, and more often where they expire soon. To walk a large tree takes the disk
/// its time.
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);

/// The loop's end of the thread.
pub(super) struct Sweeper(SyncSender<()>);

impl Sweeper {
    /// Starts the thread, if somebody may write beneath some root.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start_if_needed(heritage: &Heritage, logs: &LatestLogs) -> io::Result<Option<Self>> {
        let Heritage { config, roots, .. } = heritage;
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
            work(&config.sites, &roots, config.resumable.expiry, &logs, &wishes);
        })?;
        let _ = set.recv();
        Ok(Some(Self(ask)))
    }

    /// Lets it look for abandoned temporaries below every root beneath which somebody may write.
    pub(super) fn sweep(&self) {
        let _ = self.0.try_send(());
    }
}

fn report(logs: &Logs, swept: Swept) {
    let Swept { abandoned, expired } = swept;
    if abandoned > 0 {
        logs.error(Level::Notice, format_args!("removed {abandoned} unfinished uploads of dead workers"));
    }
    if expired > 0 {
        logs.error(Level::Notice, format_args!("removed {expired} resumable uploads that had expired"));
    }
}

/// What is wrong with folders. A folder that may not be read stays so for years, and once is enough to say it: again only
/// after a round in which it was well.
#[derive(Default)]
struct Trouble {
    told: HashSet<String>,
    found: HashSet<String>,
}

impl Trouble {
    fn tell(&mut self, words: String, logs: &Logs) {
        if !self.told.contains(&words) {
            logs.error(Level::Warning, format_args!("{words}"));
        }
        self.found.insert(words);
    }

    fn end_of_round(&mut self) {
        self.told = std::mem::take(&mut self.found);
    }
}

/// The life of the thread: it ends when the loop does.
fn work(sites: &Sites<Site>, roots: &Sites<OwnedFd>, expiry: Duration, logs: &LatestLogs, wishes: &Receiver<()>) {
    let our_uid = credentials::user_id();
    let mut period = Duration::MAX;
    let mut trouble = Trouble::default();
    while !matches!(wishes.recv_timeout(period), Err(RecvTimeoutError::Disconnected)) {
        // Only the worker that was told to sweep once goes on with it.
        period = (expiry / 2).min(LONGEST_PERIOD);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expired = now.saturating_sub(expiry).as_secs();
        for (id, root) in roots.iter().filter(|(id, _)| sites.get(*id).access.can_write()) {
            let site = sites.get(id);
            let complain = |start: &str, error: &io::Error| {
                // One that is not there has nothing in it, and was told of when rights were granted.
                if OpenFailure::of(error) != OpenFailure::Absent {
                    let root = site.root.display();
                    let words = format!("can't look for unfinished uploads in {start} of {root}: {error}");
                    trouble.tell(words, &logs.now());
                }
            };
            report(&logs.now(), content::sweep(root, &starts(site), our_uid, expired, complain));
        }
        trouble.end_of_round();
    }
}

/// Where to begin: the root, and each folder that somebody may write or that has a quota, for the way there may be one
/// that can't be read.
fn starts(site: &Site) -> Vec<&str> {
    let written = site.access.rules().iter().filter(|rule| rule.allow.can_write()).map(|rule| rule.path.as_str());
    let mut starts: Vec<&str> = std::iter::once("/").chain(written).chain(site.quotas.paths()).collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}
