//! What no single value can tell: bounds, values that don't go together, but for those of sites.
//! Process: supervisor, at start with the rights that it still has, at a reload as the service user.

use std::borrow::Cow;
use std::time::Duration;

use super::check_sites::sites_hold;
use super::defaults::FIELDS_LIMIT;
use super::units::{size_text, time_text};
use super::{Config, Listen};
use crate::sys::account::belongs_to;

/// What is wrong, and which keys (one of them set by the operator, if any was) it comes from.
pub(super) struct Fault {
    pub(super) keys: Vec<Cow<'static, str>>,
    /// Which item of a list.
    pub(super) index: Option<usize>,
    pub(super) message: String,
}

/// Checks a finished configuration.
pub(super) fn check(config: &Config) -> Result<(), Fault> {
    bounds_hold(config)?;
    sizes_go_together(config)?;
    workers_last(config)?;
    listeners_go_together(&config.listen)?;
    group_of_uploads_fits(config)?;
    sites_hold(&config.sites)
}

#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Milliseconds,
    Count,
}

impl Unit {
    fn text(self, value: u64) -> String {
        match self {
            Self::Bytes => size_text(value),
            Self::Milliseconds => time_text(value),
            Self::Count => value.to_string(),
        }
    }
}

/// The least and the most that a key may say.
struct Bound {
    key: &'static str,
    unit: Unit,
    least: u64,
    most: u64,
    value: fn(&Config) -> u64,
}

const DAY_MILLISECONDS: u64 = 86_400_000;

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const fn bytes(key: &'static str, least: u64, most: u64, value: fn(&Config) -> u64) -> Bound {
    Bound { key, unit: Unit::Bytes, least, most, value }
}

const fn count(key: &'static str, most: u64, value: fn(&Config) -> u64) -> Bound {
    Bound { key, unit: Unit::Count, least: 1, most, value }
}

/// No wait is endless, and none is so short that nobody could meet it.
const fn wait(key: &'static str, days: u64, value: fn(&Config) -> u64) -> Bound {
    Bound { key, unit: Unit::Milliseconds, least: 10, most: days * DAY_MILLISECONDS, value }
}

const BOUNDS: [Bound; 27] = [
    // Below, no browser gets through; above, a few clients would hold all memory.
    bytes("limits.head_bytes", 256, 128 << 10, |config| config.limits.head_bytes as u64),
    bytes("limits.target_bytes", 16, 64 << 10, |config| config.limits.target_bytes as u64),
    // There is room for no more.
    count("limits.fields", FIELDS_LIMIT as u64, |config| config.limits.fields as u64),
    // Each is a part with a head of its own.
    count("limits.ranges", 1000, |config| config.limits.ranges as u64),
    bytes("limits.body_bytes", 0, 1024 << 40, |config| config.limits.body_bytes),
    bytes("uploads.min_free", 0, 1024 << 40, |config| config.uploads.min_free),
    // Shorter, a client that lost its line could not come back; longer, the disk would belong to the forgotten.
    Bound { least: 1000, ..wait("resumable.expiry", 366, |config| milliseconds(config.resumable.expiry)) },
    bytes("resumable.bytes", 0, 1024 << 40, |config| config.resumable.bytes),
    bytes("resumable.min_append_bytes", 0, 1 << 30, |config| config.resumable.min_append_bytes),
    // A million descriptors is what Linux gives a process at most, unless fs.nr_open was raised.
    count("limits.connections", 1_000_000, |config| config.limits.connections as u64),
    count("limits.connections_per_client", 1_000_000, |config| config.limits.connections_per_client as u64),
    count("limits.requests_per_connection", 1_000_000_000, |config| u64::from(config.limits.requests_per_connection)),
    // 0 turns it off. With fewer, a busy worker would be replaced several times a second.
    Bound {
        least: 0,
        ..count("limits.requests_per_worker", 1_000_000_000_000, |config| config.limits.requests_per_worker)
    },
    // 0 turns it off.
    bytes("limits.worker_memory", 0, 1024 << 40, |config| config.limits.worker_memory),
    // 0 turns it off. Above, hardly any client would be fast enough.
    bytes("limits.min_body_bytes_per_second", 0, 1 << 20, |config| config.limits.min_body_bytes_per_second),
    bytes("limits.min_send_bytes_per_second", 0, 1 << 20, |config| config.limits.min_send_bytes_per_second),
    wait("timeouts.head", 1, |config| milliseconds(config.timeouts.head)),
    wait("timeouts.body", 1, |config| milliseconds(config.timeouts.body)),
    wait("timeouts.idle", 1, |config| milliseconds(config.timeouts.idle)),
    wait("timeouts.send", 1, |config| milliseconds(config.timeouts.send)),
    wait("timeouts.lag", 1, |config| milliseconds(config.timeouts.lag)),
    wait("timeouts.drain", 7, |config| milliseconds(config.timeouts.drain)),
    wait("timeouts.quit", 7, |config| milliseconds(config.timeouts.quit)),
    // The heart beats once a second, so in less it could be healthy and seen to stand still.
    Bound { least: 3000, ..wait("timeouts.hang", 1, |config| milliseconds(config.timeouts.hang)) },
    bytes("cache.bytes", 0, 64 << 30, |config| config.cache.bytes as u64),
    // A cached file is read and sent in one piece, which must not hold up other clients.
    bytes("cache.file_bytes", 0, 1 << 20, |config| config.cache.file_bytes as u64),
    Bound { least: 0, ..count("cache.digests", 1_000_000, |config| config.cache.digests as u64) },
];

