//! How much may be stored: the table `[[quota]]`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{Scalar, scalars};
use super::units::Size;
use super::values::path_below_root;

/// A path and how much may be stored below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Begins and ends with `/`.
    pub path: String,
    /// All files below it together, in bytes.
    pub bytes: Option<u64>,
    /// Each file below it, in bytes.
    pub file_bytes: Option<u64>,
}

/// All quotas of a site. Every one whose path leads to a file holds for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Shortest path first: who locks several of them locks from the root down, so that nobody waits in a circle.
    quotas: Vec<Quota>,
}

impl Quotas {
    fn new(mut quotas: Vec<Quota>) -> Self {
        quotas.sort_by_key(|quota| quota.path.len());
        Self { quotas }
    }

    /// Those that hold for a file at this decoded path, from the root down.
    pub fn of(&self, path: &[u8]) -> impl Iterator<Item = &Quota> {
        self.quotas.iter().filter(move |quota| path.starts_with(quota.path.as_bytes()))
    }

    /// The folders of all of them.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.quotas.iter().map(|quota| quota.path.as_str())
    }

    /// How large a file at this decoded path may be: no larger than all of them together, either.
    #[must_use]
    pub fn file_bytes(&self, path: &[u8]) -> u64 {
        self.of(path).flat_map(|quota| [quota.bytes, quota.file_bytes]).flatten().min().unwrap_or(u64::MAX)
    }
}

/// A quota as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuota {
    path: QuotaPath,
    bytes: Option<Size>,
    file_bytes: Option<Size>,
}

/// The keys of a quota.
pub(super) const RULE_KEYS: [&str; 3] = ["path", "bytes", "file_bytes"];

/// A path of a quota; the slash at its end may be left out.
struct QuotaPath(String);

impl Scalar for QuotaPath {
    const EXPECTED: &'static str = "a path below the root, such as \"/incoming/\"";

    fn from_text(text: &str) -> Result<Self, String> {
        path_below_root(text)?;
        Ok(Self(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }))
    }
}

scalars!(QuotaPath);

/// A path that stands twice would leave it to the reader which of them holds, so it is refused.
struct QuotasVisitor;

impl<'de> Visitor<'de> for QuotasVisitor {
    type Value = Quotas;

    fn expecting(&self, words: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        words.write_str("a list of quotas, each a table [[quota]] with path and bytes or file_bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Quotas, A::Error> {
        let mut quotas: Vec<Quota> = Vec::new();
        while let Some(RawQuota { path, bytes, file_bytes }) = list.next_element()? {
            let (path, bytes, file_bytes) = (path.0, bytes.map(Into::into), file_bytes.map(Into::into));
            if bytes.is_none() && file_bytes.is_none() {
                return Err(A::Error::custom(format!(
                    "the quota of {path:?} limits nothing; write bytes = \"10 GiB\" for all files, or file_bytes for each"
                )));
            }
            if quotas.iter().any(|other| other.path == path) {
                return Err(A::Error::custom(format!("there are two quotas for {path:?}; write one with both limits")));
            }
            quotas.push(Quota { path, bytes, file_bytes });
        }
        Ok(Quotas::new(quotas))
    }
}

impl<'de> Deserialize<'de> for Quotas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(QuotasVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(text: &str) -> Result<Quotas, String> {
        #[derive(Deserialize)]
        struct Document {
            quota: Quotas,
        }
        let document = toml::from_str::<Document>(text).map_err(|error| error.message().to_owned())?;
        Ok(document.quota)
    }

    #[test]
    fn every_quota_on_the_way_holds() {
        let quotas = quotas(
            r#"quota = [
                { path = "/in/a/", bytes = "1 KiB", file_bytes = 500 },
                { path = "/", bytes = "1 MiB" },
                { path = "/in", file_bytes = 100 },
            ]"#,
        )
        .unwrap();
        let paths = |path: &[u8]| quotas.of(path).map(|quota| quota.path.as_str()).collect::<Vec<_>>();
        assert_eq!(paths(b"/in/a/x"), ["/", "/in/", "/in/a/"]);
        assert_eq!(paths(b"/inside"), ["/"]);
        assert_eq!(quotas.file_bytes(b"/in/a/x"), 100);
        assert_eq!(quotas.file_bytes(b"/x"), 1 << 20);
        assert_eq!(Quotas::default().file_bytes(b"/x"), u64::MAX);
        assert_eq!(Quotas::default().of(b"/x").count(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, words) in [
            (r#"quota = [{ path = "in", bytes = 1 }]"#, "begin with `/`"),
            (r#"quota = [{ path = "/in" }]"#, "limits nothing"),
            (r#"quota = [{ path = "/in", bytes = "much" }]"#, "is no size"),
            (r#"quota = [{ path = "/a", bytes = 1 }, { path = "/a/", file_bytes = 1 }]"#, "two quotas"),
            (r#"quota = [{ bytes = 1 }]"#, "path"),
            (r#"quota = [{ path = "/a", bytes = 1, files = 3 }]"#, "files"),
            (r#"quota = { path = "/" }"#, "[[quota]]"),
        ] {
            let error = quotas(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
