//! Times as logs write them, always UTC: a sealed process can't read the time zone files. The door to the `time` crate.
//! Process: any. Blocks: never.

use time::OffsetDateTime;

/// Length of an access log's time up to the year 9999: `06/Nov/1994:08:49:37 +0000`.
const COMMON_BYTES: usize = 26;

/// The last time that has been written in the form of the common log format, so that it is made once a second only.
#[derive(Debug)]
pub(super) struct CommonStamp {
    unix_seconds: u64,
    text: [u8; COMMON_BYTES],
}

impl CommonStamp {
    pub(super) fn new() -> Self {
        Self { unix_seconds: 0, text: *b"01/Jan/1970:00:00:00 +0000" }
    }

    /// The text for this second.
    pub(super) fn text(&mut self, unix_seconds: u64) -> &[u8] {
        if self.unix_seconds != unix_seconds {
            self.unix_seconds = unix_seconds;
            self.text = common(unix_seconds);
        }
        &self.text
    }
}

fn common(unix_seconds: u64) -> [u8; COMMON_BYTES] {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    use std::io::Write;
    let (date, time) = date_and_time(unix_seconds);
    let month = MONTHS.get(usize::from(u8::from(date.month())) - 1).unwrap_or(&"Jan");
    let (hour, minute, second) = time.as_hms();
    let mut text = [b' '; COMMON_BYTES];
    // The form has a fixed length, so the write can't run out of room.
    let _ =
        write!(&mut text[..], "{:02}/{month}/{:04}:{hour:02}:{minute:02}:{second:02} +0000", date.day(), date.year());
    text
}

/// `1994-11-06T08:49:37Z` (RFC 3339).
pub(super) fn rfc3339(unix_seconds: u64) -> String {
    let (date, time) = date_and_time(unix_seconds);
    let (hour, minute, second) = time.as_hms();
    let month = u8::from(date.month());
    format!("{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", date.year(), date.day())
}

/// What lies beyond the year 9999 is held at the epoch: no clock that is set says so.
fn date_and_time(unix_seconds: u64) -> (time::Date, time::Time) {
    let moment = i64::try_from(unix_seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (moment.date(), moment.time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_second_has_one_text() {
        let mut stamp = CommonStamp::new();
        assert_eq!(stamp.text(784_111_777), b"06/Nov/1994:08:49:37 +0000");
        assert_eq!(stamp.text(784_111_778), b"06/Nov/1994:08:49:38 +0000");
        assert_eq!(stamp.text(0), b"01/Jan/1970:00:00:00 +0000");
        assert_eq!(stamp.text(u64::MAX), b"01/Jan/1970:00:00:00 +0000");
        assert_eq!(rfc3339(784_111_777), "1994-11-06T08:49:37Z");
    }
}
