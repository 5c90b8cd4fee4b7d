//! Test: the filter of system calls, tried in processes that it was put on: what a worker needs works, and all else is refused.

use super::*;
use crate::sys::process::{Ended, fork, wait};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;

/// The filter can't be taken off, so each test has a process of its own.
fn sealed<T>(prepare: impl FnOnce() -> T, test: impl FnOnce(T)) {
    sealed_for(Needs { writes: true, ..Needs::default() }, prepare, test);
}

fn sealed_for<T>(needs: Needs, prepare: impl FnOnce() -> T, test: impl FnOnce(T)) {
    let child = fork(|| {
        let prepared = prepare();
        allow_only_needed_calls(needs, SandboxRefusal::Errno).unwrap();
        test(prepared);
        ExitCode::SUCCESS
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
}

fn refused<T>(outcome: nix::Result<T>) -> bool {
    outcome.is_err_and(|errno| errno == Errno::EPERM)
}

#[test]
fn work_of_a_worker_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let prepare = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener, client)
    };
    sealed(prepare, |(listener, mut client)| {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_nodelay(true).unwrap();
        connection.write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        let path = folder.path().join("a");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(file.set_len(0).is_err(), "a log could be emptied");
        for (mode, allowed) in [(libc::FALLOC_FL_KEEP_SIZE, true), (0, false), (libc::FALLOC_FL_COLLAPSE_RANGE, false)]
        {
            let mode = nix::fcntl::FallocateFlags::from_bits_retain(mode);
            let outcome = nix::fcntl::fallocate(&file, mode, 0, 1 << 21);
            assert_eq!(refused(outcome), !allowed, "a log could be cut off, or made longer");
        }
        let root = File::open(folder.path()).unwrap();
        nix::fcntl::renameat(&root, "a", &root, "b").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap().len(), 1 << 20);
        nix::unistd::unlinkat(&root, "b", nix::unistd::UnlinkatFlags::NoRemoveDir).unwrap();
        root.sync_all().unwrap();
        let _ = thread::available_parallelism();
        thread::sleep(std::time::Duration::from_millis(1));
    });
}

#[test]
fn threads_that_were_started_before_are_sealed_too_and_live() {
    let prepare = || {
        let (ask, asked) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let thread = thread::Builder::new().spawn(move || {
            while asked.recv().is_ok() {
                let many: Vec<u8> = vec![1; 1 << 22];
                let socket = UnixStream::pair().map(drop);
                tell.send((many.len(), socket.map_err(|error| error.kind()))).unwrap();
            }
        });
        (ask, told, thread.unwrap())
    };
    sealed(prepare, |(ask, told, thread)| {
        for _ in 0..10 {
            ask.send(()).unwrap();
            assert_eq!(told.recv().unwrap(), (1 << 22, Err(io::ErrorKind::PermissionDenied)));
        }
        drop(ask);
        thread.join().unwrap();
        assert!(thread::Builder::new().spawn(|| {}).is_err());
    });
}

#[test]
fn no_process_program_socket_or_signal() {
    sealed(
        || (),
        |()| {
            assert!(fork(|| ExitCode::SUCCESS).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied));
            assert!(refused(nix::unistd::execv(c"/bin/true", &[c"true"])));
            assert!(TcpListener::bind("127.0.0.1:0").is_err());
            assert!(refused(nix::sys::signal::kill(nix::unistd::getppid(), None)));
            assert!(refused(nix::sys::signal::kill(nix::unistd::getpid(), None)));
            assert!(refused(nix::unistd::setuid(nix::unistd::getuid())));
            assert!(refused(nix::unistd::chroot("/")));
            assert!(refused(nix::sys::prctl::set_dumpable(true)));
            let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
            assert!(nix::sys::resource::getrlimit(limit).is_ok());
            assert!(refused(nix::sys::resource::setrlimit(limit, 10, 10)));
        },
    );
}

#[test]
fn no_change_of_a_file_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let file = File::create(&path).unwrap();
    sealed(
        || (),
        |()| {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o600);
            file.set_permissions(mode.clone()).unwrap();
            assert!(std::fs::set_permissions(&path, mode).is_err());
            let now = nix::sys::time::TimeSpec::new(0, 0);
            let flag = nix::sys::stat::UtimensatFlags::FollowSymlink;
            assert!(refused(nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &path, &now, &now, flag)));
            assert!(refused(nix::unistd::chown(&path, None, None)));
            assert!(refused(nix::unistd::mkfifo(&folder.path().join("f"), nix::sys::stat::Mode::S_IRUSR)));
            assert!(std::fs::create_dir(folder.path().join("d")).is_err());
        },
    );
}

