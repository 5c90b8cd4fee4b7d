//! The files that all servers serve, and the folders that take uploads. All of it goes when the run ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::options::Options;

/// The length of `/big`, and of a large upload.
pub(crate) const BIG_BYTES: usize = 1 << 30;
/// `/big` is this often repeated.
const BLOCK_BYTES: usize = 1 << 20;
/// Files of the row `rand10k`, and their length.
pub(crate) const RANDOM_FILES: usize = 10_000;
/// The length of a file of the row `rand10k`.
pub(crate) const RANDOM_BYTES: usize = 4096;
/// Files in one folder of `/many`.
const FILES_A_FOLDER: usize = 1000;

/// Everything on disk and in memory that the servers see.
pub(crate) struct Site {
    disk: TempDir,
    memory: TempDir,
    /// The fileserv that is measured.
    pub(crate) binary: PathBuf,
    block: Vec<u8>,
    big: OnceLock<()>,
    random: OnceLock<()>,
}

impl Site {
    pub(crate) fn make(options: &Options) -> Self {
        let folder = |parent: &Path| {
            let folder = tempfile::Builder::new().prefix("fileserv-bench-").tempdir_in(parent);
            let folder =
                folder.unwrap_or_else(|error| panic!("no folder can be made in {}: {error}", parent.display()));
            open_to(folder.path(), 0o755);
            folder
        };
        let (disk, memory) = (folder(&options.disk), folder(&options.memory));
        let (big, random) = (OnceLock::new(), OnceLock::new());
        let site = Self { disk, memory, binary: options.binary.clone(), block: block(), big, random };
        fs::create_dir(site.root()).expect("a root");
        for (name, bytes) in [("1k", 1 << 10), ("10k", 10 << 10), ("100k", 100 << 10)] {
            fs::write(site.root().join(name), &site.block[..bytes]).expect("a file");
        }
        site
    }

    /// What all serve that only read.
    pub(crate) fn root(&self) -> PathBuf {
        self.disk.path().join("root")
    }

    /// What the first bytes of every file are.
    pub(crate) fn beginning(&self, bytes: usize) -> &[u8] {
        &self.block[..bytes]
    }

    /// One repetition of what is in `/big`.
    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Makes `/big`, once: 1 GiB, which is in the page cache afterwards.
    pub(crate) fn need_big(&self) -> PathBuf {
        let path = self.root().join("big");
        self.big.get_or_init(|| {
            let mut file = fs::File::create(&path).expect("a file");
            for _ in 0..BIG_BYTES / BLOCK_BYTES {
                file.write_all(&self.block).expect("room for 1 GiB on the disk");
            }
            file.sync_all().expect("it is written: nothing of this row's making disturbs what is measured");
        });
        path
    }

    /// Makes `/d/00000` and the others, once.
    pub(crate) fn need_random_files(&self) {
        self.random.get_or_init(|| {
            fs::create_dir(self.root().join("d")).expect("a folder");
            for number in 0..RANDOM_FILES {
                fs::write(self.root().join(format!("d/{number:05}")), &self.block[..RANDOM_BYTES]).expect("a file");
            }
        });
    }

    /// Makes a root of its own with so many files of 1 KiB; `many_path` names them.
    pub(crate) fn many_files(&self, count: usize) -> PathBuf {
        let root = self.disk.path().join(format!("many-{count}"));
        for folder in 0..count.div_ceil(FILES_A_FOLDER) {
            fs::create_dir_all(root.join(folder.to_string())).expect("a folder");
        }
        for number in 0..count {
            fs::write(root.join(&many_path(number)[1..]), &self.block[..1024]).expect("a file");
        }
        fs::write(root.join("1k"), &self.block[..1024]).expect("a file");
        root
    }

    /// A root that takes uploads in `/up/`, in memory.
    pub(crate) fn uploads_in_memory(&self) -> PathBuf {
        self.uploads(self.memory.path())
    }

    /// A root that takes uploads in `/up/`, on the disk.
    pub(crate) fn uploads_on_disk(&self) -> PathBuf {
        self.uploads(self.disk.path())
    }

    fn uploads(&self, parent: &Path) -> PathBuf {
        let root = tempfile::Builder::new().prefix("uploads-").tempdir_in(parent).expect("a folder").keep();
        fs::create_dir(root.join("up")).expect("a folder");
        fs::write(root.join("1k"), self.beginning(1024)).expect("a file");
        for folder in [root.clone(), root.join("up")] {
            open_to(&folder, 0o777);
        }
        root
    }

    /// A folder for a server's configuration, pid and logs.
    pub(crate) fn scratch(&self) -> TempDir {
        let folder = tempfile::Builder::new().prefix("server-").tempdir_in(self.disk.path()).expect("a folder");
        // Every server logs as this user, and fileserv insists that its log's folder is its own.
        std::os::unix::fs::chown(folder.path(), Some(super::servers::NOBODY), None).expect("as root");
        open_to(folder.path(), 0o755);
        folder
    }
}

/// The path of one of many files.
pub(crate) fn many_path(number: usize) -> String {
    format!("/{}/{}", number / FILES_A_FOLDER, number % FILES_A_FOLDER)
}

fn open_to(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its own folder");
}

/// Bytes that no two neighbours of 8 KiB share: a reply from the wrong place is seen.
fn block() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    while block.len() < BLOCK_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block
}
