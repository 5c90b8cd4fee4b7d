//! What no single value can tell of sites: whether each has a name of its own and a root that is there, and whether its
//! rules go together.
//! Process: supervisor, at start with the rights that it still has, at a reload as the service user.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::check::Fault;
use super::fields::first_repeated;
use super::hosts::Claim;
use super::{Hosts, Site, Sites, Users};
use crate::sys::file::open_root;

/// Each site is a descriptor in every worker, and a rule of its seal.
const SITES_LIMIT: usize = 1000;

/// Checks every site.
pub(super) fn sites_hold(sites: &Sites<Site>) -> Result<(), Fault> {
    if sites.named.len() > SITES_LIMIT {
        let message = format!("{} sites are too many; write at most {SITES_LIMIT}", sites.named.len());
        return Err(fault("site".to_owned(), message));
    }
    let roots: Vec<Root<'_>> = sites.iter().map(|(_, site)| Root::of(&site.root)).collect();
    site_holds(&sites.default, &roots, &|key| key.to_owned())?;
    for (index, site) in sites.named.iter().enumerate() {
        if site.names.is_empty() {
            let message = "this site has no name, so nobody could reach it; write names = [\"www.example.org\"]";
            return Err(fault(format!("site.{index}"), message.to_owned()));
        }
        if site.root.as_os_str().is_empty() {
            let message = format!("the site {} has no root; write the folder that it serves", shown(site));
            return Err(fault(format!("site.{index}"), message));
        }
        site_holds(site, &roots, &|key| format!("site.{index}.{key}"))?;
    }
    names_are_apart(&sites.named)
}

fn fault(key: String, message: String) -> Fault {
    Fault { keys: vec![Cow::from(key)], index: None, message }
}

/// How a site is called: by its first name.
fn shown(site: &Site) -> String {
    site.names.first().map_or_else(String::new, ToString::to_string)
}

fn names_are_apart(sites: &[Site]) -> Result<(), Fault> {
    let Some(Claim { site, index, earlier }) = Hosts::first_claim(sites) else { return Ok(()) };
    let name = sites.get(site).and_then(|site| site.names.get(index)).map_or_else(String::new, ToString::to_string);
    let message = if site == earlier {
        format!("\"{name}\" stands there twice; write it once")
    } else {
        let other = sites.get(earlier).map_or_else(String::new, |site| site.root.display().to_string());
        format!("\"{name}\" is a name of the site with the root {other} already; a name means one site")
    };
    Err(Fault { keys: vec![Cow::from(format!("site.{site}.names"))], index: Some(index), message })
}

/// `key` tells where a key of this site stands.
fn site_holds(site: &Site, roots: &[Root<'_>], key: &dyn Fn(&str) -> String) -> Result<(), Fault> {
    root_is_there(&site.root).map_err(|message| fault(key("root"), message))?;
    if let Some(redirect) = site.redirects.first_loop() {
        let message = format!("the redirect of \"{}\" leads back to itself, round and round", redirect.key());
        return Err(fault(key(&format!("redirects.{}", redirect.key())), message));
    }
    logins_make_sense(site, roots).map_err(|(at, message)| fault(key(at), message))?;
    if let Some((path, name)) = first_repeated(site.fields.rules()) {
        let message = format!("the field {name} is set twice for \"{path}\"; write it once");
        return Err(fault(key("fields"), message));
    }
    Ok(())
}

/// A folder that clients of some site see, as it is written and as the kernel finds it.
struct Root<'a> {
    written: &'a Path,
    real: Option<PathBuf>,
}

impl<'a> Root<'a> {
    fn of(written: &'a Path) -> Self {
        Self { written, real: real_path(written) }
    }

    /// Does a file lie there, by its own name or by that of what it leads to? The whole machine is no such folder.
    fn holds(&self, file: &Path, real: Option<&Path>) -> bool {
        let lies = |file: &Path, root: &Path| root.parent().is_some() && file.starts_with(root);
        lies(file, self.written) || real.zip(self.real.as_deref()).is_some_and(|(file, root)| lies(file, root))
    }
}

