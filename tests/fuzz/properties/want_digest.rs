//! `Want-Repr-Digest` and `Want-Content-Digest`, dictionaries of structured fields (RFC 9530 section 4, RFC 9651).

use fileserv::message::{Algorithm, FieldName, wanted};

use super::field;

/// Checks the properties of the choice.
pub fn want_digest(bytes: &[u8]) {
    let chosen = of([bytes]);
    // One dictionary may be spread over several lines: their border is a comma like any other.
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b',').collect();
    if field(FieldName::WantReprDigest, lines.iter().copied()).is_some() {
        assert_eq!(of(lines), chosen, "in several lines");
    }
    let Some(algorithm) = chosen else { return };
    let key = match algorithm {
        Algorithm::Sha256 => "sha-256",
        Algorithm::Sha512 => "sha-512",
    };
    assert!(String::from_utf8_lossy(bytes).contains(key), "{key} was not asked for");
    // It could be read, so it goes on being read; the last word on a key counts.
    let with = |more: &[u8]| of([&[bytes, more].concat()[..]]);
    assert_eq!(with(b", sha-256=10"), Some(Algorithm::Sha256));
    assert_eq!(with(b", sha-256=0, sha-512=10"), Some(Algorithm::Sha512));
    assert_eq!(with(b", sha-256=0, sha-512=0"), None);
    assert_eq!(with(b", sha-256=11, sha-512=(1 2)"), None, "no preferences");
    assert_eq!(with(b", sha-1=10, other=?1;a=\"b\""), Some(algorithm), "others don't matter");
    assert_eq!(with(b", sha-256=1 2"), None, "what can't be read asks for nothing");
}

fn of<'b>(lines: impl IntoIterator<Item = &'b [u8]>) -> Option<Algorithm> {
    let fields = field(FieldName::WantReprDigest, lines).expect("there is room for the lines");
    wanted(&fields, FieldName::WantReprDigest)
}
