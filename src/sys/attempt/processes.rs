//! Attempts to make processes, and on those that are there: the supervisor and a sibling.
//! Process: a worker of `--check-sandbox`; `be_a_victim` is the sibling. Trusts: nothing. Blocks: only the victim.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::resource::{Resource, getrlimit};

use super::super::process::ProcessId;
use super::{NONE, attempts};

/// SIGCHLD for the parent of what was made, as fork(2) does it.
const CHILD: libc::c_int = libc::SIGCHLD;
/// A signal that is not sent: the kernel only looks whether it could be.
const NO_SIGNAL: libc::c_int = 0;

attempts! {
    /// execve(2) of a program without arguments or environment.
    fn execute(program: &CStr) = SYS_execve(program.as_ptr(), NO_TEXTS.as_ptr(), NO_TEXTS.as_ptr());

    /// execveat(2) of a program that is open.
    fn execute_open(program: BorrowedFd<'_>) = SYS_execveat(
        program.as_raw_fd(),
        c"".as_ptr(),
        NO_TEXTS.as_ptr(),
        NO_TEXTS.as_ptr(),
        libc::AT_EMPTY_PATH
    );

    /// ptrace(2), PTRACE_SEIZE: attaches to a process and does not stop it.
    fn trace(pid: u32) = SYS_ptrace(libc::PTRACE_SEIZE, pid, NONE, NONE);

    /// kill(2).
    fn signal(pid: u32) = SYS_kill(pid, NO_SIGNAL);

    /// tkill(2).
    fn signal_thread(pid: u32) = SYS_tkill(pid, NO_SIGNAL);

    /// tgkill(2).
    fn signal_thread_of(pid: u32) = SYS_tgkill(pid, pid, NO_SIGNAL);

    /// prlimit64(2) that reads the limits of a process.
    fn read_limit(pid: u32) = SYS_prlimit64(pid, libc::RLIMIT_NOFILE, NONE, [0_u64; 2].as_mut_ptr());

    /// prlimit64(2) that sets a limit to what it is.
    fn set_limit(pid: u32, limit: &[u64; 2]) = SYS_prlimit64(pid, libc::RLIMIT_NOFILE, limit.as_ptr(), NONE);

    /// sched_setaffinity(2): every processor.
    fn choose_processors(pid: u32) = SYS_sched_setaffinity(pid, 128_usize, [u8::MAX; 128].as_ptr());

    /// sched_setscheduler(2): the ordinary one.
    fn choose_scheduler(pid: u32) = SYS_sched_setscheduler(pid, libc::SCHED_OTHER, [0_i32; 1].as_ptr());

    /// sched_setparam(2): the ordinary one.
    fn choose_priority(pid: u32) = SYS_sched_setparam(pid, [0_i32; 1].as_ptr());

    /// setpriority(2) to the nice value that it has.
    fn set_priority(pid: u32, nice: i32) = SYS_setpriority(libc::PRIO_PROCESS, pid, nice);

    /// ioprio_set(2): no class.
    fn set_disk_priority(pid: u32) = SYS_ioprio_set(1, pid, 0);

    /// pidfd_open(2).
    fn open_process(pid: u32) = SYS_pidfd_open(pid, 0);

    /// process_mrelease(2), with no process: what matters is whether it is looked at.
    fn release_memory() = SYS_process_mrelease(-1, 0);

    /// kcmp(2): compares what two processes have.
    fn compare(pid: u32) = SYS_kcmp(std::process::id(), pid, 0, 0_usize, 0_usize);

    /// setpgid(2) of oneself: leaves the group that the terminal sends signals to.
    fn leave_group() = SYS_setpgid(0, 0);

    /// setsid(2).
    fn leave_session() = SYS_setsid();

    /// prctl(2) PR_SET_DUMPABLE: lets others of this user read this process's memory.
    fn be_readable() = SYS_prctl(libc::PR_SET_DUMPABLE, 1_usize, 0_usize, 0_usize, 0_usize);

    /// prctl(2) PR_SET_PDEATHSIG: goes on without the supervisor.
    fn outlive_supervisor() = SYS_prctl(libc::PR_SET_PDEATHSIG, 0_usize, 0_usize, 0_usize, 0_usize);

    /// prlimit64(2) on oneself: changes a limit, to what it is.
    fn set_own_limit(limit: &[u64; 2]) = SYS_prlimit64(0, libc::RLIMIT_NOFILE, limit.as_ptr(), NONE);
}