#[allow(clippy::disallowed_methods, reason = "it tells the operator of a mistake; nothing is opened by what it says")]
fn real_path(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// Whether the files can be read, and what they say, is looked at by the user who serves.
fn logins_make_sense(site: &Site, roots: &[Root<'_>]) -> Result<(), (&'static str, String)> {
    let named = site.access.rules().iter().find(|rule| rule.users != Users::Everyone);
    if let Some(rule) = named.filter(|_| site.users_file.is_none() && site.tokens_file.is_none()) {
        let words = "is for users, and there are none; name a users_file or a tokens_file too";
        return Err(("access", format!("the rule for {:?} {words}", rule.path)));
    }
    for (key, file) in [("users_file", &site.users_file), ("tokens_file", &site.tokens_file)] {
        let Some(file) = file else { continue };
        let real = real_path(file);
        if let Some(root) = roots.iter().find(|root| root.holds(file, real.as_deref())) {
            let (file, root) = (file.display(), root.written.display());
            let message = format!("{file} lies beneath the root {root}, where clients may read it; put it elsewhere");
            return Err((key, message));
        }
    }
    Ok(())
}

/// The supervisor opens the root again: what is checked here is that it makes sense to go on.
fn root_is_there(root: &Path) -> Result<(), String> {
    let Err(error) = open_root(root) else {
        return Ok(());
    };
    let (shown, kind) = (root.display(), error.kind());
    Err(if kind == ErrorKind::NotFound {
        format!("the root {shown} does not exist; write a folder that does")
    } else if kind == ErrorKind::NotADirectory {
        format!("the root {shown} is not a folder; write one")
    } else if kind == ErrorKind::PermissionDenied {
        let folder = root.ancestors().skip(1).find(|folder| open_root(folder).is_ok()).unwrap_or(root);
        format!("the root {shown} can't be reached: {} lacks `x` for the user who serves", folder.display())
    } else {
        format!("the root {shown} can't be opened: {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, Source, load};

    /// The refusal of a file; its default root is always there.
    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        std::fs::write(&path, text).unwrap();
        let options = Options { root: Some("/".into()), ..Options::default() };
        let loaded = load(&Source::file("f.toml".to_owned(), path, options, Vec::new()));
        loaded.map_or_else(|error| error.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn a_root_must_be_a_folder_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(root_is_there(folder.path()), Ok(()));
        assert!(root_is_there(&file).is_err_and(|error| error.contains("not a folder")));
        assert!(root_is_there(&folder.path().join("none")).is_err_and(|error| error.contains("does not exist")));
    }

    #[test]
    fn what_is_wrong_with_a_site_is_shown_where_it_stands() {
        let site = "[[site]]\nnames = ['a.example']\nroot = '/'\n";
        assert_eq!(refusal(site), "none");
        for (more, start) in [
            ("[[site]]\nroot = '/'\n", "f.toml:4:1: this site has no name"),
            ("[[site]]\nnames = 'b'\n", "f.toml:4:1: the site b has no root"),
            ("[[site]]\nnames = 'b'\nroot = '/nowhere'\n", "f.toml:6:8: the root /nowhere does not exist"),
            ("[[site]]\nnames = ['b', 'A.example.']\nroot = '/'\n", "f.toml:5:15: \"a.example\" is a name of the site"),
            ("[[site]]\nnames = ['b', 'b']\nroot = '/'\n", "f.toml:5:15: \"b\" stands there twice"),
            ("[[site]]\nnames = ['b:80']\nroot = '/'\n", "f.toml:5:10: \"b:80\" can't be a host"),
            ("[site.redirects]\n'/a.b' = '/a.b'\n", "f.toml:5:10: the redirect of \"/a.b\" leads back"),
            ("[site.error_pages]\n404 = '404.html'\n", "f.toml:5:7: \"404.html\" must begin with `/`"),
            ("[[site.fields]]\npath = '/'\nset = { Date = 'x' }\n", "f.toml:6:9: fileserv writes Date itself"),
            ("[[site.fields]]\npath = '/'\nset = { A = 'x', a = 'y' }\n", "f.toml:4:1: the field a is set twice"),
            ("nams = 1\n", "f.toml:4:1: there is no key \"site.nams\"; did you mean \"site.names\"?"),
        ] {
            let error = refusal(&format!("{site}{more}"));
            assert!(error.starts_with(start), "{more}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let (root, users) = (folder.path().join("served"), folder.path().join("served/users"));
        let (link, led) = (folder.path().join("link"), folder.path().join("led"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&users, "").unwrap();
        std::os::unix::fs::symlink(&root, &link).unwrap();
        std::os::unix::fs::symlink(&users, &led).unwrap();
        for (root, users) in [(&root, &users), (&link, &users), (&root, &link.join("users")), (&root, &led)] {
            let text = format!("users_file = {users:?}\n[[site]]\nnames = 'b'\nroot = {root:?}\n");
            let error = refusal(&text);
            let start = format!("f.toml:1:14: {} lies beneath the root {},", users.display(), root.display());
            assert!(error.starts_with(&start), "{error}");
        }
        let error = refusal("[redirects]\n'/x/*' = '/x/y/*'\n");
        assert!(error.starts_with("f.toml:2:10: the redirect of \"/x/*\" leads back"), "{error}");
    }
}
