//! Random bytes from the kernel (getrandom(2)).
//! Process: any. Privileges: none. Blocks: never once the machine has booted.
#![allow(unsafe_code)]

/// Fills an array with random bytes.
///
/// # Errors
/// As getrandom(2); only a kernel or a filter without that call gives any.
pub fn bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the pointer and length are those of a live, writable array.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    // Up to 256 bytes are never cut short (getrandom(2)), and no caller asks for more.
    if usize::try_from(got).is_ok_and(|got| got == N) { Ok(bytes) } else { Err(std::io::Error::last_os_error()) }
}
