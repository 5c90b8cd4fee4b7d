//! What Landlock this kernel has, asked of the kernel itself.
//! Process: worker, before its seal. Privileges: none. Blocks: never.
//! The landlock crate takes every error for an old kernel; here a refusal (EPERM) stays a refusal.
#![allow(unsafe_code, reason = "the system call has no wrapper")]

use std::io;

/// The version of Landlock's interface that the kernel offers; `None` if it has no Landlock, or has it switched off.
///
/// # Errors
/// Whatever else the call gives: EPERM is a filter's doing (systemd's `@system-service` of Debian 12), not the kernel's.
pub fn kernel_abi() -> io::Result<Option<u32>> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    let no_ruleset = std::ptr::null::<libc::c_void>();
    let no_length: libc::size_t = 0;
    // SAFETY: with this flag the call reads no memory and takes a null pointer (landlock_create_ruleset(2)).
    let abi =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_ruleset, no_length, CREATE_RULESET_VERSION) };
    if let Ok(abi) = u32::try_from(abi) {
        return Ok(Some(abi));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => Ok(None),
        _ => Err(error),
    }
}
