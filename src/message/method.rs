//! Methods (RFC 9110 section 9, RFC 5789 for PATCH) and sets of them for `Allow`.

/// A method that fileserv knows by name. Any other token is answered 501 (RFC 9110 section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Transfer the current representation.
    Get,
    /// As GET, without content.
    Head,
    /// What may be done with the target.
    Options,
    /// Create or replace the target by the request content.
    Put,
    /// Process the content: update a file, hash a body.
    Post,
    /// Remove the target.
    Delete,
    /// Append to a resumable upload.
    Patch,
    /// Known so that it is answered 405 and not 501.
    Trace,
    /// Known so that it is answered 405 and not 501.
    Connect,
}

impl Method {
    /// The method of this name; names are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"PUT" => Self::Put,
            b"POST" => Self::Post,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => return None,
        })
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
        }
    }

    /// Is it GET or HEAD, the two that ask for a representation?
    #[must_use]
    pub fn is_retrieval(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// The methods that a target supports, as `Allow` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodSet(u16);

impl MethodSet {
    /// GET, HEAD and OPTIONS: what every target that can be read supports.
    pub const READ: Self = Self::of(&[Method::Get, Method::Head, Method::Options]);

    /// The set of these methods.
    #[must_use]
    pub const fn of(methods: &[Method]) -> Self {
        let mut bits = 0;
        let mut rest = methods;
        while let [first, tail @ ..] = rest {
            bits |= 1 << (*first as u16);
            rest = tail;
        }
        Self(bits)
    }

    /// This set and `method`.
    #[must_use]
    pub const fn with(self, method: Method) -> Self {
        Self(self.0 | 1 << (method as u16))
    }

    /// Is `method` one of them?
    #[must_use]
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << (method as u16)) != 0
    }

    /// The value of an `Allow` field: `GET, HEAD, OPTIONS` (RFC 9110 section 10.2.1).
    #[must_use]
    pub fn allow_value(self) -> String {
        const ORDER: [Method; 9] = [
            Method::Get,
            Method::Head,
            Method::Options,
            Method::Put,
            Method::Post,
            Method::Delete,
            Method::Patch,
            Method::Trace,
            Method::Connect,
        ];
        let names: Vec<&str> = ORDER.into_iter().filter(|&m| self.contains(m)).map(Method::name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_methods_in_a_fixed_order() {
        let set = MethodSet::of(&[Method::Post, Method::Get]).with(Method::Head);
        assert_eq!(set.allow_value(), "GET, HEAD, POST");
        assert!(set.contains(Method::Post));
        assert!(!set.contains(Method::Put));
    }

    #[test]
    fn method_names_are_case_sensitive() {
        assert_eq!(Method::from_name(b"GET"), Some(Method::Get));
        assert_eq!(Method::from_name(b"get"), None);
    }
}
