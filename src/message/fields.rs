//! Field names and the field lines of a request (RFC 9110 section 5).

use arrayvec::ArrayVec;

/// The most field lines that a request may have; the configured limit is never higher.
pub const FIELD_LIMIT: usize = 100;

macro_rules! field_names {
    ($($variant:ident = $text:literal,)*) => {
        /// The fields that fileserv reads or writes by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum FieldName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other field of a request.
            Other,
        }

        impl FieldName {
            /// The name as fileserv writes it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Other => "" }
            }

            /// The same with what stands between it and its value.
            #[must_use]
            pub(super) const fn line_start(self) -> &'static str {
                match self { $(Self::$variant => concat!($text, ": "),)* Self::Other => ": " }
            }

            const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

field_names! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptPatch = "Accept-Patch",
    AcceptRanges = "Accept-Ranges",
    AccessControlAllowHeaders = "Access-Control-Allow-Headers",
    AccessControlAllowMethods = "Access-Control-Allow-Methods",
    AccessControlMaxAge = "Access-Control-Max-Age",
    AccessControlRequestHeaders = "Access-Control-Request-Headers",
    AccessControlRequestMethod = "Access-Control-Request-Method",
    Allow = "Allow",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    Connection = "Connection",
    ContentDigest = "Content-Digest",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLength = "Content-Length",
    ContentRange = "Content-Range",
    ContentSecurityPolicy = "Content-Security-Policy",
    ContentType = "Content-Type",
    Date = "Date",
    ETag = "ETag",
    Expect = "Expect",
    Forwarded = "Forwarded",
    Host = "Host",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    LastModified = "Last-Modified",
    Location = "Location",
    Origin = "Origin",
    Range = "Range",
    Referer = "Referer",
    ReprDigest = "Repr-Digest",
    RetryAfter = "Retry-After",
    SecFetchSite = "Sec-Fetch-Site",
    Server = "Server",
    Trailer = "Trailer",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    UploadComplete = "Upload-Complete",
    UploadDraftInteropVersion = "Upload-Draft-Interop-Version",
    UploadLength = "Upload-Length",
    UploadLimit = "Upload-Limit",
    UploadOffset = "Upload-Offset",
    UserAgent = "User-Agent",
    Vary = "Vary",
    WantContentDigest = "Want-Content-Digest",
    WantReprDigest = "Want-Repr-Digest",
    WwwAuthenticate = "WWW-Authenticate",
    XContentTypeOptions = "X-Content-Type-Options",
    XForwardedFor = "X-Forwarded-For",
}

impl FieldName {
    /// The name that these bytes spell; names are case-insensitive.
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::Other };
        let of_first = Self::BY_FIRST.get(usize::from(first % LETTERS)).copied().unwrap_or_default();
        let mut candidates = of_first & Self::BY_LENGTH.get(name.len()).copied().unwrap_or_default();
        while candidates != 0 {
            if let Some(candidate) = Self::ALL.get(candidates.trailing_zeros() as usize)
                // Most clients write a name as the RFCs do, and that is compared more quickly.
                && (candidate.text().as_bytes() == name || candidate.text().as_bytes().eq_ignore_ascii_case(name))
            {
                return *candidate;
            }
            candidates &= candidates - 1;
        }
        Self::Other
    }

    const fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// By length, which names are so long, and by first letter in any case, which begin so: a request has a dozen fields,
    /// and each is compared with one name or none.
    const BY_LENGTH: [u64; NAME_LIMIT_BYTES] = {
        let mut masks = [0; NAME_LIMIT_BYTES];
        let mut rest = Self::ALL;
        while let [name, tail @ ..] = rest {
            // An index past the end would be an error when this is compiled.
            #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
            {
                masks[name.text().len()] |= name.bit();
            }
            rest = tail;
        }
        masks
    };

    const BY_FIRST: [u64; LETTERS as usize] = {
        let mut masks = [0; LETTERS as usize];
        let mut rest = Self::ALL;
        while let [name, tail @ ..] = rest {
            #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
            {
                masks[(name.text().as_bytes()[0] % LETTERS) as usize] |= name.bit();
            }
            rest = tail;
        }
        masks
    };
}

/// The low five bits of a letter tell which one it is, in either case.
const LETTERS: u8 = 32;

/// Longer than every name in the table.
const NAME_LIMIT_BYTES: usize = 32;

const _: () = assert!(FieldName::ALL.len() < 64, "the presence mask has 64 bits");

/// Some field names.
#[derive(Debug, Clone, Copy)]
pub struct FieldNames(u64);

impl FieldNames {
    /// These.
    #[must_use]
    pub const fn of(mut names: &[FieldName]) -> Self {
        let mut mask = 0;
        while let [name, rest @ ..] = names {
            mask |= name.bit();
            names = rest;
        }
        Self(mask)
    }
}

/// One field line of a request.
#[derive(Debug, Clone, Copy)]
pub struct Field<'b> {
    /// The name, where it is one we know.
    pub name: FieldName,
    /// The value without the white space around it.
    pub value: &'b [u8],
}

/// The field lines of a request, in the order in which they came. They live on the caller's stack.
#[derive(Debug, Default)]
pub struct Fields<'b> {
    lines: ArrayVec<Field<'b>, FIELD_LIMIT>,
    present: u64,
}

impl<'b> Fields<'b> {
    /// Adds a line; false if there is no room.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: &'b [u8]) -> bool {
        let name = FieldName::from_bytes(name.as_ref());
        self.present |= name.bit();
        self.lines.try_push(Field { name, value }).is_ok()
    }

    /// Is there a line of this name? One bit test: most fields are absent from most requests.
    #[must_use]
    pub fn contains(&self, name: FieldName) -> bool {
        self.present & name.bit() != 0
    }

    /// Is there a line of any of these names?
    #[must_use]
    pub fn contains_any(&self, names: FieldNames) -> bool {
        self.present & names.0 != 0
    }

    /// Values of every line of this name.
    pub fn all(&self, name: FieldName) -> impl Iterator<Item = &'b [u8]> + '_ {
        let lines = if self.contains(name) { self.lines.as_slice() } else { &[] };
        lines.iter().filter(move |line| line.name == name).map(|line| line.value)
    }

    /// Value of the first line of this name.
    #[must_use]
    pub fn first(&self, name: FieldName) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// The elements of a comma-separated list field over all its lines, trimmed, empty ones left out
    /// (RFC 9110 section 5.6.1). Not for fields whose elements may hold a quoted comma.
    pub fn elements(&self, name: FieldName) -> impl Iterator<Item = &'b [u8]> + '_ {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = &Field<'b>> {
        self.lines.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(FieldName::from_bytes(b"if-NONE-match"), FieldName::IfNoneMatch);
        assert_eq!(FieldName::from_bytes(b"x-unheard-of"), FieldName::Other);
    }

    #[test]
    fn a_list_goes_over_several_lines() {
        let mut fields = Fields::default();
        assert!(fields.push("Connection", b"close, ,te"));
        assert!(fields.push("connection", b"upgrade"));
        let elements: Vec<&[u8]> = fields.elements(FieldName::Connection).collect();
        assert_eq!(elements, [b"close".as_slice(), b"te", b"upgrade"]);
        assert!(!fields.contains(FieldName::Host));
    }
}