#[test]
fn who_only_reads_changes_nothing_by_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    File::create(&path).unwrap();
    let shown = File::open(&path).unwrap();
    sealed_for(
        Needs::default(),
        || (),
        |()| {
            use nix::sys::stat::{Mode, fchmod, futimens};
            let now = nix::sys::time::TimeSpec::new(0, 0);
            assert!(refused(fchmod(&shown, Mode::S_IRUSR)));
            assert!(refused(nix::unistd::fchown(&shown, None, None)));
            assert!(refused(futimens(&shown, &now, &now)));
            assert!(shown.sync_all().is_err());
            assert!(std::fs::rename(&path, folder.path().join("b")).is_err());
            assert!(std::fs::remove_file(&path).is_err());
        },
    );
}

#[test]
fn no_code_is_made_and_no_filter_put_on_a_shared_socket() {
    let prepare = || TcpListener::bind("127.0.0.1:0").unwrap();
    sealed(prepare, |listener| {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
        let length = std::num::NonZeroUsize::new(4096).unwrap();
        for (protection, allowed) in [(ProtFlags::PROT_READ, true), (ProtFlags::PROT_EXEC, false)] {
            #[allow(unsafe_code, reason = "the mapping is new and nobody uses it")]
            // SAFETY: a new mapping, which nobody uses.
            let outcome = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) };
            assert_eq!(outcome.is_ok(), allowed);
        }
        assert!(listener.set_nonblocking(false).is_err(), "the other workers would hang in accept");
        let lock = nix::sys::socket::setsockopt(&listener, nix::sys::socket::sockopt::ReusePort, &true);
        assert!(refused(lock));
        let fast = nix::sys::socket::MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
        assert!(refused(nix::sys::socket::send(listener.as_raw_fd(), b"x", fast)));
        #[allow(unsafe_code, reason = "nix has no F_SETOWN")]
        // SAFETY: the arguments are plain numbers.
        let owner = unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_SETOWN, 1) };
        assert!(refused(Errno::result(owner)));
    });
}

#[test]
fn a_refusal_may_be_death() {
    let child = fork(|| {
        let _ = allow_only_needed_calls(Needs::default(), SandboxRefusal::Kill);
        let _ = nix::unistd::chroot("/");
        ExitCode::SUCCESS
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Killed(libc::SIGSYS));
}

#[test]
fn no_file_is_made_that_runs_as_this_user() {
    let folder = tempfile::tempdir().unwrap();
    let root = File::open(folder.path()).unwrap();
    sealed(
        || (),
        |()| {
            use nix::fcntl::{OFlag, openat};
            use nix::sys::stat::{Mode, fchmod};
            let make =
                |name: &str, mode| openat(&root, name, OFlag::O_CREAT | OFlag::O_WRONLY, Mode::from_bits_retain(mode));
            let file = make("plain", 0o755).unwrap();
            assert!(refused(make("setuid", 0o4755)));
            assert!(refused(make("setgid", 0o2755)));
            assert!(refused(fchmod(&file, Mode::from_bits_retain(0o6755))));
            fchmod(&file, Mode::from_bits_retain(0o700)).unwrap();
        },
    );
}

#[test]
fn a_worker_may_still_abort() {
    let child = fork(|| {
        let _ = allow_only_needed_calls(Needs::default(), SandboxRefusal::Kill);
        std::process::abort()
    });
    assert_eq!(wait(child.unwrap()).unwrap(), Ended::Killed(libc::SIGABRT));
}

#[test]
fn a_datagram_goes_to_an_address_only_where_syslog_is_logged_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let daemon = UnixDatagram::bind(&path).unwrap();
    for syslog in [false, true] {
        let socket = || UnixDatagram::unbound().unwrap();
        sealed_for(Needs { syslog, ..Needs::default() }, socket, |socket| {
            let outcome = socket.send_to(b"a line", &path);
            assert_eq!(outcome.is_ok(), syslog, "{outcome:?}");
        });
    }
    assert_eq!(daemon.recv(&mut [0; 16]).unwrap(), 6);
    daemon.set_nonblocking(true).unwrap();
    assert!(daemon.recv(&mut [0; 16]).is_err());
}
