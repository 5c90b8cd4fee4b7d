//! HTTP dates (RFC 9110 section 5.6.7). The one door to the `httpdate` crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const IMF_FIXDATE_BYTES: usize = 29;

/// A time in whole seconds since 1970-01-01, as every HTTP date is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(u64);

impl HttpDate {
    /// Seconds since the epoch; what lies after the year 9999 has no HTTP date and is held there.
    #[must_use]
    pub fn from_unix_seconds(seconds: u64) -> Self {
        const END_OF_9999: u64 = 253_402_300_799;
        Self(seconds.min(END_OF_9999))
    }

    /// Seconds since the epoch.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.0
    }

    /// Reads all three forms of RFC 9110 section 5.6.7; `None` for anything else.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        // httpdate takes any byte between the date and the time of the two forms that end with the zone.
        const TIME_AND_ZONE_BYTES: usize = " 08:49:37 GMT".len();
        let is_spaced = |at: usize| value.get(at) == Some(&b' ');
        if value.ends_with(b"GMT") && !value.len().checked_sub(TIME_AND_ZONE_BYTES).is_some_and(is_spaced) {
            return None;
        }
        let text = std::str::from_utf8(value).ok()?;
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Some(Self(since.as_secs()))
    }

    /// The IMF-fixdate form, the only one that may be sent.
    #[must_use]
    pub fn imf_fixdate(self) -> [u8; IMF_FIXDATE_BYTES] {
        use std::io::Write;
        let mut text = [b' '; IMF_FIXDATE_BYTES];
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(self.0);
        // The form has a fixed length, so the write can't run out of room.
        let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(time));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_one_time() {
        let forms: [&[u8]; 3] =
            [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"];
        for form in forms {
            assert_eq!(HttpDate::parse(form), Some(HttpDate::from_unix_seconds(784_111_777)));
        }
        assert_eq!(HttpDate::parse(b"yesterday"), None);
        assert_eq!(HttpDate::parse(b"Sunday, 06-Nov-94R08:49:37 GMT"), None);
        assert_eq!(HttpDate::parse(b"GMT"), None);
        assert_eq!(&HttpDate::from_unix_seconds(784_111_777).imf_fixdate(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
