//! A row: read from its lines, made into bytes, held against what came back.

use super::answer::{Answer, Expected};

/// Asks whether the connection still serves, and ends it. What was refused must not let it through.
const PROBE: &str = "GET /alphabet.txt HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It goes on: the next request is answered.
    Open,
    /// It ends with the last answer.
    Close,
    /// The server waits for the rest of what was begun, and says nothing if it doesn't come.
    Waits,
}

/// A conversation and its answers.
pub(crate) struct Row {
    /// File and name.
    pub(crate) name: String,
    request: String,
    expected: Vec<Expected>,
    then: Then,
}

/// Reads the rows of a file. A row that can't be read is a failed test: nobody would miss it otherwise.
pub(super) fn read(topic: &str, text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let complete = rows.last().is_none_or(|row| !row.expected.is_empty());
        if let Some(request) = line.strip_prefix("> ") {
            let row = rows.last_mut().unwrap_or_else(|| panic!("{topic}: a request before a name: {line}"));
            row.request += request;
        } else if let Some(rest) = line.strip_prefix("< ") {
            let row = rows.last_mut().unwrap_or_else(|| panic!("{topic}: an answer before a name: {line}"));
            row.expect(rest);
        } else if let Some(wish) = line.strip_prefix("  ") {
            let row = rows.last_mut().unwrap_or_else(|| panic!("{topic}: a wish before a name: {line}"));
            row.expected.last_mut().unwrap_or_else(|| panic!("{}: a wish before an answer", row.name)).wish(wish);
        } else {
            let sections = [" | RFC ", " | Fetch ", " | W3C "].into_iter().find_map(|mark| line.split_once(mark));
            let (name, section) = sections.unwrap_or_else(|| panic!("{topic}: no section of a standard: {line}"));
            assert!(section.contains(|letter: char| letter.is_ascii_digit()), "{topic}: {line}");
            assert!(complete, "{topic}: the row before `{name}` expects nothing");
            let name = format!("{topic}: {name}");
            assert!(rows.iter().all(|row| row.name != name), "{name} is there twice");
            rows.push(Row { name, request: String::new(), expected: Vec::new(), then: Then::Open });
        }
    }
    rows
}

impl Row {
    /// `400 close`, `200 head`, `100 waits`, or `waits` alone where nothing is answered.
    fn expect(&mut self, text: &str) {
        let mut expected = None;
        for word in text.split(' ') {
            match word {
                "close" => self.then = Then::Close,
                "waits" => self.then = Then::Waits,
                "open" => self.then = Then::Open,
                word => expected = Some(Expected::of(word, expected, &self.name)),
            }
        }
        self.expected.extend(expected.or_else(|| (self.then == Then::Waits).then(Expected::nothing)));
    }

    /// Does the conversation change the site, so that it must be made anew before?
    pub(crate) fn changes_site(&self) -> bool {
        self.request.contains("/inbox/")
    }

    /// The bytes that are sent. `ask` tells the tag of a path as it is now.
    pub(crate) fn bytes(&self, mut ask: impl FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = &*self.request;
        while let Some(at) = rest.find(['\\', '{']) {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let (piece, after) = if rest[at..].starts_with('{') {
                let end = at + rest[at..].find('}').unwrap_or_else(|| panic!("{}: a brace stays open", self.name));
                (insert(&rest[at + 1..end], &mut ask), &rest[end + 1..])
            } else {
                escape(&rest[at + 1..])
            };
            bytes.extend(piece);
            rest = after;
        }
        bytes.extend_from_slice(rest.as_bytes());
        if self.then != Then::Waits {
            bytes.extend_from_slice(PROBE.as_bytes());
        }
        bytes
    }

    /// How many bytes of the probe stand at the end. Without one the server has no reason to end the connection: the
    /// client must say that it sends no more.
    pub(crate) fn probe_bytes(&self) -> usize {
        if self.then == Then::Waits { 0 } else { PROBE.len() }
    }

    /// Is this what must come back?
    pub(crate) fn check(&self, replied: &[u8]) -> Result<(), String> {
        let shown = || format!("{}\ncame back:\n{}", self.name, String::from_utf8_lossy(replied));
        let mut rest = replied;
        let answers = self.expected.iter().filter(|expected| expected.status != 0);
        let last = self.expected.len() - 1;
        for (number, expected) in answers.enumerate() {
            let (answer, after) = Answer::take(rest, expected.is_head).map_err(|why| format!("{why}: {}", shown()))?;
            if expected.is_optional && answer.status != expected.status {
                continue;
            }
            let closes = number == last && self.then == Then::Close;
            expected.check(&answer, closes).map_err(|why| format!("answer {}: {why}: {}", number + 1, shown()))?;
            rest = after;
        }
        if self.then == Then::Open {
            let (answer, after) = Answer::take(rest, false).map_err(|why| format!("then: {why}: {}", shown()))?;
            if answer.status != 200 || answer.content != b"abcdefghijklmnopqrstuvwxyz" || !answer.closes() {
                return Err(format!("the connection does not go on: {}", shown()));
            }
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("too much is answered: {}", shown())) }
    }
}

/// `{600*a}` is six hundred times `a`; `{tag /path}` the entity tag of that file.
fn insert(what: &str, ask: &mut impl FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
    if let Some(path) = what.strip_prefix("tag ") {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let replied = ask(request.as_bytes());
        let (answer, _) = Answer::take(&replied, true).unwrap();
        return answer.field("ETag").unwrap_or_else(|| panic!("{path} has no tag")).as_bytes().to_vec();
    }
    let (times, piece) = what.split_once('*').unwrap_or_else(|| panic!("neither a tag nor a number: {what}"));
    unescape(piece).repeat(times.parse().unwrap())
}

/// Text with its escapes made bytes.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let (byte, after) = escape(&rest[at + 1..]);
        bytes.extend(byte);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What follows a backslash.
fn escape(text: &str) -> (Vec<u8>, &str) {
    let byte = match text.as_bytes()[0] {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        b'0' => 0,
        b'x' => return (vec![u8::from_str_radix(&text[1..3], 16).unwrap()], &text[3..]),
        other => other,
    };
    (vec![byte], &text[1..])
}
