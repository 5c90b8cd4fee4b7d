//! What acts are tried on: files, sockets and processes that are made for the check and belong to nobody else.
//! Process: made by the supervisor of `--check-sandbox`, used by its workers. Trusts: the operator.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use crate::sys::attempt;
use crate::sys::file::open_root;
use crate::sys::watcher::Watcher;

/// The folder in a scene that is a root.
const ROOT: &str = "root";

/// Everything that acts are tried on.
///
/// ```text
/// secret  away/…            outside every root
/// root/file  root/out → ../secret       beneath a root, may be read
/// root/in/…                 beneath it; may be written if the configuration lets anybody write anything
/// ```
pub struct Scene {
    folder: PathBuf,
    /// The root in it, as workers have it: to start from.
    pub root: OwnedFd,
    /// The folder of uploads in that root, the same way.
    pub uploads: OwnedFd,
    /// The process that forked this one.
    pub supervisor: u32,
    /// Another process of the same user that nothing protects.
    pub sibling: u32,
    /// A file outside the root that was opened to be appended to, as logs are.
    pub log: File,
    /// Another file, which nobody else has open.
    pub leased: File,
    /// Sockets that are neither bound nor connected, as if they had been forgotten; one for each act. `None` where not
    /// even the supervisor may make any (RestrictAddressFamilies= of systemd).
    pub tcp: Option<[OwnedFd; 4]>,
    /// The same for datagrams of this machine.
    pub datagrams: UnixDatagram,
    /// Somebody listens here: with TCP where that may be, else on this machine.
    pub listener: OwnedFd,
    /// At this address, if it is one of TCP.
    pub address: Option<SocketAddr>,
    /// A second one: acts that would spoil it for all are tried on this.
    pub common: OwnedFd,
    /// And here, without a path.
    pub abstract_name: Vec<u8>,
    /// A terminal of our own, if there may be one.
    pub terminal: Option<File>,
    /// A program, to be executed.
    pub program: Option<File>,
    /// The nice value and the limit of open files of all these processes.
    pub nice: i32,
    /// See there.
    pub limit: [u64; 2],
    /// A file in the root, opened to be read as one that is served.
    pub shown: File,
    /// What hears of changes to files, as workers have it, where that may be had.
    pub watcher: Option<Watcher>,
    /// May anybody write anything?
    pub writes: bool,
    /// May uploads make folders?
    pub makes_folders: bool,
    /// The roots of the configuration beneath which nobody may write.
    pub read_only_roots: Vec<OwnedFd>,
    _abstract_listener: UnixDatagram,
}

/// A file for each act that changes one: otherwise one that was possible would keep another from being tried.
const FILES: [&str; 12] = [
    "secret",
    "away/owned",
    "away/leased",
    "away/written",
    "away/removed",
    "away/moved",
    "root/file",
    "root/removed",
    "root/renamed",
    "root/cut",
    "root/in/moved",
    "root/in/linked",
];

/// The program that is executed: every system has it.
pub(super) const PROGRAM: &std::ffi::CStr = c"/bin/true";

impl Scene {
    /// Makes the files of a scene in a new folder; they belong to the user that this process has now.
    ///
    /// # Errors
    /// Whatever keeps a file or a socket from being made.
    pub fn new(folder: PathBuf, supervisor: u32, sibling: u32) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&folder)?;
        let files = Files(&folder);
        for name in [ROOT, "root/in", "root/in/sub", "away"] {
            fs::create_dir(folder.join(name))?;
        }
        for name in FILES {
            files.write(name)?;
        }
        symlink("../secret", folder.join("root/out"))?;
        let tcp = forgotten_sockets()?;
        let listen = |name: &str| listen(tcp.is_some(), &folder.join(name));
        let (listener, address) = listen("listener")?;
        let abstract_name = folder.as_os_str().as_bytes().to_vec();
        let abstract_address = std::os::unix::net::SocketAddr::from_abstract_name(&abstract_name)?;
        Ok(Self {
            root: open_root(&folder.join(ROOT))?,
            uploads: open_root(&folder.join("root/in"))?,
            supervisor,
            sibling,
            log: File::options().append(true).open(folder.join("away/owned"))?,
            watcher: Watcher::new().ok(),
            leased: File::open(folder.join("away/leased"))?,
            datagrams: UnixDatagram::unbound()?,
            listener,
            address,
            common: listen("common")?.0,
            tcp,
            _abstract_listener: UnixDatagram::bind_addr(&abstract_address)?,
            abstract_name,
            terminal: attempt::own_terminal().ok(),
            program: File::open(Path::new(&*PROGRAM.to_string_lossy())).ok(),
            nice: attempt::own_nice(),
            limit: attempt::own_limit()?,
            shown: File::open(folder.join("root/file"))?,
            writes: false,
            makes_folders: false,
            read_only_roots: Vec::new(),
            folder,
        })
    }

    /// The root that the acts are tried in.
    #[must_use]
    pub fn root_path(&self) -> PathBuf {
        self.folder.join(ROOT)
    }

    /// What a worker keeps open besides what every worker has.
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds =
            vec![self.root.as_fd(), self.uploads.as_fd(), self.log.as_fd(), self.leased.as_fd(), self.shown.as_fd()];
        fds.extend(self.tcp.iter().flatten().map(AsFd::as_fd));
        fds.extend([self.datagrams.as_fd(), self.listener.as_fd(), self.common.as_fd()]);
        fds.extend(self.watcher.iter().map(AsFd::as_fd));
        fds.extend(self.terminal.iter().chain(&self.program).map(AsFd::as_fd));
        fds.extend(self.read_only_roots.iter().map(AsFd::as_fd));
        fds
    }

    /// Removes the files. (They belong to a user who may do nothing else with them.)
    ///
    /// # Errors
    /// As rmdir(2) and unlink(2).
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }

    /// A path in the scene.
    pub(super) fn path(&self, name: &str) -> io::Result<CString> {
        Ok(CString::new(self.folder.join(name).into_os_string().into_encoded_bytes())?)
    }

    /// May sockets of TCP be made at all, outside of workers?
    #[must_use]
    pub fn has_tcp(&self) -> bool {
        self.tcp.is_some()
    }

    /// Where a listener may be made that needs no TCP.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.folder.join("socket")
    }
}

/// Sockets of TCP; `None` where the whole service has none.
fn forgotten_sockets() -> io::Result<Option<[OwnedFd; 4]>> {
    let socket = attempt::unused_tcp_socket;
    match socket() {
        Ok(first) => Ok(Some([first, socket()?, socket()?, socket()?])),
        Err(error) if attempt::is_no_such_family(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A socket that listens.
fn listen(with_tcp: bool, path: &Path) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    if with_tcp {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        return Ok((listener.into(), Some(address)));
    }
    Ok((UnixListener::bind(path)?.into(), None))
}

struct Files<'f>(&'f Path);

impl Files<'_> {
    fn write(&self, name: &str) -> io::Result<()> {
        File::create_new(self.0.join(name))?.write_all(b"nobody may read this, or change it\n")
    }
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").field("folder", &self.folder).finish_non_exhaustive()
    }
}
