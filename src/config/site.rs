//! Sites: what is served under which names. The top-level keys are the default site, each `[[site]]` is one more.
//! Process: both. The supervisor opens one root a site; a worker finds the site of a request by its host.

use std::path::PathBuf;

use super::{AccessRules, ErrorPages, FieldRules, HostName, Quotas, Redirects, RouteRule};

/// What is served under some names. Every key stands for itself: a site takes nothing over from the default one, so
/// that a right given there can't leak to a name that nobody thought of.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The hosts that mean this site; none for the default site.
    pub names: Vec<HostName>,
    /// The document root.
    pub root: PathBuf,
    /// Names that are served for a folder, in order of preference.
    pub index: Vec<String>,
    /// Paths that a content provider other than files answers.
    pub routes: Vec<RouteRule>,
    /// Who may do what below which path; the longest matching path decides.
    pub access: AccessRules,
    /// How much may be stored below which path.
    pub quotas: Quotas,
    /// Paths that lead elsewhere.
    pub redirects: Redirects,
    /// Files shown in the place of the built-in error pages.
    pub error_pages: ErrorPages,
    /// The file that is served for a path at which nothing is, for applications that route in the browser.
    pub fallback: Option<String>,
    /// Fields that are added to answers, by path.
    pub fields: FieldRules,
}

/// Which site. Made by `Sites` and `Hosts` only, and good for every `Sites` of one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SiteId(Option<usize>);

impl SiteId {
    /// The site of every host that no other one names.
    pub const DEFAULT: Self = Self(None);
}

/// One thing a site: what is said of it, its open root. The default one is always there, so none is ever missing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sites<T> {
    /// Of the default site.
    pub default: T,
    /// Of the others, in the order in which they are configured.
    pub named: Vec<T>,
}

impl<T> Sites<T> {
    /// That of this site.
    #[must_use]
    pub fn get(&self, id: SiteId) -> &T {
        id.0.and_then(|index| self.named.get(index)).unwrap_or(&self.default)
    }

    /// All of them, the default one first.
    pub fn iter(&self) -> impl Iterator<Item = (SiteId, &T)> {
        let named = self.named.iter().enumerate().map(|(index, part)| (SiteId(Some(index)), part));
        std::iter::once((SiteId::DEFAULT, &self.default)).chain(named)
    }

    /// Makes one thing a site of what there is.
    ///
    /// # Errors
    /// The first error of `make`.
    pub fn try_map<U, E>(&self, mut make: impl FnMut(&T) -> Result<U, E>) -> Result<Sites<U>, E> {
        let default = make(&self.default)?;
        Ok(Sites { default, named: self.named.iter().map(make).collect::<Result<_, E>>()? })
    }
}

impl Sites<Site> {
    /// May anyone change anything in any of them?
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.iter().any(|(_, site)| site.access.can_write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_finds_its_own_and_a_foreign_one_the_default() {
        let sites = Sites { default: 0, named: vec![1, 2] };
        let ids: Vec<SiteId> = sites.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.iter().map(|id| *sites.get(*id)).collect::<Vec<_>>(), [0, 1, 2]);
        let doubled = sites.try_map(|part| Ok::<_, ()>(part * 2)).unwrap();
        assert_eq!(ids.iter().map(|id| *doubled.get(*id)).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!(*Sites { default: 7, named: vec![] }.get(ids[2]), 7);
        assert_eq!(sites.try_map(|part| if *part == 2 { Err("two") } else { Ok(()) }), Err("two"));
    }
}
