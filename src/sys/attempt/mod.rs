//! System calls that a sealed worker must not be able to make, each in a form that does no harm where it is possible.
//! Process: a worker of `--check-sandbox`, which ends after one of them. Privileges: none. Blocks: never.
//! They go past the C library, which might try another call or answer by itself: the kernel's own word is wanted.
#![allow(unsafe_code, reason = "most of these calls have no safe form, for nobody but an attacker wants them")]

mod files;
mod kernel;
mod network;
mod processes;

use nix::errno::Errno;

pub use files::*;
pub use kernel::*;
pub use network::*;
pub use processes::*;

/// Functions that make one system call and say what came of it. A row is `fn name(arguments) = CALL(values);` and has to
/// be read with the call's manual page: its values are numbers, descriptors that are open, texts that end with a zero,
/// and pointers to values that live longer than the call and are as large as the call takes them for.
macro_rules! attempts {
    ($($(#[$words:meta])* fn $name:ident($($argument:ident: $kind:ty),*) = $call:ident($($value:expr),*);)*) => {$(
        $(#[$words])*
        ///
        /// # Errors
        /// Whatever the kernel says.
        pub fn $name($($argument: $kind),*) -> std::io::Result<()> {
            // SAFETY: each row of the tables below was read with the rule above.
            let outcome = unsafe { libc::syscall(libc::$call, $($value),*) };
            if outcome < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        }
    )*};
}
use attempts;

/// Nothing, where a pointer may be left out.
const NONE: *const libc::c_void = std::ptr::null();

/// The name of an error number as the manual pages write it.
#[must_use]
pub fn errno_name(number: i32) -> String {
    let errno = Errno::from_raw(number);
    if errno == Errno::UnknownErrno { format!("error {number}") } else { format!("{errno:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names() {
        assert_eq!(errno_name(libc::EPERM), "EPERM");
        assert_eq!(errno_name(100_000), "error 100000");
    }
}
