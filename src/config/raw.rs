//! The keys of a configuration, and how a text or an override that sets some of them changes a `Config`.
//! Process: supervisor. Trusts: the operator. Unknown keys are refused, with the nearest known one.

use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::error_pages::{PagePath, RawErrorPages};
use super::fields::RawFieldRules;
use super::networks::{Network, Proxy};
use super::redirects::RawRedirects;
use super::routes::Routes;
use super::scalar::Many;
use super::units::{Count, Size, Wait};
use super::values::{Account, CredentialsFile, FileGroup, FileMode, IndexName, PidFile, Root, Workers};
use super::{
    AccessRules, Cache, Config, CorsRules, Durability, ErrorPages, ForwardedField, HostName, Limits, Listen, Log,
    LogTarget, Precompressed, Quotas, Redirects, Resumable, RouteRule, Sandbox, SandboxRefusal, Site, Timeouts,
    Uploads, access_text, cors, fields, quotas,
};

/// Puts what was said in the place of what held before.
trait Apply<T> {
    fn apply(self, target: &mut T);
}

impl<V: Into<T>, T> Apply<T> for Option<V> {
    fn apply(self, target: &mut T) {
        if let Some(value) = self {
            *target = value.into();
        }
    }
}

impl Apply<Vec<RouteRule>> for Routes {
    fn apply(self, target: &mut Vec<RouteRule>) {
        self.apply_to(target);
    }
}

impl Apply<Redirects> for RawRedirects {
    fn apply(self, target: &mut Redirects) {
        self.apply_to(target);
    }
}

impl Apply<ErrorPages> for RawErrorPages {
    fn apply(self, target: &mut ErrorPages) {
        self.apply_to(target);
    }
}

/// A table: every key may be absent, none may be unknown, and each sets the field of its own name, or the one that is
/// named behind it.
macro_rules! table {
    ($raw:ident sets $plain:ty { $($key:ident $(in $($part:ident).+)?: $kind:ty,)* }) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, default, expecting = "a table of keys, such as [limits]")]
        pub(super) struct $raw { $($key: $kind,)* }

        impl $raw {
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
        }

        impl Apply<$plain> for $raw {
            fn apply(self, plain: &mut $plain) {
                $(self.$key.apply(&mut field!(plain, $key $(, $($part).+)?));)*
            }
        }
    };
}

/// The field that a key sets.
macro_rules! field {
    ($plain:ident, $key:ident) => {
        $plain.$key
    };
    ($plain:ident, $key:ident, $($part:ident).+) => {
        $plain.$($part).+
    };
}

table!(RawConfig sets Config {
    listen: Option<Many<Listen>>,
    trusted_proxies: Option<Many<Proxy>>,
    forwarded_field: Option<ForwardedField>,
    user: Option<Account>,
    group: Option<Account>,
    pid_file: Option<PidFile>,
    workers: Option<Workers>,
    root in sites.default.root: Option<Root>,
    index in sites.default.index: Option<Many<IndexName>>,
    precompressed: Option<Many<Precompressed>>,
    sandbox: Option<Sandbox>,
    sandbox_refusal: Option<SandboxRefusal>,
    routes in sites.default.routes: Routes,
    access in sites.default.access: Option<AccessRules>,
    quota in sites.default.quotas: Option<Quotas>,
    users_file in sites.default.users_file: Option<CredentialsFile>,
    tokens_file in sites.default.tokens_file: Option<CredentialsFile>,
    cors in sites.default.cors: Option<CorsRules>,
    redirects in sites.default.redirects: RawRedirects,
    error_pages in sites.default.error_pages: RawErrorPages,
    fallback in sites.default.fallback: Option<PagePath>,
    fields in sites.default.fields: Option<RawFieldRules>,
    site in sites.named: Option<RawSites>,
    uploads: RawUploads,
    resumable: RawResumable,
    limits: RawLimits,
    timeouts: RawTimeouts,
    cache: RawCache,
    log: RawLog,
});

