//! HTTP dates: what is read is a day that the calendar has, and it is written as it is read (RFC 9110 section 5.6.7).

use fileserv::message::HttpDate;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Checks the properties of the reader with the bytes as a date, and those of the writer with their first eight as a
/// number of seconds.
pub fn date(bytes: &[u8]) {
    if let Some(date) = HttpDate::parse(bytes) {
        let spellings = spell(date.unix_seconds());
        let text = String::from_utf8_lossy(bytes);
        assert!(spellings.iter().any(|spelling| alike(text.trim(), spelling)), "{text:?} is none of {spellings:?}");
        written_as_read(date);
    }
    if let Some(seconds) = bytes.first_chunk() {
        let seconds = u64::from_le_bytes(*seconds);
        written_as_read(HttpDate::from_unix_seconds(seconds));
        // Of random numbers hardly any is a date before the year 9999.
        written_as_read(HttpDate::from_unix_seconds(seconds % 253_402_300_800));
    }
}

/// Is it this spelling, but for the name of the day (which the date itself tells better)?
fn alike(text: &str, spelling: &str) -> bool {
    let without_day = |text: &str| text.split_once(' ').map(|(_, rest)| rest.to_owned());
    without_day(text) == without_day(spelling)
}

fn written_as_read(date: HttpDate) {
    let spellings = spell(date.unix_seconds());
    assert_eq!(date.imf_fixdate(), spellings[0].as_bytes());
    for spelling in &spellings {
        assert_eq!(HttpDate::parse(spelling.as_bytes()), Some(date), "{spelling}");
    }
}

/// The spellings of a time: IMF-fixdate, asctime and, where two digits tell the year, that of RFC 850. The calendar is
/// walked a year and a month at a time, so that no trick can be wrong in the same way as the one that is tested.
fn spell(seconds: u64) -> Vec<String> {
    let (mut days, time) = (seconds / 86400, seconds % 86400);
    let name = DAYS[((days + 4) % 7) as usize];
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    loop {
        let length = match month {
            1 => 28 + u64::from(is_leap(year)),
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, month, short) = (days + 1, MONTHS[month], &name[..3]);
    let clock = format!("{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60);
    let mut spellings = vec![
        format!("{short}, {day:02} {month} {year:04} {clock} GMT"),
        format!("{short} {month} {day:2} {clock} {year:04}"),
    ];
    // httpdate takes 70 to 99 for the last century; a window of fifty years that moves would need a clock.
    if (1970..2070).contains(&year) {
        spellings.push(format!("{name}, {day:02}-{month}-{:02} {clock} GMT", year % 100));
    }
    spellings
}
