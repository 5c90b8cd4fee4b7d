//! From one generation to the next: the new one is complete before the old one is told to go.
//! Process: supervisor, as the service user. Trusts: the operator. Blocks: as reading a file does.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::generation::{Farewell, Generation, Offer};
use super::listeners::{Listening, listen};
use super::record::Task;
use super::start::{StartError, complain, open_roots, system};
use super::{Phase, Supervisor, notify, upgrade};
use crate::config;
use crate::log::{Level, Logs};
use crate::sys::socket::LocalAddress;

impl Supervisor {
    /// Begins a reload if one is wanted and nothing of the last one goes on: there are two generations at most, and
    /// when many reloads were asked for meanwhile, the newest configuration is the one that is read.
    pub(super) fn begin_reload_if_due(&mut self, now: Instant) {
        if !self.is_quiet() || !std::mem::take(&mut self.reload_wanted) {
            return;
        }
        self.record.begin(Task::Reload);
        notify::reloading();
        match self.read_again() {
            Ok(offer) => self.next = Some(Generation::new(offer, now)),
            Err(error) => self.reload_failed(&error.to_string()),
        }
    }

    fn read_again(&mut self) -> Result<Offer, StartError> {
        let new = Arc::new(config::load(&self.source)?);
        let (number, kept) = match &self.current {
            None => (1, &[][..]),
            Some(Generation { offer, .. }) => {
                let keys = offer.config.restart_only_changes(&new);
                if !keys.is_empty() {
                    return Err(StartError::NeedsRestart { keys });
                }
                (offer.number + 1, offer.listeners.as_slice())
            }
        };
        let listeners = listen(&new.listen, kept, &self.passed)?;
        // Anew, for a name may mean another folder by now: that is how an atomic deploy becomes visible.
        let roots = Arc::new(open_roots(&new.sites)?);
        let logs = Logs::open(&new.log)?;
        // One more, for a worker that is replaced.
        self.boards.reserve(usize::from(new.workers) + 1).map_err(system("map the boards"))?;
        Ok(Offer { number, config: new, listeners, roots, logs })
    }

    /// Lets the next generation take over when all its workers serve; the old one drains.
    pub(super) fn promote(&mut self, now: Instant) {
        let Some(next) = self.next.take_if(|next| next.is_ready()) else { return };
        self.drops_before += self.logs.error_drops();
        self.logs = next.offer.logs.clone();
        let words = announcement(&next);
        self.logs.error(Level::Notice, format_args!("{words}"));
        self.logs.error(Level::Notice, format_args!("each worker is sealed: {}", next.seal()));
        self.status = words;
        if self.phase == Phase::Starting {
            self.phase = Phase::Serving;
            self.say_serves();
        } else {
            self.boards.service_writable().reloads.fetch_add(1, Relaxed);
            self.record.finish(Task::Reload, "");
            notify::ready(&self.status);
        }
        if let Some(old) = self.current.replace(next) {
            self.see_off(old, Farewell::Drain, now);
        }
    }

    /// The next generation can't begin. With an old one nothing has changed; without, this is the end.
    pub(super) fn abandon_next(&mut self, why: std::fmt::Arguments<'_>, now: Instant) {
        let Some(next) = self.next.take() else { return };
        if self.phase == Phase::Starting {
            complain(&next.offer, format_args!("service can't begin: {why}"));
            self.phase = Phase::Failed;
            let farewell = match &self.predecessor {
                // Some of its workers may have taken connections already, of those who are served on.
                Some(predecessor) => {
                    upgrade::say_failed(&predecessor.line, &why.to_string());
                    Farewell::Drain
                }
                None => Farewell::Stop,
            };
            self.see_off(next, farewell, now);
            return;
        }
        self.reload_failed(&why.to_string());
        // Some of its workers may have taken connections already: they finish them.
        self.see_off(next, Farewell::Drain, now);
    }

    fn reload_failed(&mut self, why: &str) {
        self.logs.error(Level::Error, format_args!("the reload changes nothing: {why}"));
        self.boards.service_writable().failed_reloads.fetch_add(1, Relaxed);
        self.record.finish(Task::Reload, why);
        notify::ready("serving; the last reload failed, see the log");
    }
}

/// What is served where, in one line.
fn announcement(generation: &Generation) -> String {
    let offer = &generation.offer;
    let places: Vec<_> = offer.listeners.iter().map(place).collect();
    let (version, workers, sites) = (env!("CARGO_PKG_VERSION"), offer.config.workers, &offer.config.sites);
    let mut roots = sites.default.root.display().to_string();
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    if !sites.named.is_empty() {
        roots += &format!(" and {}", plural(sites.named.len(), "more site"));
    }
    format!("fileserv {version} serves {roots} at {} with {}", places.join(" and "), plural(workers.into(), "worker"))
}

fn place((listen, listener): &Listening) -> String {
    let place = match listener.local_address() {
        LocalAddress::Tcp(address) => format!("http://{address}/"),
        LocalAddress::Unix(path) => format!("unix:{}", path.display()),
    };
    if listen.proxy_protocol { format!("{place} (behind a proxy)") } else { place }
}
