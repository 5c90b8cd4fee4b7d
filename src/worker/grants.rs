//! Which folders a worker may use for what: from the roots and access rules of its sites to open descriptors.
//! Process: worker, before its seal. Trusts: its configuration. Blocks: as the disk does.
//! Writing is granted by path, and a folder that is not there can't be granted: a reload finds it when it is.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::sandbox::{Grant, Right};
use crate::config::{Site, Sites};
use crate::heritage::Heritage;
use crate::log::Level;
use crate::sys::file;

/// The folders of a worker.
#[derive(Debug, Default)]
pub struct Grants {
    roots: Option<Arc<Sites<OwnedFd>>>,
    writable: Vec<File>,
    makes_folders: bool,
    /// Where the syslog daemon's socket lies, if that is logged to.
    daemon: Option<OwnedFd>,
    missing: usize,
}

impl Grants {
    /// Opens what the configuration lets somebody write; what can't be opened is said in the log, by the first worker.
    pub fn of(heritage: &Heritage) -> Self {
        let Heritage { config, roots, logs, .. } = heritage;
        let mut grants = Self {
            roots: Some(Arc::clone(roots)),
            makes_folders: config.uploads.make_folders && config.sites.can_write(),
            daemon: logs.daemon_folder(),
            ..Self::default()
        };
        for (id, root) in roots.iter() {
            let site = config.sites.get(id);
            for path in writable_paths(site) {
                match open_writable(root.as_fd(), path) {
                    Ok(folder) => grants.writable.push(folder),
                    Err(error) => {
                        grants.missing += 1;
                        if heritage.slot == 0 {
                            let root = site.root.display();
                            let words = format_args!(
                                "nothing can be written to {path} of {root} ({error}): make that folder and reload"
                            );
                            logs.error(Level::Warning, words);
                        }
                    }
                }
            }
        }
        grants
    }

    /// May folders be made where files may?
    pub(super) fn makes_folders(&self) -> bool {
        self.makes_folders
    }

    /// How many folders should be writable and were not there.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Grant<'_>> {
        let grant = |fd, right| Grant { fd, right };
        let write = if self.makes_folders { Right::WriteAndMakeFolders } else { Right::Write };
        let roots = self.roots.iter().flat_map(|roots| roots.iter()).map(|(_, root)| root.as_fd());
        let writable = self.writable.iter().map(AsFd::as_fd);
        let roots = roots.map(move |root: BorrowedFd<'_>| grant(root, Right::Read));
        let writable = writable.map(move |folder| grant(folder, write));
        roots.chain(writable).chain(self.daemon.iter().map(move |folder| grant(folder.as_fd(), Right::Speak)))
    }
}

/// The paths below which somebody may write, each outside all others.
fn writable_paths(site: &Site) -> Vec<&str> {
    let mut paths: Vec<&str> =
        site.access.rules().iter().filter(|rule| rule.allow.can_write()).map(|rule| rule.path.as_str()).collect();
    // The sum of a quota is kept in the folder of the quota.
    let sums = paths.iter().flat_map(|path| site.quotas.of(path.as_bytes())).filter(|quota| quota.bytes.is_some());
    let folders: Vec<&str> = sums.map(|quota| quota.path.as_str()).collect();
    paths.extend(folders);
    // The shortest first: what is beneath it has its rights already.
    paths.sort_by_key(|path| path.len());
    let mut outermost: Vec<&str> = Vec::new();
    for path in paths {
        if !outermost.iter().any(|outer| path.starts_with(outer)) {
            outermost.push(path);
        }
    }
    outermost
}

fn open_writable(root: BorrowedFd<'_>, path: &str) -> io::Result<File> {
    let folder = file::open_beneath(root, path.as_bytes())?;
    match file::identity(&folder)?.kind {
        file::FileKind::Directory => Ok(folder),
        file::FileKind::Regular | file::FileKind::Symlink | file::FileKind::Special => {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessRule, AccessRules, Verb, Verbs};

    fn site(rules: &[(&str, Verbs)]) -> Site {
        let rule = |(path, allow): &(&str, Verbs)| AccessRule {
            path: (*path).to_owned(),
            allow: *allow,
            ..AccessRule::default()
        };
        Site { access: AccessRules::new(rules.iter().map(rule).collect()), ..Site::default() }
    }

    #[test]
    fn only_the_outermost_writable_paths_are_granted() {
        let (read, write) = (Verbs::NONE.with(Verb::Read), Verbs::NONE.with(Verb::Delete));
        assert!(writable_paths(&site(&[("/", read)])).is_empty());
        assert_eq!(writable_paths(&site(&[("/", read), ("/in/", write), ("/in/a/", write)])), ["/in/"]);
        assert_eq!(writable_paths(&site(&[("/inner/", write), ("/in/", write)])), ["/in/", "/inner/"]);
        // What is closed within what is open can't be taken back: the kernel's rules only add up.
        assert_eq!(writable_paths(&site(&[("/", write), ("/closed/", read)])), ["/"]);
    }

    #[test]
    fn only_a_folder_beneath_the_root_can_be_granted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/tmp", folder.path().join("out")).unwrap();
        let root = file::open_root(folder.path()).unwrap();
        let open = |path| open_writable(root.as_fd(), path).map(drop).map_err(|error| error.kind());
        assert_eq!(open("/in/"), Ok(()));
        assert_eq!(open("/file/"), Err(io::ErrorKind::NotADirectory));
        assert_eq!(open("/missing/"), Err(io::ErrorKind::NotFound));
        assert!(open("/out/").is_err());
        assert!(open("/../").is_err());
    }
}
