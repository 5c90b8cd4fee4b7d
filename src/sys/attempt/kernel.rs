//! Attempts on the kernel's larger interfaces: mounts, identities, memory that holds code, and what has had the most holes.
//! Process: a worker of `--check-sandbox`. Trusts: nothing. Blocks: never.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::{NONE, attempts, execute_open};

attempts! {
    /// mount(2): a file system in memory over a folder.
    fn mount() = SYS_mount(c"none".as_ptr(), c"/tmp".as_ptr(), c"tmpfs".as_ptr(), 0_usize, NONE);

    /// umount2(2) of what is no mount.
    fn unmount() = SYS_umount2(c"/proc/self".as_ptr(), 0);

    /// fsopen(2): the newer way to mount.
    fn open_file_system() = SYS_fsopen(c"tmpfs".as_ptr(), 0);

    /// open_tree(2): a copy of a tree of mounts.
    fn open_tree() = SYS_open_tree(libc::AT_FDCWD, c"/".as_ptr(), 0);

    /// pivot_root(2).
    fn pivot_root() = SYS_pivot_root(c"/".as_ptr(), c"/".as_ptr());

    /// chroot(2).
    fn chroot() = SYS_chroot(c"/".as_ptr());

    /// unshare(2) into a new user namespace.
    fn unshare_users() = SYS_unshare(libc::CLONE_NEWUSER);

    /// unshare(2) of descriptors, which wants no right.
    fn unshare_files() = SYS_unshare(libc::CLONE_FILES);

    /// setns(2) into the namespace of nobody.
    fn join_namespace() = SYS_setns(-1, 0);

    /// setresuid(2) to root.
    fn become_root() = SYS_setresuid(0, 0, 0);

    /// setuid(2) to oneself.
    fn set_user(uid: u32) = SYS_setuid(uid);

    /// setresgid(2) to root's group.
    fn join_root() = SYS_setresgid(0, 0, 0);

    /// setgroups(2): none.
    fn leave_groups() = SYS_setgroups(0_usize, NONE);

    /// capset(2): no capability, which everybody may give up.
    fn set_capabilities() =
        SYS_capset([CAPABILITY_VERSION_3, 0].as_mut_ptr(), [0_u32; 6].as_ptr());

    /// sethostname(2) to nothing.
    fn rename_machine() = SYS_sethostname(c"".as_ptr(), 0_usize);

    /// clock_settime(2) to a time before the epoch, which no clock takes.
    fn set_clock() = SYS_clock_settime(libc::CLOCK_REALTIME, [-1_i64, -1].as_ptr());

    /// syslog(2): reads the kernel's log.
    fn read_kernel_log() = SYS_syslog(SYSLOG_ACTION_SIZE_BUFFER, NONE, 0);

    /// io_uring_setup(2).
    fn make_ring() = SYS_io_uring_setup(1, [0_u64; 64].as_mut_ptr());

    /// bpf(2): looks for the first program.
    fn use_bpf() = SYS_bpf(BPF_PROG_GET_NEXT_ID, [0_u64; 64].as_mut_ptr(), 128);

    /// userfaultfd(2), for user space's faults only.
    fn catch_faults() = SYS_userfaultfd(UFFD_USER_MODE_ONLY);

    /// perf_event_open(2): counts own page faults.
    fn count_events() = SYS_perf_event_open(FAULTS.as_ptr(), 0, -1, -1, 0_usize);

    /// keyctl(2): the user's keyring, which all processes of the user share.
    fn ask_for_keyring() = SYS_keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1, 0_usize, 0_usize);

    /// add_key(2) to the process's own keyring.
    fn add_key() = SYS_add_key(
        c"user".as_ptr(),
        c"fileserv-check".as_ptr(),
        c"x".as_ptr(),
        1_usize,
        KEY_SPEC_PROCESS_KEYRING
    );

    /// request_key(2).
    fn request_key() = SYS_request_key(c"user".as_ptr(), c"fileserv-check".as_ptr(), NONE, 0);

    /// memfd_create(2).
    fn make_memory_file() = SYS_memfd_create(c"check".as_ptr(), 0);

    /// personality(2): all that is read may be executed.
    fn make_reading_executing() = SYS_personality(READ_IMPLIES_EXEC);

    /// seccomp(2): asks what actions there are; with other arguments it would add a filter.
    fn use_seccomp() = SYS_seccomp(libc::SECCOMP_GET_ACTION_AVAIL, 0, [libc::SECCOMP_RET_KILL_PROCESS; 1].as_ptr());

    /// quotactl(2): quotas of all users are to be written to the disk.
    fn use_quotas() = SYS_quotactl(Q_SYNC, NONE, 0, NONE);
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const SYSLOG_ACTION_SIZE_BUFFER: libc::c_int = 10;
const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
const UFFD_USER_MODE_ONLY: libc::c_int = 1;
const KEYCTL_GET_KEYRING_ID: libc::c_int = 0;
const KEY_SPEC_PROCESS_KEYRING: libc::c_int = -2;
const KEY_SPEC_USER_KEYRING: libc::c_int = -4;
const READ_IMPLIES_EXEC: libc::c_ulong = 0x0040_0000;
const Q_SYNC: libc::c_uint = 0x8000_0100;