table!(RawSite sets Site {
    names: Option<Many<HostName>>,
    root: Option<Root>,
    index: Option<Many<IndexName>>,
    routes: Routes,
    access: Option<AccessRules>,
    quota in quotas: Option<Quotas>,
    users_file: Option<CredentialsFile>,
    tokens_file: Option<CredentialsFile>,
    cors: Option<CorsRules>,
    redirects: RawRedirects,
    error_pages: RawErrorPages,
    fallback: Option<PagePath>,
    fields: Option<RawFieldRules>,
});

/// The sites as they are written. Whether each has a name and a root, `check` looks.
#[derive(Deserialize)]
struct RawSites(Vec<RawSite>);

impl From<RawSites> for Vec<Site> {
    fn from(raw: RawSites) -> Self {
        let finished = |raw: RawSite| {
            let mut site = Site::default();
            raw.apply(&mut site);
            site
        };
        raw.0.into_iter().map(finished).collect()
    }
}

table!(RawUploads sets Uploads {
    durability: Option<Durability>,
    mode: Option<FileMode>,
    group: Option<FileGroup>,
    make_folders: Option<bool>,
    min_free: Option<Size>,
});

table!(RawResumable sets Resumable {
    expiry: Option<Wait>,
    bytes: Option<Size>,
    min_append_bytes: Option<Size>,
});

table!(RawLimits sets Limits {
    head_bytes: Option<Size>,
    target_bytes: Option<Size>,
    fields: Option<Count>,
    ranges: Option<Count>,
    body_bytes: Option<Size>,
    connections: Option<Count>,
    connections_per_client: Option<Count>,
    exempt_clients: Option<Many<Network>>,
    requests_per_connection: Option<Count>,
    requests_per_worker: Option<Count>,
    worker_memory: Option<Size>,
    min_body_bytes_per_second: Option<Size>,
    min_send_bytes_per_second: Option<Size>,
});

table!(RawTimeouts sets Timeouts {
    head: Option<Wait>,
    body: Option<Wait>,
    idle: Option<Wait>,
    send: Option<Wait>,
    lag: Option<Wait>,
    drain: Option<Wait>,
    quit: Option<Wait>,
    hang: Option<Wait>,
});

table!(RawCache sets Cache {
    bytes: Option<Size>,
    file_bytes: Option<Size>,
    digests: Option<Count>,
});

table!(RawLog sets Log {
    access: Option<LogTarget>,
    error: Option<LogTarget>,
});

/// The tables whose keys are fixed.
const TABLES: [(&str, &[&str]); 11] = [
    ("access", &access_text::RULE_KEYS),
    ("quota", &quotas::RULE_KEYS),
    ("cors", &cors::RULE_KEYS),
    ("fields", &fields::RULE_KEYS),
    ("site", RawSite::KEYS),
    ("uploads", RawUploads::KEYS),
    ("resumable", RawResumable::KEYS),
    ("limits", RawLimits::KEYS),
    ("timeouts", RawTimeouts::KEYS),
    ("cache", RawCache::KEYS),
    ("log", RawLog::KEYS),
];

impl RawConfig {
    /// Reads a whole text; the error has its place in it.
    pub(super) fn parse(text: &str) -> Result<Self, (Range<usize>, String)> {
        let place = |error: &toml::de::Error| (error.span().unwrap_or(0..0), error.message().to_owned());
        let table = DeTable::parse(text).map_err(|error| place(&error))?;
        first_unknown(table.get_ref()).map_or(Ok(()), Err)?;
        toml::from_str(text).map_err(|error| place(&error))
    }

