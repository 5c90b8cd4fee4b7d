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
            | (is_host as u8 * HOST.0);
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
    }
}
