//! An answer, read as strictly as RFC 9112 allows, and what a row wants of it.

use super::row::unescape;

/// One response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    fields: Vec<(String, String)>,
    pub(super) content: Vec<u8>,
}

impl Answer {
    /// The first response in these bytes, and what stands behind it.
    pub(super) fn take(bytes: &[u8], is_head: bool) -> Result<(Self, &[u8]), String> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or("an answer is missing")?;
        let head = String::from_utf8(bytes[..end].to_vec()).map_err(|_| "a head that is not UTF-8")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3));
        let status = status.and_then(|code| code.parse().ok()).ok_or("no status line")?;
        let fields: Option<Vec<(String, String)>> =
            lines.map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        let mut answer = Self { status, fields: fields.ok_or("a line that is no field")?, content: Vec::new() };
        let rest = &bytes[end + 4..];
        if is_head || matches!(status, 100..200 | 204 | 304) {
            return Ok((answer, rest));
        }
        let after = if let Some(length) = answer.field("Content-Length") {
            let length: usize = length.parse().map_err(|_| "a length that is no number")?;
            answer.content = rest.get(..length).ok_or("the content is cut short")?.to_vec();
            &rest[length..]
        } else if answer.field("Transfer-Encoding") == Some("chunked") {
            answer.take_chunks(rest)?
        } else {
            answer.content = rest.to_vec();
            &[]
        };
        Ok((answer, after))
    }

    fn take_chunks<'b>(&mut self, mut rest: &'b [u8]) -> Result<&'b [u8], String> {
        loop {
            let end = rest.windows(2).position(|window| window == b"\r\n").ok_or("a chunk has no size")?;
            let digits = std::str::from_utf8(&rest[..end]).map_err(|_| "a size that is no text")?;
            let size = usize::from_str_radix(digits, 16).map_err(|_| "a size that is no number")?;
            let chunk = rest.get(end + 2..end + 2 + size).ok_or("a chunk is cut short")?;
            self.content.extend_from_slice(chunk);
            let line_end = rest.get(end + 2 + size..end + 4 + size).ok_or("a chunk has no end")?;
            if line_end != b"\r\n" {
                return Err("a chunk does not end with CRLF".into());
            }
            rest = &rest[end + 4 + size..];
            if size == 0 {
                return Ok(rest);
            }
        }
    }

    /// The value of a field, of its first line.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    pub(super) fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// What holds for every answer, whatever was asked.
    fn check_form(&self) -> Result<(), &'static str> {
        let has = |name| self.field(name).is_some();
        let once = |name: &str| self.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).count() < 2;
        let table = [
            (once("Content-Length") && once("Date") && once("ETag") && once("Connection"), "a field stands twice"),
            (!(has("Content-Length") && has("Transfer-Encoding")), "two framings (RFC 9112 section 6.2)"),
            (self.status < 200 || has("Date"), "no Date (RFC 9110 section 6.6.1)"),
            (self.status != 405 || has("Allow"), "405 without Allow (RFC 9110 section 15.5.6)"),
            (self.status != 416 || has("Content-Range"), "416 without Content-Range (RFC 9110 section 15.5.17)"),
            (!(300..304).contains(&self.status) || has("Location"), "a redirect without Location"),
            (self.status != 204 || !has("Content-Length"), "204 with a length (RFC 9110 section 8.6)"),
        ];
        table.into_iter().try_for_each(|(holds, why)| if holds { Ok(()) } else { Err(why) })
    }
}

/// What a row wants of one answer.
pub(super) struct Expected {
    /// 0 where nothing is answered.
    pub(super) status: u16,
    /// Is it the answer to HEAD, so that only a head comes?
    pub(super) is_head: bool,
    /// May it be missing? An interim answer is, if the content has come already.
    pub(super) is_optional: bool,
    wishes: Vec<Wish>,
}

enum Wish {
    /// This field with this value; with `*` at its end one that begins so.
    Field(String, String),
    NoField(String),
    Content(Vec<u8>),
    ContentBytes(usize),
    ContentHolds(Vec<u8>),
}

impl Expected {
    pub(super) fn nothing() -> Self {
        Self { status: 0, is_head: false, is_optional: false, wishes: Vec::new() }
    }

    /// One more word of the line that expects an answer.
    pub(super) fn of(word: &str, before: Option<Self>, row: &str) -> Self {
        match (word, before) {
            ("head", Some(before)) => Self { is_head: true, ..before },
            ("maybe", Some(before)) => Self { is_optional: true, ..before },
            (code, None) => {
                Self { status: code.parse().unwrap_or_else(|_| panic!("{row}: no status: {code}")), ..Self::nothing() }
            }
            (word, Some(_)) => panic!("{row}: what is `{word}`?"),
        }
    }

    /// A line below the answer.
    pub(super) fn wish(&mut self, text: &str) {
        self.wishes.push(if let Some(name) = text.strip_prefix("no ") {
            Wish::NoField(name.to_owned())
        } else if let Some(number) = text.strip_prefix("bytes ") {
            Wish::ContentBytes(number.parse().unwrap())
        } else if let Some(content) = text.strip_prefix("content ") {
            Wish::Content(unescape(content))
        } else if let Some(content) = text.strip_prefix("holds ") {
            Wish::ContentHolds(unescape(content))
        } else {
            let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("no field: {text}"));
            Wish::Field(name.to_owned(), value.to_owned())
        });
    }

    pub(super) fn check(&self, answer: &Answer, closes: bool) -> Result<(), String> {
        if answer.status != self.status {
            return Err(format!("{} and not {}", answer.status, self.status));
        }
        answer.check_form()?;
        if answer.closes() != closes {
            return Err(format!("Connection: close is there: {}, should be: {closes}", answer.closes()));
        }
        self.wishes.iter().try_for_each(|wish| wish.check(answer))
    }
}

impl Wish {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        let content = &answer.content;
        match self {
            Self::Field(name, value) => match answer.field(name) {
                Some(found) if found == value => Ok(()),
                Some(found) if value.strip_suffix('*').is_some_and(|start| found.starts_with(start)) => Ok(()),
                found => Err(format!("{name} is {found:?} and not {value}")),
            },
            Self::NoField(name) => answer.field(name).map_or(Ok(()), |value| Err(format!("{name} is there: {value}"))),
            Self::Content(wanted) if wanted == content => Ok(()),
            Self::ContentBytes(wanted) if *wanted == content.len() => Ok(()),
            Self::ContentHolds(wanted) if content.windows(wanted.len()).any(|window| window == wanted) => Ok(()),
            Self::Content(_) | Self::ContentBytes(_) | Self::ContentHolds(_) => {
                Err(format!("the content is {} bytes, and another one", content.len()))
            }
        }
    }
}