    /// Reads one key at the top, whatever the others are; the error has its place in the text.
    pub(super) fn parse_only(key: &str, text: &str) -> Result<Self, (Range<usize>, String)> {
        let table = DeTable::parse(text).map_err(|error| (error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let Some((name, value)) = table.get_ref().get_key_value(key) else { return Ok(Self::default()) };
        // White space in the place of all before it, so that the places in the text stay the same.
        let line = text.get(name.span().start..value.span().end).unwrap_or_default();
        Self::parse(&format!("{}{line}", "\n".repeat(name.span().start)))
    }

    /// Puts what was said in the place of what held before.
    pub(super) fn apply_to(self, config: &mut Config) {
        self.apply(config);
    }
}

/// The tables whose keys are the operator's: paths, or statuses.
const FREE_TABLES: [&str; 3] = ["routes", "redirects", "error_pages"];

/// Every key, with its table: `listen`, `access.path`, `limits.head_bytes`. The keys of some tables are the operator's.
#[must_use]
pub fn keys() -> Vec<String> {
    let in_table = |key: &str| {
        let table = TABLES.iter().find(|(table, _)| *table == key);
        table.map(|(table, keys)| keys.iter().map(|key| format!("{table}.{key}")).collect())
    };
    RawConfig::KEYS.iter().flat_map(|key| in_table(key).unwrap_or_else(|| vec![(*key).to_owned()])).collect()
}

/// Says what is wrong with a key that does not exist.
pub(super) fn unknown(key: &str) -> Option<String> {
    let is_table = TABLES.iter().any(|(table, _)| *table == key);
    let keys = keys();
    let is_free = key.split_once('.').is_some_and(|(table, _)| FREE_TABLES.contains(&table));
    if is_table || is_free || keys.iter().any(|known| known == key) {
        return None;
    }
    let hint = match nearest(key, &keys) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "fileserv.toml(5) lists all keys".to_owned(),
    };
    Some(format!("there is no key {key:?}; {hint}"))
}

/// A slip of the finger changes a letter in three at most; a key may also stand in the wrong table, or lack its unit.
fn nearest<'k>(key: &str, keys: &'k [String]) -> Option<&'k str> {
    let lacks_unit = |known: &str| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('_'));
    if let Some(whole) = keys.iter().find(|known| lacks_unit(known)) {
        return Some(whole);
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &str| {
        let whole = strsim::damerau_levenshtein(key, known);
        let part = strsim::damerau_levenshtein(&last(key), &last(known));
        (whole.min(part), whole)
    };
    let tables = TABLES.iter().map(|(table, _)| *table);
    let best = keys.iter().map(String::as_str).chain(tables).min_by_key(|known| distance(known))?;
    (distance(best).0 * 3 <= last(key).len()).then_some(best)
}

/// The first key of the text that does not exist.
fn first_unknown(root: &DeTable<'_>) -> Option<(Range<usize>, String)> {
    let mut found = Vec::new();
    for (name, value) in root {
        let has_keys = TABLES.iter().any(|(table, _)| table == name.get_ref());
        if !has_keys {
            found.extend(unknown(name.get_ref()).map(|words| (name.span(), words)));
            continue;
        }
        for inner in tables_in(value.get_ref()) {
            let full = |key: &str| format!("{}.{key}", name.get_ref());
            found.extend(inner.keys().filter_map(|key| Some((key.span(), unknown(&full(key.get_ref()))?))));
        }
    }
    found.into_iter().min_by_key(|(span, _)| span.start)
}

/// The table itself, or the tables of a list.
fn tables_in<'t, 'i>(value: &'t DeValue<'i>) -> Vec<&'t DeTable<'i>> {
    match value.as_array() {
        Some(list) => list.iter().filter_map(|item| item.get_ref().as_table()).collect(),
        None => value.as_table().into_iter().collect(),
    }
}

