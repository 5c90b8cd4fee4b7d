//! The seal on system calls (seccomp): what a worker's loop and helper threads need, each with its reason; all else is refused.
//! Process: worker, after its helper threads were started. Trusts: nothing. Blocks: never.
//! A refused call gives EPERM and not death, unless the configuration wants that: a library that asks politely for more
//! must not end a worker in service. Tests want it: a call that is needed and missing is seen at once.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule, TargetArch,
};

use super::sandbox::SealError;
use super::seccomp_tree;
use crate::config::SandboxRefusal;

/// What a configuration needs beyond what every worker does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// Uploads make the folders on their way.
    pub folders: bool,
    /// Somebody may write somewhere.
    pub writes: bool,
    /// Messages go to the syslog daemon, by its address.
    pub syslog: bool,
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
    seccomp_tree::compile(rules, &refuse, TargetArch::try_from(processor)?)
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
    // To whom a socket is connected, and to nobody by an address, which could be any process of this machine; so there is
    // no sendmsg(2) either, whose address no filter sees. MSG_FASTOPEN would connect without connect(2).
    let mut send = vec![Lacks(3, bits(libc::MSG_FASTOPEN))];
    if !needs.syslog {
        send.push(IsNull(4));
    }
    calls.push((libc::SYS_sendto, send));
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
#[path = "seccomp_tests.rs"]
mod tests;
