//! Weights: how much a client wants one thing rather than another (RFC 9110 section 12.4.2).
//! Process: any. Trusts: nothing. Blocks: never. Fails with: nothing; what is no weight is `None`.

/// A weight in thousandths, as exact as it is allowed to be. 0 means: not acceptable.
pub(super) type Quality = u16;

/// The weight of what is named without one.
pub(super) const FULL_QUALITY: Quality = 1000;

/// `0` or `1` and up to three decimals; `None` for anything else, and for more than one.
pub(super) fn parse_quality(text: &str) -> Option<Quality> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 {
        return None;
    }
    let mut thousandths: Quality = 0;
    for place in 0..3 {
        let digit = match decimals.as_bytes().get(place) {
            None => 0,
            Some(digit @ b'0'..=b'9') => digit - b'0',
            Some(_) => return None,
        };
        thousandths = thousandths * 10 + Quality::from(digit);
    }
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL_QUALITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_three_decimals_at_most() {
        let table = [
            ("0", 0),
            ("1", 1000),
            ("0.", 0),
            ("1.000", 1000),
            ("0.5", 500),
            ("0.25", 250),
            ("0.001", 1),
            ("0.999", 999),
        ];
        for (text, thousandths) in table {
            assert_eq!(parse_quality(text), Some(thousandths), "{text}");
        }
        for wrong in ["", "2", "1.001", "0.1234", "-1", ".5", "0,5", "0.5x", "00", "1e0", " 1"] {
            assert_eq!(parse_quality(wrong), None, "{wrong}");
        }
    }
}