const NO_TEXTS: [*const libc::c_char; 1] = [std::ptr::null()];

/// The limit of open files of this process, as prlimit64(2) takes it.
///
/// # Errors
/// As getrlimit(2).
pub fn own_limit() -> io::Result<[u64; 2]> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok([soft, hard])
}

/// clone(2) as fork(2) calls it, with `flags` besides; the new process ends at once.
///
/// # Errors
/// Whatever the kernel says.
pub fn clone(flags: i32) -> io::Result<()> {
    // SAFETY: without CLONE_VM the child has memory of its own, and it does nothing but end.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags | CHILD, NONE, NONE, NONE, NONE) };
    parent_or_end(pid)
}

/// clone3(2) as fork(2) would call it; the new process ends at once.
///
/// # Errors
/// Whatever the kernel says.
pub fn clone3() -> io::Result<()> {
    // Flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls: CLONE_ARGS_SIZE_VER0 is 64 bytes.
    let mut arguments = [0_u64; 8];
    if let Some(signal) = arguments.get_mut(4) {
        *signal = u64::from(CHILD.unsigned_abs());
    }
    // SAFETY: the structure is as large as is said; the child has memory of its own, and does nothing but end.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_mut_ptr(), 64_usize) };
    parent_or_end(pid)
}

/// fork(2) itself, where the processor has it: the C library calls clone(2).
///
/// # Errors
/// Whatever the kernel says.
pub fn fork() -> io::Result<()> {
    // SAFETY: as for `clone`; fork(2) takes no arguments and looks at none.
    let pid = unsafe { libc::syscall(FORK, CHILD, NONE, NONE, NONE, NONE) };
    parent_or_end(pid)
}

#[cfg(target_arch = "x86_64")]
const FORK: libc::c_long = libc::SYS_fork;
#[cfg(not(target_arch = "x86_64"))]
const FORK: libc::c_long = libc::SYS_clone;

fn parent_or_end(pid: libc::c_long) -> io::Result<()> {
    match pid {
        // SAFETY: the new process ends, and runs nothing that belongs to its parent.
        0 => unsafe { libc::_exit(0) },
        1.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The flag of `clone` that asks for a new user namespace, in which one is root.
pub const NEW_USER: i32 = libc::CLONE_NEWUSER;

/// process_vm_readv(2) of one byte of a process, where this process has one, too: both are forks of the
/// same program.
///
/// # Errors
/// Whatever the kernel says.
pub fn read_memory(pid: u32, byte: &'static AtomicU8) -> io::Result<()> {
    let mut read = 0_u8;
    let here = libc::iovec { iov_base: (&raw mut read).cast(), iov_len: 1 };
    let there = libc::iovec { iov_base: byte.as_ptr().cast(), iov_len: 1 };
    // SAFETY: the kernel writes one byte, into `read`.
    let outcome = unsafe {
        libc::syscall(libc::SYS_process_vm_readv, pid, &raw const here, 1_usize, &raw const there, 1_usize, 0_usize)
    };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// process_vm_writev(2) of one byte, the one that stands there already.
///
/// # Errors
/// Whatever the kernel says.
pub fn write_memory(pid: u32, byte: &'static AtomicU8) -> io::Result<()> {
    let value = byte.load(Ordering::Relaxed);
    let here = libc::iovec { iov_base: (&raw const value).cast_mut().cast(), iov_len: 1 };
    let there = libc::iovec { iov_base: byte.as_ptr().cast(), iov_len: 1 };
    // SAFETY: the kernel reads one byte, of `value`, and writes into another process only.
    let outcome = unsafe {
        libc::syscall(libc::SYS_process_vm_writev, pid, &raw const here, 1_usize, &raw const there, 1_usize, 0_usize)
    };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The nice value of this process, as setpriority(2) takes it.
#[must_use]
pub fn own_nice() -> i32 {
    // SAFETY: the call takes numbers. 0 is the calling process.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Stands still until `parent` ends: an ordinary process of the same user, which nothing protects.
///
/// # Errors
/// As prctl(2).
pub fn be_a_victim(parent: ProcessId) -> io::Result<()> {
    super::super::process::die_with(parent)?;
    nix::sys::prctl::set_dumpable(true)?;
    // Where Yama restricts ptrace(2), this one allows it to everybody. Without Yama there is nothing to allow.
    // SAFETY: the call takes numbers.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0_usize, 0_usize, 0_usize) };
    loop {
        nix::unistd::pause();
    }
}
