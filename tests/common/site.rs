//! A document root of our own, in a temporary folder that the service user can reach.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{is_root, until};

/// Who serves when the tests run as root.
pub(crate) const SERVICE_USER: &str = "nobody";

/// More than the 20 ms for which the server takes a file as fresh.
const SETTLING: Duration = Duration::from_millis(25);

/// A folder with a document root, and beside it room for a configuration, logs and secrets.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// An empty root.
    pub(crate) fn empty() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    /// An empty root where big files find room: beside the build, never in memory.
    pub(crate) fn big() -> Self {
        Self::inside(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// An empty root in memory, where no disk is waited for.
    pub(crate) fn in_memory() -> Self {
        Self::inside(Path::new("/dev/shm"))
    }

    /// A root with a bit of everything.
    pub(crate) fn sample() -> Self {
        let site = Self::empty();
        site.write("index.html", "<!DOCTYPE html><title>home</title><p>home\n");
        site.write("hello.txt", "hello, world\n");
        site.write("alphabet.txt", "abcdefghijklmnopqrstuvwxyz");
        site.write("empty.txt", "");
        site.write("folder/inner.txt", "inner\n");
        site.write("folder/deeper/leaf.txt", "leaf\n");
        site.write("name with space & <b>.txt", "odd name\n");
        site.write(".hidden", "hidden\n");
        site.write("large.bin", large());
        site.settle();
        site
    }

    fn inside(parent: &Path) -> Self {
        // The service user has to get in: a reload opens the root as that user.
        let open = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("fileserv-").permissions(open).tempdir_in(parent).unwrap();
        let site = Self { folder };
        for name in ["root", "log"] {
            fs::create_dir(site.beside(name)).unwrap();
            give(&site.beside(name));
        }
        site
    }

    /// The document root.
    pub(crate) fn root(&self) -> PathBuf {
        self.beside("root")
    }

    /// A path in the root.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A path outside the root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file below the root, and the folders that lead to it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let mut folder = path.parent().unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(&path, content).unwrap();
        give(&path);
        while folder != self.root() {
            give(folder);
            folder = folder.parent().unwrap();
        }
    }

    /// Waits until one more change of a file would show in its time stamps: before that its tag is weak.
    pub(crate) fn settle(&self) {
        let written = Instant::now();
        until("the files are old enough for a strong tag", || written.elapsed() > SETTLING);
    }

    /// Waits until the last change of all files is more than a second ago: what is read earlier is read once more then.
    pub(crate) fn grow_old(&self) {
        let written = Instant::now();
        until("the files are old", || written.elapsed() > Duration::from_millis(1_100));
    }

    /// The content of a file below the root.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The names in the root, hidden ones too, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A megabyte and a bit that repeats at no power of two: a piece sent twice or left out is seen.
pub(crate) fn large() -> Vec<u8> {
    (0u32..1_100_003).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

/// Lets the service user own it.
pub(crate) fn give(path: &Path) {
    if is_root() {
        let name = CString::new(SERVICE_USER).unwrap();
        let user = nix::unistd::User::from_name(name.to_str().unwrap()).unwrap().expect("the service user exists");
        nix::unistd::chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}