/// Where a key is set in a text that has been read: the place of its value, or of the item `index` of its list. A number
/// in a key is the place of a table in its list, and a path goes up to the end: `site.0.redirects./a.b`.
pub(super) fn place_of(text: &str, key: &str, index: Option<usize>) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let (names, path) = key.split_once("./").map_or((key, None), |(names, _)| (names, key.get(names.len() + 1..)));
    let mut steps = names.split('.').chain(path);
    let mut value = root.get_ref().get(steps.next()?)?;
    for step in steps {
        value = match value.get_ref().as_array() {
            Some(list) => list.get(step.parse::<usize>().ok()?)?,
            None => value.get_ref().as_table()?.get(step)?,
        };
    }
    let item = index.and_then(|index| value.get_ref().as_array()?.get(index));
    Some(item.unwrap_or(value).span().start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> (usize, String) {
        let (span, words) = RawConfig::parse(text).err().unwrap();
        (span.start, words)
    }

    #[test]
    fn what_is_said_replaces_what_held_and_nothing_else() {
        let mut config = Config::default();
        let text = "workers = 3\nlisten = \"[::1]:80\"\n[limits]\nhead_bytes = 4096\n[timeouts]\nidle = \"5m\"\n";
        RawConfig::parse(text).unwrap_or_default().apply_to(&mut config);
        let mut expected = Config { workers: 3, ..Config::default() };
        expected.listen = vec!["[::1]:80".parse().unwrap()];
        expected.limits.head_bytes = 4096;
        expected.timeouts.idle = std::time::Duration::from_secs(300);
        assert_eq!(config, expected);
    }

    #[test]
    fn an_unknown_key_is_refused_where_it_stands_with_the_nearest_known_one() {
        assert_eq!(
            refusal("zz = 1\nlisen = []"),
            (0, "there is no key \"zz\"; fileserv.toml(5) lists all keys".to_owned())
        );
        let (place, words) = refusal("workers = 1\nlisen = []");
        assert_eq!((place, words.contains("\"listen\"")), (12, true), "{words}");
        assert!(refusal("[limits]\nhaed_bytes = 1").1.contains("\"limits.head_bytes\""));
        assert!(refusal("head_bytes = 1").1.contains("\"limits.head_bytes\""), "the right key of another table");
        assert!(refusal("[limits]\nbody = 1").1.contains("\"limits.body_bytes\""), "the unit is a part of the name");
        assert!(refusal("[timeout]\nidle = \"1s\"").1.contains("did you mean \"timeouts\"?"));
        assert!(refusal("[[access]]\npath = \"/\"\nalow = []").1.contains("\"access.allow\""));
    }

    #[test]
    fn an_impossible_value_is_refused_where_it_stands() {
        let (place, words) = refusal("workers = 1\nsandbox = \"on\"\n");
        assert_eq!(place, 22);
        assert!(words.contains("\"best-effort\""), "{words}");
        let (place, _) = refusal("listen = [\"0.0.0.0:80\", \"80\"]");
        assert_eq!(place, 24);
        let (place, words) = refusal("workers = -1");
        assert_eq!(place, 10);
        assert!(words.contains("from 1 to 256"), "{words}");
        assert!(refusal("workers = true").1.contains("from 1 to 256"));
        assert!(refusal("[routes]\n\"perlin\" = \"perlin\"").1.contains("begin with `/`"));
    }

    #[test]
    fn every_key_is_found_again() {
        let text = "listen = [\"a\", \"b\"]\n[limits]\nfields = 1\n";
        assert_eq!(place_of(text, "listen", Some(1)), Some(15));
        assert_eq!(place_of(text, "limits.fields", None), Some(38));
        assert_eq!(place_of(text, "limits.head_bytes", None), None);
        let text = "[[site]]\n[[site]]\nnames = ['a', 'b']\n[site.redirects]\n'/a.b' = '/'\n";
        assert_eq!(place_of(text, "site.1.names", Some(1)), Some(text.find("'b'").unwrap()));
        assert_eq!(place_of(text, "site.1.redirects./a.b", None), Some(text.find("'/'").unwrap()));
        assert_eq!(place_of(text, "site.1", None), Some(text.rfind("[[").unwrap()));
        assert_eq!(place_of(text, "site.2", None), None);
        assert!(keys().contains(&"access.allow".to_owned()));
        assert!(keys().contains(&"routes".to_owned()));
    }
}
