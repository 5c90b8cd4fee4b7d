//! The seal on system calls (seccomp): what a worker's loop and helper threads need, each with its reason; all else is refused.
//! Process: worker, after its helper threads were started. Trusts: nothing. Blocks: never.
//! A refused call gives EPERM and not death, unless the configuration wants that: a library that asks politely for more
//! must not end a worker in service. Tests want it: a call that is needed and missing is seen at once.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::sandbox::SealError;
use crate::config::SandboxRefusal;

/// What a configuration needs beyond what every worker does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// Uploads make the folders on their way.
    pub folders: bool,
    /// Somebody may write somewhere.
    pub writes: bool,
}

/// Allows the calls of the tables below to every thread of this process, and refuses all others, for ever. Gives how
/// many are allowed.
///
/// # Errors
/// If the kernel does not take the filter, or this processor has none.
pub fn allow_only_needed_calls(needs: Needs, refusal: SandboxRefusal) -> Result<usize, SealError> {
    let filter_error = |error: seccompiler::Error| SealError::Filter(error.to_string());
    let rules = rules(needs).map_err(|error| filter_error(error.into()))?;
    let count = rules.len();
    let program = compile(rules, refusal, std::env::consts::ARCH).map_err(|error| filter_error(error.into()))?;
    seccompiler::apply_filter_all_threads(&program).map_err(filter_error)?;
    Ok(count)
}

pub(super) fn compile(rules: Rules, refusal: SandboxRefusal, processor: &str) -> Result<BpfProgram, BackendError> {
    #[allow(clippy::cast_sign_loss, reason = "error numbers are positive")]
    let refuse = match refusal {
        SandboxRefusal::Errno => SeccompAction::Errno(libc::EPERM as u32),
        SandboxRefusal::Kill => SeccompAction::KillProcess,
    };
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::try_from(processor)?)?.try_into()
}

/// Calls that are allowed whatever their arguments.
const PLAIN: &[c_long] = &[
    // The loop waits. (Older processors' tables have more names for the same.)
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_epoll_ctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    // Connections: accepted, read, written. The flags of sends are looked at below, and so is how they end.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    SENDFILE,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // Bytes of files, logs and wake-up descriptors. Not `pwritev2`: with RWF_NOAPPEND it overwrites a log.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_close,
    FADVISE64,
    // Files beneath the root: Landlock says which. (`openat` is looked at below.) `openat2` could make a set-user-id
    // file, too, and no filter sees its arguments; but the first byte that is written takes the bit away.
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    // Memory of the allocator and of threads' stacks; never executable, see below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads that exist: locks, their end, and the first steps of one that is just starting when the filter comes.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_gettid,
    // Signals to oneself: a stack overflow or an abort resets the handler and returns into it.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    // Time and random numbers, where the kernel has no quicker way.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // Who am I: log lines, and whose a temporary file is.
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// What uploads and removals need besides: stable storage, the commit lock, and into place. Only where somebody may write:
/// Landlock knows nothing of owners and attributes, and a descriptor for reading is enough to change them.
/// Not `ftruncate`, and `fallocate` in one mode only, see below: a log that was opened before the seal could be emptied with
/// them. Permissions (looked at below), owners and attributes by descriptor only: by path they would reach files of this
/// user outside the root.
const WRITING: &[c_long] = &[
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fchown,
    libc::SYS_flistxattr,
    libc::SYS_fgetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
];

// libc lacks two of them for 64-bit ARM; their numbers are those of the kernel's asm-generic/unistd.h.
#[cfg(not(target_arch = "aarch64"))]
use libc::{SYS_fadvise64 as FADVISE64, SYS_sendfile as SENDFILE};
#[cfg(target_arch = "aarch64")]
const SENDFILE: c_long = 71;
#[cfg(target_arch = "aarch64")]
const FADVISE64: c_long = 223;

pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(super) fn rules(needs: Needs) -> Result<Rules, BackendError> {
    let writing = if needs.writes { WRITING } else { &[] };
    let mut rules: Rules = PLAIN.iter().chain(writing).map(|call| (*call, Vec::new())).collect();
    for (call, conditions) in looked_at(needs) {
        let conditions: Result<Vec<_>, _> = conditions.into_iter().map(Argument::condition).collect();
        rules.entry(call).or_default().push(SeccompRule::new(conditions?)?);
    }
    Ok(rules)
}

/// What an argument of a call must be.
#[derive(Debug, Clone, Copy)]
enum Argument {
    /// An `int` that is this number.
    Is(u8, u64),
    /// An `int` without these bits.
    Lacks(u8, u64),
    /// A null pointer.
    IsNull(u8),
}

impl Argument {
    fn condition(self) -> Result<SeccompCondition, BackendError> {
        // The upper half of the register of an `int` is noise.
        let (index, width, operator, value) = match self {
            Self::Is(index, value) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
            Self::Lacks(index, bits) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), 0),
            Self::IsNull(index) => (index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0),
        };
        SeccompCondition::new(index, width, operator, value)
    }
}

/// A constant of libc as the filter compares it: the bits of an `int`.
const fn bits(constant: libc::c_int) -> u64 {
    #[allow(clippy::cast_sign_loss, reason = "the bits are meant")]
    let bits = constant as u32 as u64;
    bits
}