/// The keys that have bounds, and the bounds as they are written: `256 B` and `256 KiB`.
pub fn bounds() -> impl Iterator<Item = (&'static str, String, String)> {
    BOUNDS.iter().map(|bound| (bound.key, bound.unit.text(bound.least), bound.unit.text(bound.most)))
}

fn bounds_hold(config: &Config) -> Result<(), Fault> {
    let broken = BOUNDS.iter().find(|bound| !(bound.least..=bound.most).contains(&(bound.value)(config)));
    let Some(Bound { key, unit, least, most, value }) = broken else {
        return Ok(());
    };
    let [said, least, most] = [value(config), *least, *most].map(|value| unit.text(value));
    Err(Fault {
        keys: vec![(*key).into()],
        index: None,
        message: format!("{said} is not possible for {key}; write {least} to {most}"),
    })
}

fn sizes_go_together(config: &Config) -> Result<(), Fault> {
    let fault =
        |keys: [&'static str; 2], message| Err(Fault { keys: keys.map(Cow::from).into(), index: None, message });
    let (limits, cache) = (&config.limits, &config.cache);
    let text = |bytes: usize| size_text(bytes as u64);
    if limits.target_bytes >= limits.head_bytes {
        let (target, head) = (text(limits.target_bytes), text(limits.head_bytes));
        return fault(
            ["limits.target_bytes", "limits.head_bytes"],
            format!(
                "the target is a part of the head: limits.target_bytes ({target}) must be less than limits.head_bytes ({head})"
            ),
        );
    }
    let least = config.resumable.min_append_bytes;
    if least > limits.body_bytes {
        let (least, most) = (size_text(least), size_text(limits.body_bytes));
        return fault(
            ["resumable.min_append_bytes", "limits.body_bytes"],
            format!(
                "no request could bring enough: resumable.min_append_bytes ({least}) must not be more than limits.body_bytes ({most})"
            ),
        );
    }
    // A cache of no bytes is none, whatever else is said of it.
    if cache.bytes != 0 && cache.file_bytes > cache.bytes {
        let (file, all) = (text(cache.file_bytes), text(cache.bytes));
        return fault(
            ["cache.file_bytes", "cache.bytes"],
            format!("a file is kept whole: cache.file_bytes ({file}) must not be more than cache.bytes ({all})"),
        );
    }
    Ok(())
}

/// A file can be given to a group only by who belongs to it. Where the service user is not known yet, nobody can tell.
fn group_of_uploads_fits(config: &Config) -> Result<(), Fault> {
    let Some(group) = config.uploads.group else { return Ok(()) };
    match belongs_to(config.user.as_deref(), config.group.as_deref(), group) {
        Some(false) => Err(Fault {
            keys: vec!["uploads.group".into()],
            index: None,
            message:
                "the service user does not belong to this group, so it can't give files to it; add the user to the \
                      group, or write one to which it belongs"
                    .to_owned(),
        }),
        Some(true) | None => Ok(()),
    }
}

/// A worker has a buffer, its helper threads and its cache before it has done anything: with less for all of them it
/// would be replaced again and again.
const WORKER_MEMORY_LEAST: u64 = 16 << 20;
/// The same of requests: what a start costs must be small beside what it serves.
const WORKER_REQUESTS_LEAST: u64 = 100;

fn workers_last(config: &Config) -> Result<(), Fault> {
    let limits = &config.limits;
    let fault = |key: &'static str, message| Err(Fault { keys: vec![key.into()], index: None, message });
    if limits.requests_per_worker != 0 && limits.requests_per_worker < WORKER_REQUESTS_LEAST {
        let message = format!(
            "{} requests are over before a worker has warmed up; write 0 for no limit, or at least {WORKER_REQUESTS_LEAST}",
            limits.requests_per_worker
        );
        return fault("limits.requests_per_worker", message);
    }
    let needed = WORKER_MEMORY_LEAST + config.cache.bytes as u64;
    if limits.worker_memory != 0 && limits.worker_memory < needed {
        let [said, needed] = [limits.worker_memory, needed].map(size_text);
        let message = format!(
            "a worker with a full cache needs more than {said}; write \"0\" for no limit, or at least {needed} \
             (16 MiB and cache.bytes)"
        );
        return fault("limits.worker_memory", message);
    }
    Ok(())
}

/// Each listener is a descriptor in every worker and a turn in its loop.
const LISTENERS_LIMIT: usize = 64;

fn listeners_go_together(listen: &[Listen]) -> Result<(), Fault> {
    let fault = |index, message| Err(Fault { keys: vec!["listen".into()], index, message });
    if listen.is_empty() {
        return fault(None, "nobody could connect; write at least one address, such as \"127.0.0.1:8080\"".to_owned());
    }
    if listen.len() > LISTENERS_LIMIT {
        return fault(None, format!("{} addresses are too many; write at most {LISTENERS_LIMIT}", listen.len()));
    }
    for (index, Listen { address, .. }) in listen.iter().enumerate() {
        let mut earlier = listen.iter().take(index).map(|earlier| &earlier.address);
        let Some(earlier) = earlier.find(|earlier| earlier.overlaps(address)) else {
            continue;
        };
        let message = if earlier == address {
            format!("\"{address}\" stands there twice; write it once")
        } else {
            format!(
                "\"{address}\" and \"{earlier}\" can't be bound together, as one takes in the other; write the wider one only"
            )
        };
        return fault(Some(index), message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    fn in_root(change: impl FnOnce(&mut Config)) -> Result<(), String> {
        let mut config = Config::default();
        config.sites.default.root = "/".into();
        change(&mut config);
        check(&config).map_err(|fault| fault.message)
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert_eq!(in_root(|_| ()), Ok(()));
        assert!(bounds().all(|(key, _, _)| keys().iter().any(|known| known == key)));
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_its_bounds() {
        let error = in_root(|config| config.limits.head_bytes = 100).unwrap_err();
        assert_eq!(error, "100 B is not possible for limits.head_bytes; write 256 B to 128 KiB");
        let error = in_root(|config| config.timeouts.idle = Duration::ZERO).unwrap_err();
        assert!(error.ends_with("write 10ms to 1d"), "{error}");
        assert!(in_root(|config| config.limits.fields = 101).is_err());
        assert!(in_root(|config| config.timeouts.quit = Duration::from_secs(7 * 86_400)).is_ok());
    }

    #[test]
    fn sizes_that_contradict_each_other_are_refused() {
        assert!(in_root(|config| config.limits.target_bytes = config.limits.head_bytes).is_err());
        assert!(in_root(|config| config.cache.bytes = 1000).is_err());
        assert!(in_root(|config| config.resumable.min_append_bytes = (1 << 30) + 1).is_err());
        assert!(in_root(|config| (config.resumable.min_append_bytes, config.limits.body_bytes) = (2, 1)).is_err());
        assert_eq!(in_root(|config| config.cache.bytes = 0), Ok(()));
    }

    #[test]
    fn worker_that_would_be_replaced_at_once_is_refused() {
        let error = in_root(|config| config.limits.requests_per_worker = 1).unwrap_err();
        assert!(error.ends_with("or at least 100"), "{error}");
        let error = in_root(|config| config.limits.worker_memory = 20 << 20).unwrap_err();
        assert!(error.contains("20 MiB") && error.contains("at least 80 MiB"), "{error}");
        let both =
            |config: &mut Config| (config.limits.requests_per_worker, config.limits.worker_memory) = (100, 80 << 20);
        assert_eq!(in_root(both), Ok(()));
    }

    #[test]
    fn listeners_that_take_each_others_port_are_refused() {
        let listen = |texts: &[&str]| {
            let list = texts.iter().map(|text| text.parse().unwrap()).collect();
            in_root(|config| config.listen = list)
        };
        assert_eq!(listen(&["0.0.0.0:80", "[::]:80"]), Ok(()));
        assert!(listen(&["127.0.0.1:80", "0.0.0.0:80"]).is_err_and(|error| error.contains("the wider one")));
        assert!(listen(&["127.0.0.1:80", "127.0.0.1:80"]).is_err_and(|error| error.contains("twice")));
        assert!(listen(&[]).is_err_and(|error| error.contains("nobody could connect")));
    }
}
