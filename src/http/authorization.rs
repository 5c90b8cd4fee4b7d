//! The field `Authorization`: what somebody shows to be known, and how the answer asks for it.
//! Process: worker, sealed. Trusts: nothing. Pure. Fails with: 401.
//! RFC 9110 section 11, RFC 7617 (Basic), RFC 6750 (Bearer).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::message::{FieldName, Fields, Refusal, Response, Status};

/// What is shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// A name and its password.
    Password {
        /// In UTF-8, as the challenge asks.
        name: String,
        /// Any bytes.
        password: Vec<u8>,
    },
    /// A bearer token.
    Token(Vec<u8>),
}

/// Reads the field.
///
/// # Errors
/// 401 with what would be right.
pub fn read_authorization(fields: &Fields<'_>) -> Result<Option<Shown>, Refusal> {
    let mut values = fields.all(FieldName::Authorization);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(unauthorized("Authorization may stand only once."));
    }
    let space = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Basic") {
        let words = "Authorization: Basic wants base64 of NAME:PASSWORD, the name in UTF-8.";
        return basic(rest).map(Some).ok_or_else(|| unauthorized(words));
    }
    if scheme.eq_ignore_ascii_case(b"Bearer") && !rest.is_empty() {
        return Ok(Some(Shown::Token(rest.to_owned())));
    }
    Err(unauthorized("Authorization is read with the schemes Basic and Bearer only."))
}

fn basic(encoded: &[u8]) -> Option<Shown> {
    let mut bytes = STANDARD.decode(encoded).ok()?;
    let colon = memchr::memchr(b':', &bytes)?;
    let password = bytes.split_off(colon + 1);
    bytes.truncate(colon);
    Some(Shown::Password { name: String::from_utf8(bytes).ok()?, password })
}

/// A 401; the challenge comes with its answer.
#[must_use]
pub fn unauthorized(detail: &'static str) -> Refusal {
    Refusal::new(Status::UNAUTHORIZED, detail)
}

/// Which schemes a site can be asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schemes {
    /// Basic.
    pub passwords: bool,
    /// Bearer.
    pub tokens: bool,
}

/// Adds the challenges that a 401 needs (RFC 9110 section 15.5.2), one a line: some browsers read no second one in a
/// line. Basic comes first, for browsers ask their users by it.
pub(super) fn challenge(response: &mut Response, schemes: Schemes) {
    if schemes.passwords {
        response.fields.push(FieldName::WwwAuthenticate, "Basic realm=\"fileserv\", charset=\"UTF-8\"");
    }
    if schemes.tokens {
        response.fields.push(FieldName::WwwAuthenticate, "Bearer realm=\"fileserv\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<Shown>, Refusal> {
        let mut fields = Fields::default();
        for value in values {
            assert!(fields.push("authorization", value.as_bytes()));
        }
        read_authorization(&fields)
    }

    #[test]
    fn both_schemes_are_read_in_any_case() {
        let alice = Shown::Password { name: "Aladdin".into(), password: b"open sesame".to_vec() };
        assert_eq!(read(&["basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]), Ok(Some(alice)));
        let colons = Shown::Password { name: "a".into(), password: b"b:c".to_vec() };
        assert_eq!(read(&["Basic  YTpiOmM="]), Ok(Some(colons)));
        assert_eq!(read(&["BEARER x.y"]), Ok(Some(Shown::Token(b"x.y".to_vec()))));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn what_can_not_be_read_is_told() {
        for (values, words) in [
            (&["Basic YTpi", "Basic YTpi"] as &[_], "only once"),
            (&["Basic"], "base64"),
            (&["Basic !!!"], "base64"),
            (&["Basic YQ=="], "NAME:PASSWORD"),
            (&["Basic /zph"], "UTF-8"),
            (&["Digest username=a"], "Basic and Bearer"),
            (&["Bearer"], "Basic and Bearer"),
            (&[""], "Basic and Bearer"),
        ] {
            let refusal = read(values).unwrap_err();
            assert_eq!(refusal.status, Status::UNAUTHORIZED);
            assert!(refusal.detail.contains(words), "{values:?}: {}", refusal.detail);
        }
    }
}