/// Calls that are allowed with some arguments only; each entry is one way, and one that holds is enough.
fn looked_at(needs: Needs) -> Vec<(c_long, Vec<Argument>)> {
    use Argument::{Is, IsNull, Lacks};
    let own_process = u64::from(std::process::id());
    let mut calls = vec![
        // MSG_FASTOPEN would connect a socket without connect(2), past Landlock's rule for it.
        (libc::SYS_sendto, vec![Lacks(3, bits(libc::MSG_FASTOPEN))]),
        (libc::SYS_sendmsg, vec![Lacks(2, bits(libc::MSG_FASTOPEN))]),
        // The end of sending only: a listener takes no notice of that. One that may receive no more is dead in all
        // processes that share it, for good.
        (libc::SYS_shutdown, vec![Is(1, bits(libc::SHUT_WR))]),
        // No set-user-id, set-group-id or sticky bit. Without a file to be made the mode is no argument.
        (libc::SYS_openat, vec![Lacks(2, MAKES_FILE)]),
        (libc::SYS_openat, vec![Lacks(3, SPECIAL_BITS)]),
        // No memory that holds code.
        (libc::SYS_mmap, vec![Lacks(2, bits(libc::PROT_EXEC))]),
        (libc::SYS_mprotect, vec![Lacks(2, bits(libc::PROT_EXEC))]),
        // Looking at one's own limits, not setting them, and nobody else's.
        (libc::SYS_prlimit64, vec![Is(0, 0), IsNull(2)]),
        // A thread's name.
        (libc::SYS_prctl, vec![Is(0, bits(libc::PR_SET_NAME))]),
        // abort(3): to oneself.
        (libc::SYS_tgkill, vec![Is(0, own_process), Is(2, bits(libc::SIGABRT))]),
        // Last words go where the error log goes, also after it was opened anew.
        (libc::SYS_dup3, vec![Is(1, bits(libc::STDERR_FILENO))]),
        // Hearing of changes to files, by descriptor only (a null path): a folder that Landlock does not let us open can't
        // be watched either.
        (libc::SYS_fanotify_mark, vec![IsNull(4)]),
        // How much of what was sent the peer has not acknowledged. Not FIONBIO, see F_SETFL.
        (libc::SYS_ioctl, vec![Is(1, ioctl(libc::TIOCOUTQ))]),
    ];
    // Not F_SETOWN, F_SETSIG and F_SETLEASE, which make the kernel send signals for us; nor F_SETFL: listeners and logs
    // are shared, and a blocking listener hangs the other workers, a log that is not appended to can be overwritten.
    for command in [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_DUPFD_CLOEXEC] {
        calls.push((libc::SYS_fcntl, vec![Is(1, bits(command))]));
    }
    // Not SO_ATTACH_FILTER and its like: the listening sockets belong to all workers.
    for option in
        [libc::TCP_NODELAY, libc::TCP_CORK, libc::TCP_QUICKACK, libc::TCP_USER_TIMEOUT, libc::TCP_NOTSENT_LOWAT]
    {
        calls.push((libc::SYS_setsockopt, vec![Is(1, bits(libc::IPPROTO_TCP)), Is(2, bits(option))]));
    }
    if needs.writes {
        calls.extend([
            (libc::SYS_fchmod, vec![Lacks(1, SPECIAL_BITS)]),
            // Times by descriptor only (a null path), for the reason given for permissions.
            (libc::SYS_utimensat, vec![IsNull(1)]),
            // Room for an upload. The other modes change a file: they cut holes into it, or its length.
            (libc::SYS_fallocate, vec![Is(1, bits(libc::FALLOC_FL_KEEP_SIZE))]),
        ]);
    }
    if needs.folders {
        calls.push((libc::SYS_mkdirat, vec![Lacks(2, SPECIAL_BITS)]));
    }
    for option in [libc::SO_LINGER, libc::SO_KEEPALIVE, libc::SO_SNDBUF, libc::SO_RCVBUF] {
        calls.push((libc::SYS_setsockopt, vec![Is(1, bits(libc::SOL_SOCKET)), Is(2, bits(option))]));
    }
    calls
}

/// Flags of open(2) with which it makes a file; `O_TMPFILE` has another flag's bit besides its own.
const MAKES_FILE: u64 = bits(libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY));
/// Set-user-id, set-group-id and sticky.
const SPECIAL_BITS: u64 = 0o7000;

/// A request of ioctl(2), which is an `int` for some C libraries and a `long` for others.
const fn ioctl(request: libc::Ioctl) -> u64 {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the type differs between C libraries")]
    let request = request as u64;
    request & u32::MAX as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, wait};
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::process::ExitCode;
    use std::sync::mpsc;
    use std::thread;

    use nix::errno::Errno;

    /// The filter can't be taken off, so each test has a process of its own.
    fn sealed<T>(prepare: impl FnOnce() -> T, test: impl FnOnce(T)) {
        sealed_for(Needs { writes: true, folders: false }, prepare, test);
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
            for (mode, allowed) in
                [(libc::FALLOC_FL_KEEP_SIZE, true), (0, false), (libc::FALLOC_FL_COLLAPSE_RANGE, false)]
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
                let make = |name: &str, mode| {
                    openat(&root, name, OFlag::O_CREAT | OFlag::O_WRONLY, Mode::from_bits_retain(mode))
                };
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
}
