//! Media types of files by their names. The one door to `new_mime_guess`.
//! Process: worker, sealed. Pure.

use std::borrow::Cow;

/// The value of `Content-Type` for a file of this name. Text is declared to be UTF-8, as it is nearly everywhere.
#[must_use]
pub fn media_type(path: &[u8]) -> Cow<'static, str> {
    const UNKNOWN: &str = "application/octet-stream";
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let extension = memchr::memrchr(b'.', name).and_then(|dot| name.get(dot + 1..)).unwrap_or_default();
    let known = std::str::from_utf8(extension).ok().and_then(|text| new_mime_guess::from_ext(text).first_raw());
    match known {
        None => Cow::Borrowed(UNKNOWN),
        Some("text/html") => Cow::Borrowed("text/html; charset=utf-8"),
        Some("text/plain") => Cow::Borrowed("text/plain; charset=utf-8"),
        Some("text/css") => Cow::Borrowed("text/css; charset=utf-8"),
        Some("text/javascript") => Cow::Borrowed("text/javascript; charset=utf-8"),
        Some(text) if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        Some(other) => Cow::Borrowed(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name() {
        let table: [(&[u8], &str); 6] = [
            (b"/a/index.html", "text/html; charset=utf-8"),
            (b"/a.tar/README", "application/octet-stream"),
            (b"/x.PNG", "image/png"),
            (b"/x.md", "text/markdown; charset=utf-8"),
            (b"/x.\xff", "application/octet-stream"),
            (b"/x.js", "text/javascript; charset=utf-8"),
        ];
        for (path, expected) in table {
            assert_eq!(media_type(path), expected, "{}", String::from_utf8_lossy(path));
        }
    }
}
