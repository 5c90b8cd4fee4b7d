//! Which bytes may stand where in a head. A table, because each byte of each request is looked up in it, mostly once.
//! Process: worker, sealed. Pure.

/// Bytes that may stand in one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class(u8);

/// `tchar` (RFC 9110 section 5.6.2): what methods and the names of fields are made of.
pub(super) const TOKEN: Class = Class(1);
/// Visible ASCII without `#`: what a request target is made of (RFC 9112 section 3.2). What it means is for `validate`.
pub(super) const TARGET: Class = Class(2);
/// A byte of a `reg-name` that stands for itself (RFC 3986 section 3.2.2).
pub(super) const HOST: Class = Class(4);
/// What the value of a field is made of: all but control characters, among which a tab is none (RFC 9110 section 5.5).
const VALUE: Class = Class(8);

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let it = byte as u8;
        let is_alphanumeric = it.is_ascii_alphanumeric();
        let is_token = is_alphanumeric || is_one_of(it, b"!#$%&'*+-.^_`|~");
        let is_host = is_alphanumeric || is_one_of(it, b"-._~!$&'()*+,;=");
        let class = (is_token as u8 * TOKEN.0)
            | ((it.is_ascii_graphic() && it != b'#') as u8 * TARGET.0)
            | (is_host as u8 * HOST.0)
            | ((!it.is_ascii_control() || it == b'\t') as u8 * VALUE.0);
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            classes[byte] = class;
        }
        byte += 1;
    }
    classes
};

const fn is_one_of(byte: u8, mut list: &[u8]) -> bool {
    while let [first, rest @ ..] = list {
        if *first == byte {
            return true;
        }
        list = rest;
    }
    false
}

impl Class {
    /// Is this byte one of them?
    pub(super) fn has(self, byte: u8) -> bool {
        CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & self.0 != 0)
    }

    /// How many of them stand at the beginning.
    pub(super) fn count(self, bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !self.has(*byte)).unwrap_or(bytes.len())
    }
}

/// How many bytes of a field's value stand at the beginning. Values can be long, and nearly all of them are plain: eight
/// bytes at once are asked whether one of them is a control character.
pub(super) fn count_of_value(bytes: &[u8]) -> usize {
    let (eights, _) = bytes.as_chunks::<8>();
    let is_plain = |eight: &&[u8; 8]| !eight.iter().fold(false, |found, byte| found | byte.is_ascii_control());
    let plain = eights.iter().take_while(is_plain).count() * 8;
    plain + VALUE.count(bytes.get(plain..).unwrap_or_default())
}

/// Without the optional white space around it, which is space and tab only (RFC 9110 section 5.6.3).
pub(super) fn trim_white_space(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_grammar() {
        let all = |class: Class| -> String { (0..=255).filter(|it| class.has(*it)).map(char::from).collect() };
        let alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let bare = |class| all(class).replace(|it| alphanumeric.contains(it), "");
        assert_eq!(bare(TOKEN), "!#$%&'*+-.^_`|~");
        assert_eq!(bare(HOST), "!$&'()*+,-.;=_~");
        assert_eq!(bare(TARGET), "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
        assert_eq!(all(VALUE).chars().count(), 256 - 32);
        assert!(VALUE.has(b'\t') && !VALUE.has(127) && VALUE.has(128));
    }

    #[test]
    fn the_end_of_a_value_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut value = vec![b'v'; length];
            value.insert(length / 2, b'\t');
            assert_eq!(count_of_value(&value), length + 1);
            value.extend_from_slice(b"\r\nmore");
            assert_eq!(count_of_value(&value), length + 1);
        }
    }
}
