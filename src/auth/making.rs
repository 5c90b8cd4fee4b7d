//! Making lines for the files of credentials: `--hash-password` and `--make-token`.
//! Process: a command of its own, for the operator. Blocks: on the terminal.
//! The door of the crate rpassword, which knows how a terminal stops to echo, and starts again whatever happens.

use std::io::{self, IsTerminal, Read};

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::sys::random;

/// As long as RFC 9106 recommends.
const SALT_BYTES: usize = 16;
const TOKEN_BYTES: usize = 32;
/// Nobody has a longer password, and `/dev/zero` must end.
const PASSWORD_LIMIT_BYTES: u64 = 1024;

/// Reads a password: from a terminal twice and without echo, else one line of standard input.
///
/// # Errors
/// None was given, they differ, or what the terminal says.
pub fn read_password() -> io::Result<String> {
    let password = if io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != first {
            return Err(io::Error::other("the two passwords differ; nothing was made"));
        }
        first
    } else {
        let mut text = String::new();
        io::stdin().lock().take(PASSWORD_LIMIT_BYTES + 1).read_to_string(&mut text)?;
        text.lines().next().unwrap_or_default().to_owned()
    };
    match password.len() as u64 {
        0 => Err(io::Error::other("the password is empty; write it as one line to standard input")),
        1..=PASSWORD_LIMIT_BYTES => Ok(password),
        _ => Err(io::Error::other("the password is longer than 1024 bytes")),
    }
}

/// The line of `users_file` for this name, and the password that `read` gives once the name is known to be one.
///
/// # Errors
/// A name that can't stand there, what `read` says, or a system without random numbers.
pub fn hash_password(name: &str, read: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
    check_name(name)?;
    Ok(format!("{name}:{}", argon2_hash(read()?.as_bytes())?))
}

/// argon2id with the parameters that the crate takes over from OWASP: 19 MiB, two passes.
pub(super) fn argon2_hash(password: &[u8]) -> io::Result<String> {
    let salt: [u8; SALT_BYTES] = random::bytes()?;
    let hash = Argon2::default().hash_password_with_salt(password, &salt).map_err(io::Error::other)?;
    Ok(hash.to_string())
}

/// A new token for this name, and the line of `tokens_file`, as two lines.
///
/// # Errors
/// As `hash_password`.
pub fn make_token(name: &str) -> io::Result<String> {
    check_name(name)?;
    let (token, line) = token(name)?;
    Ok(format!("{token}\n{line}"))
}

/// The prefix lets programs that look for leaked secrets know one.
pub(super) fn token(name: &str) -> io::Result<(String, String)> {
    let token = format!("fileserv_{}", URL_SAFE_NO_PAD.encode(random::bytes::<TOKEN_BYTES>()?));
    let line =
        Sha256::digest(token.as_bytes()).iter().fold(format!("{name}:"), |line, byte| format!("{line}{byte:02x}"));
    Ok((token, line))
}

fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty()
        || name.len() > 255
        || name.starts_with('#')
        || name.contains(':')
        || name.contains(char::is_control)
    {
        let words = "can't be the name of a user; write 1 to 255 bytes without `:`, and no `#` in front";
        return Err(io::Error::other(format!("{name:?} {words}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_break_the_file_is_refused() {
        let hash_password = |name: &str| hash_password(name, || Ok("x".to_owned()));
        for wrong in ["", "a:b", "#a", "a\nb"] {
            assert!(hash_password(wrong).is_err() && make_token(wrong).is_err(), "{wrong:?}");
        }
        let line = hash_password("alice").unwrap();
        assert!(line.starts_with("alice:$argon2id$v=19$m=19456,t=2,p=1$"), "{line}");
        assert_ne!(hash_password("alice").unwrap(), line, "each has a salt of its own");
    }
}
