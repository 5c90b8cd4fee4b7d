//! Test: the rules of Landlock, tried in processes that they were put on, and the words for what is enforced.

use super::*;
use crate::sys::file::open_root;
use crate::sys::process::{Ended, fork, wait};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;

/// The seal can't be taken off, so each test has a process of its own.
fn sealed(can_write: bool, test: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "old").unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let root = open_root(folder.path()).unwrap();
    let child = fork(|| {
        let right = if can_write { Right::Write } else { Right::Read };
        enforce(&[Grant { fd: root.as_fd(), right }]).unwrap();
        test(folder.path());
        ExitCode::SUCCESS
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
}

fn denied<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[test]
fn reader_reads_beneath_its_root_and_nothing_else() {
    sealed(false, |root| {
        assert_eq!(fs::read(root.join("old")).unwrap(), b"old");
        assert_eq!(fs::read_dir(root).unwrap().count(), 2);
        assert!(denied(fs::read("/etc/passwd")));
        assert!(denied(fs::read_dir("/")));
        assert!(denied(File::create(root.join("old"))));
        assert!(denied(make(&root.join("new"))));
        assert!(denied(fs::remove_file(root.join("old"))));
        assert!(denied(fs::rename(root.join("old"), root.join("new"))));
    });
}

#[test]
fn writer_replaces_files_in_their_folder_and_nothing_else() {
    sealed(true, |root| {
        let mut new = make(&root.join("new")).unwrap();
        new.write_all(b"new").unwrap();
        new.sync_all().unwrap();
        fs::rename(root.join("new"), root.join("old")).unwrap();
        assert_eq!(fs::read(root.join("old")).unwrap(), b"new");
        make(&root.join("sub/temporary")).unwrap();
        fs::hard_link(root.join("sub/temporary"), root.join("sub/named")).unwrap();
        fs::remove_file(root.join("sub/temporary")).unwrap();
        assert!(denied(fs::create_dir(root.join("folder"))));
        assert!(denied(fs::remove_dir(root.join("sub"))));
        assert!(denied(std::os::unix::fs::symlink("/", root.join("link"))));
        assert!(denied(std::os::unix::net::UnixListener::bind(root.join("socket"))));
        assert!(denied(File::create("/tmp/outside")));
        let moved = fs::rename(root.join("sub/named"), root.join("named")).unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::CrossesDevices);
    });
}

#[test]
fn network_and_signals_are_denied_where_the_kernel_can() {
    let abi = kernel_abi().unwrap().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap();
    sealed(false, |_| {
        if abi >= NETWORK_ABI {
            assert!(denied(std::net::TcpStream::connect(port)));
            assert!(denied(std::net::TcpListener::bind("127.0.0.1:0")));
        }
        if abi >= SCOPE_ABI {
            assert_eq!(nix::sys::signal::kill(nix::unistd::getppid(), None), Err(nix::errno::Errno::EPERM));
        }
    });
}

#[test]
fn folders_are_made_only_where_that_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    let root = open_root(folder.path()).unwrap();
    let child = fork(|| {
        enforce(&[Grant { fd: root.as_fd(), right: Right::WriteAndMakeFolders }]).unwrap();
        fs::create_dir(folder.path().join("new")).unwrap();
        make(&folder.path().join("new/file")).unwrap();
        assert!(denied(fs::remove_dir(folder.path().join("new"))));
        ExitCode::SUCCESS
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
}

#[test]
fn socket_made_before_still_reaches_a_syslog_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let daemon = UnixDatagram::bind(&path).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    let sockets = open_root(folder.path()).unwrap();
    let child = fork(|| {
        enforce(&[Grant { fd: sockets.as_fd(), right: Right::Speak }]).unwrap();
        socket.send_to(b"line", &path).unwrap();
        assert!(denied(fs::read(&path)));
        ExitCode::SUCCESS
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    let mut line = [0; 8];
    assert_eq!(daemon.recv(&mut line).unwrap(), 4);
}

#[test]
fn without_a_seal_it_says_so() {
    let seal = seal_filesystem(&Grants::default(), Sandbox::Off).unwrap();
    assert_eq!(seal.to_string(), "NO Landlock (switched off); NO seccomp (switched off)");
}

#[test]
fn words_name_what_an_older_kernel_lacks() {
    let words_of = |abi, roots, writable, missing| {
        let mut seal = Seal { files: Ok(Files { abi, roots, writable, missing }), system_calls: Err(String::new()) };
        seal.add_filter(Ok(70), Sandbox::Required).unwrap();
        seal.to_string()
    };
    let words = |abi| words_of(abi, 1, 0, 0);
    assert!(words(2).contains("TCP left to seccomp, signals left to seccomp; seccomp: 70"), "{}", words(2));
    assert!(words(4).contains("no TCP bind or connect, signals left to seccomp"), "{}", words(4));
    assert!(words(6).contains("no TCP bind or connect, no signal or abstract socket"), "{}", words(6));
    assert!(words(6).contains(": files beneath the root may be read, none written, no TCP"), "{}", words(6));
    assert!(words_of(6, 1, 1, 0).contains("the root may be read, beneath 1 folder written, no TCP"));
    assert!(words_of(6, 3, 2, 1).contains("3 roots may be read, beneath 2 folders written (1 more not there), no TCP"));
}

#[test]
fn each_folder_has_its_own_rights() {
    let [reading, writing] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let roots = [&reading, &writing].map(|folder| open_root(folder.path()).unwrap());
    let child = fork(|| {
        let grants = [(&roots[0], Right::Read), (&roots[1], Right::Write)];
        enforce(&grants.map(|(root, right)| Grant { fd: root.as_fd(), right })).unwrap();
        assert_eq!(fs::read_dir(reading.path()).unwrap().count(), 0);
        assert!(denied(make(&reading.path().join("new"))));
        make(&writing.path().join("new")).unwrap();
        ExitCode::SUCCESS
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
}
