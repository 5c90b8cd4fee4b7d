//! Sizes, times and numbers: quantities with their units.
//! Process: supervisor. Trusts: the operator.

use std::time::Duration;

use super::scalar::{Scalar, scalars};

scalars!(Size, Wait, Count);

/// A number and its unit, as in `16 KiB` or `500ms`; `None` if it is no such thing or too large for 64 bits.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Bytes.
pub(super) struct Size(u64);

const SIZE_UNITS: [(&str, u64); 6] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

impl Scalar for Size {
    const EXPECTED: &'static str = "a size such as \"16 KiB\" (B, KiB, MiB, GiB, TiB) or a number of bytes";

    fn from_text(text: &str) -> Result<Self, String> {
        let bytes =
            quantity(text, &SIZE_UNITS).ok_or_else(|| format!("{text:?} is no size; write {}", Self::EXPECTED))?;
        Ok(Self(bytes))
    }

    fn from_integer(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl From<Size> for u64 {
    fn from(size: Size) -> Self {
        size.0
    }
}

/// What is too large for the machine is too large for the limit as well, and refused there.
impl From<Size> for usize {
    fn from(size: Size) -> Self {
        Self::try_from(size.0).unwrap_or(Self::MAX)
    }
}

/// The size in the largest unit that divides it.
pub(super) fn size_text(bytes: u64) -> String {
    in_units(bytes, &SIZE_UNITS, " ")
}

fn in_units(value: u64, units: &[(&str, u64)], space: &str) -> String {
    let fits = units.iter().rev().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor));
    let (unit, factor) = fits.copied().or(units.get(1).copied()).unwrap_or(("", 1));
    format!("{}{space}{unit}", value / factor)
}

/// How long to wait.
pub(super) struct Wait(Duration);

const TIME_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Scalar for Wait {
    const EXPECTED: &'static str = "a time with its unit, such as \"30s\" (ms, s, m, h, d)";

    fn from_text(text: &str) -> Result<Self, String> {
        let time =
            quantity(text, &TIME_UNITS).ok_or_else(|| format!("{text:?} is no time; write {}", Self::EXPECTED))?;
        Ok(Self(Duration::from_millis(time)))
    }
}

impl From<Wait> for Duration {
    fn from(wait: Wait) -> Self {
        wait.0
    }
}

/// The time, given in milliseconds, in the largest unit that divides it.
pub(super) fn time_text(milliseconds: u64) -> String {
    in_units(milliseconds, &TIME_UNITS, "")
}

/// How many.
pub(super) struct Count(u64);

impl Scalar for Count {
    const EXPECTED: &'static str = "a whole number without quotes, such as 100";

    fn from_text(text: &str) -> Result<Self, String> {
        Err(format!("{text:?} is no number; write {}", Self::EXPECTED))
    }

    fn from_integer(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl From<Count> for usize {
    fn from(count: Count) -> Self {
        Self::try_from(count.0).unwrap_or(Self::MAX)
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

impl From<Count> for u32 {
    fn from(count: Count) -> Self {
        Self::try_from(count.0).unwrap_or(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        let size = |text| Size::from_text(text).ok().map(|size| size.0);
        assert_eq!(size("16 KiB"), Some(16384));
        assert_eq!(size("16KiB"), Some(16384));
        assert_eq!(size("7"), Some(7));
        assert_eq!(size("4 GiB"), Some(4 << 30));
        for wrong in ["", "KiB", "16 KB", "16 kib", "-1", "1.5 MiB", "99999999999 TiB", "1 KiB x"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        let wait = |text| Wait::from_text(text).ok().map(|wait| wait.0);
        assert_eq!(wait("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(wait("5m"), Some(Duration::from_secs(300)));
        assert_eq!(wait("1 h"), Some(Duration::from_secs(3600)));
        for wrong in ["", "30", "30 seconds", "1h30m", "s"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
        assert!(Wait::from_integer(30).is_none(), "a time without a unit is a riddle");
    }

    #[test]
    fn quantities_are_shown_as_they_are_written() {
        assert_eq!(size_text(16384), "16 KiB");
        assert_eq!(size_text(1000), "1000 B");
        assert_eq!(size_text(0), "0 B");
        assert_eq!(time_text(90_000), "90s");
        assert_eq!(time_text(1), "1ms");
        assert_eq!(time_text(7 * 86_400_000), "7d");
    }
}