/// perf_event_attr, the first 64 bytes (PERF_ATTR_SIZE_VER0): type 1 (software), size 64, config 2 (page faults);
/// flags: not in the kernel, not in a hypervisor.
const FAULTS: [u64; 8] = [1 | 64 << 32, 2, 0, 0, 0, 1 << 5 | 1 << 6, 0, 0];

/// shmget(2): shared memory, which would outlive its processes; it is removed at once.
///
/// # Errors
/// Whatever the kernel says.
pub fn make_shared_memory() -> io::Result<()> {
    // SAFETY: the calls take numbers; with IPC_RMID the pointer is not looked at.
    let id = unsafe { libc::syscall(libc::SYS_shmget, libc::IPC_PRIVATE, PAGE, 0o600) };
    if id < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above. Nobody else knows of this memory.
    unsafe { libc::syscall(libc::SYS_shmctl, id, libc::IPC_RMID, NONE) };
    Ok(())
}

/// msgget(2): a queue of messages, the same way.
///
/// # Errors
/// Whatever the kernel says.
pub fn make_message_queue() -> io::Result<()> {
    // SAFETY: the calls take numbers; with IPC_RMID the pointer is not looked at.
    let id = unsafe { libc::syscall(libc::SYS_msgget, libc::IPC_PRIVATE, 0o600) };
    if id < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above. Nobody else knows of this queue.
    unsafe { libc::syscall(libc::SYS_msgctl, id, libc::IPC_RMID, NONE) };
    Ok(())
}

/// A page of memory that may be read and written, with which `use_it` does something.
fn with_page(use_it: impl FnOnce(std::ptr::NonNull<libc::c_void>) -> nix::Result<()>) -> io::Result<()> {
    let Some(length) = std::num::NonZeroUsize::new(PAGE) else { return Ok(()) };
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, which nobody else knows of.
    let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }?;
    let outcome = use_it(page);
    // SAFETY: the mapping is the one above, and nobody uses it any more.
    unsafe { munmap(page, PAGE) }?;
    Ok(outcome?)
}

/// Every processor's pages are a multiple of it.
const PAGE: usize = 65536;

/// mprotect(2): what was written becomes code.
///
/// # Errors
/// Whatever the kernel says.
pub fn make_code() -> io::Result<()> {
    // SAFETY: the page stays mapped until the call is over, and nobody runs what stands there.
    with_page(|page| unsafe { mprotect(page, PAGE, ProtFlags::PROT_READ | ProtFlags::PROT_EXEC) })
}

/// pkey_mprotect(2) without a key, which is the same.
///
/// # Errors
/// Whatever the kernel says.
pub fn make_code_by_key() -> io::Result<()> {
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    with_page(|page| {
        // SAFETY: as in `make_code`.
        let outcome = unsafe { libc::syscall(libc::SYS_pkey_mprotect, page.as_ptr(), PAGE, protection, -1) };
        nix::errno::Errno::result(outcome).map(drop)
    })
}

/// mmap(2) of memory that can be written and executed.
///
/// # Errors
/// Whatever the kernel says.
pub fn map_code() -> io::Result<()> {
    let Some(length) = std::num::NonZeroUsize::new(PAGE) else { return Ok(()) };
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE | ProtFlags::PROT_EXEC;
    // SAFETY: a new mapping, which nobody else knows of and nobody runs.
    unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }?;
    Ok(())
}

/// memfd_create(2), a program written into it, execveat(2): a program that never was a file.
///
/// # Errors
/// The first step that fails.
pub fn execute_from_memory(mut program: &File) -> io::Result<()> {
    let memory = File::from(memfd_create(c"check", MFdFlags::MFD_CLOEXEC)?);
    io::copy(&mut program, &mut &memory)?;
    execute_open(memory.as_fd())
}

/// landlock_create_ruleset(2), then a rule would follow: a seal within the seal is harmless, and not needed.
///
/// # Errors
/// Whatever the kernel says.
pub fn make_ruleset() -> io::Result<()> {
    // SAFETY: the call reads eight bytes, the rights that are to be handled: to execute.
    let outcome = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, [1_u64; 1].as_ptr(), 8_usize, 0) };
    let number = i32::try_from(outcome).unwrap_or(-1);
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, and nobody else has it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(())
}
