//! `Accept-Encoding`: only what is asked for, never what is forbidden, the same choice however the lines are split and
//! whatever else is on offer (RFC 9110 section 12.5.3).

use fileserv::message::{AcceptEncoding, Coding, FieldName};

use super::field;

const ALL: [Coding; Coding::COUNT] = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Identity];

/// Checks the properties of the choice.
pub fn accept_encoding(bytes: &[u8]) {
    let chosen = choose([bytes], &ALL);
    assert!(chosen.iter().enumerate().all(|(place, coding)| !chosen[..place].contains(coding)), "{chosen:?}");
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    for coding in ALL {
        let is_named = text.contains(coding.name()) || text.contains('*');
        assert!(is_named || chosen.contains(&coding) == (coding == Coding::Identity), "{coding:?} of {text:?}");
        // An offer less takes nothing but itself out of the answer.
        let offers: Vec<Coding> = ALL.into_iter().filter(|other| *other != coding).collect();
        let rest: Vec<Coding> = chosen.iter().copied().filter(|other| *other != coding).collect();
        assert_eq!(choose([bytes], &offers), rest, "without {coding:?}");
    }
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b',').collect();
    if field(FieldName::AcceptEncoding, lines.iter().copied()).is_some() {
        assert_eq!(choose(lines, &ALL), chosen, "in several lines");
    }
    assert_eq!(choose([&bytes.to_ascii_uppercase()[..]], &ALL), chosen, "in capitals");
    // The last word counts, whatever stood before.
    let forbidden = [bytes, b",gzip;q=0,br;q=0,zstd;q=0,identity;q=0"].concat();
    assert!(choose([&forbidden[..]], &ALL).is_empty(), "what is forbidden is not sent");
    let wanted = [bytes, b", zstd;q=0, br;q=0, identity;q=0, gzip;q=0.001"].concat();
    assert_eq!(choose([&wanted[..]], &ALL), [Coding::Gzip], "what is wanted alone is sent");
    let weighed = [bytes, b",gzip;q=0.3,br;q=0.2,zstd;q=0.1,identity;q=0"].concat();
    assert_eq!(choose([&weighed[..]], &ALL), [Coding::Gzip, Coding::Brotli, Coding::Zstd], "the heaviest first");
}

fn choose<'b>(lines: impl IntoIterator<Item = &'b [u8]>, offers: &[Coding]) -> Vec<Coding> {
    let fields = field(FieldName::AcceptEncoding, lines).expect("there is room for the lines");
    AcceptEncoding::of(&fields).choose(offers.iter().copied()).to_vec()
}
