//! Status codes (RFC 9110 section 15; RFC 6585 for 428, 429 and 431; RFC 4918 for 507).

/// A status code that fileserv sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal,)*) => {
        impl Status {
            $(#[doc = concat!($code, " ", $reason, ".")] pub const $name: Self = Self($code);)*

            /// The reason phrase that the RFC registers.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)* _ => "Unknown" }
            }

            /// The status line's bytes after the version, up to its CRLF: `200 OK`.
            #[must_use]
            pub const fn line(self) -> &'static str {
                match self.0 { $($code => concat!($code, " ", $reason),)* _ => "500 Internal Server Error" }
            }
        }
    };
}

statuses! {
    CONTINUE = 100 "Continue",
    SWITCHING_PROTOCOLS = 101 "Switching Protocols",
    UPLOAD_RESUMPTION_SUPPORTED = 104 "Upload Resumption Supported",
    OK = 200 "OK",
    CREATED = 201 "Created",
    ACCEPTED = 202 "Accepted",
    NO_CONTENT = 204 "No Content",
    PARTIAL_CONTENT = 206 "Partial Content",
    MULTIPLE_CHOICES = 300 "Multiple Choices",
    MOVED_PERMANENTLY = 301 "Moved Permanently",
    FOUND = 302 "Found",
    SEE_OTHER = 303 "See Other",
    NOT_MODIFIED = 304 "Not Modified",
    TEMPORARY_REDIRECT = 307 "Temporary Redirect",
    PERMANENT_REDIRECT = 308 "Permanent Redirect",
    BAD_REQUEST = 400 "Bad Request",
    UNAUTHORIZED = 401 "Unauthorized",
    FORBIDDEN = 403 "Forbidden",
    NOT_FOUND = 404 "Not Found",
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed",
    NOT_ACCEPTABLE = 406 "Not Acceptable",
    REQUEST_TIMEOUT = 408 "Request Timeout",
    CONFLICT = 409 "Conflict",
    GONE = 410 "Gone",
    LENGTH_REQUIRED = 411 "Length Required",
    PRECONDITION_FAILED = 412 "Precondition Failed",
    CONTENT_TOO_LARGE = 413 "Content Too Large",
    URI_TOO_LONG = 414 "URI Too Long",
    UNSUPPORTED_MEDIA_TYPE = 415 "Unsupported Media Type",
    RANGE_NOT_SATISFIABLE = 416 "Range Not Satisfiable",
    EXPECTATION_FAILED = 417 "Expectation Failed",
    MISDIRECTED_REQUEST = 421 "Misdirected Request",
    UNPROCESSABLE_CONTENT = 422 "Unprocessable Content",
    PRECONDITION_REQUIRED = 428 "Precondition Required",
    TOO_MANY_REQUESTS = 429 "Too Many Requests",
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431 "Request Header Fields Too Large",
    INTERNAL_SERVER_ERROR = 500 "Internal Server Error",
    NOT_IMPLEMENTED = 501 "Not Implemented",
    SERVICE_UNAVAILABLE = 503 "Service Unavailable",
    HTTP_VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported",
    INSUFFICIENT_STORAGE = 507 "Insufficient Storage",
}

impl Status {
    /// The three digits.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// 1 to 5: the class of the code.
    #[must_use]
    pub const fn class(self) -> u16 {
        self.0 / 100
    }

    /// Does it say that something went wrong (4xx or 5xx)?
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 >= 400
    }

    /// May a response of this status have content? 1xx, 204 and 304 never do (RFC 9110 section 6.4.1).
    #[must_use]
    pub const fn may_have_content(self) -> bool {
        self.0 >= 200 && self.0 != 204 && self.0 != 304
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_code_and_reason() {
        assert_eq!(Status::NOT_FOUND.line(), "404 Not Found");
        assert_eq!(Status::NOT_FOUND.reason(), "Not Found");
        assert_eq!(Status::NOT_FOUND.class(), 4);
    }
}
