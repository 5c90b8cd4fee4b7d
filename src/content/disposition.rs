//! `?download`: the name under which a browser stores a file instead of showing it.
//! Process: worker, sealed. Trusts: nothing of the name. Blocks: never. Fails with: nothing.
//! RFC 6266 sections 4.1, 4.3 and appendix D; RFC 8187 section 3.2.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Does the query ask for a download? A value is not looked at: the link must not choose the name.
pub(super) fn is_download(query: Option<&str>) -> bool {
    let Some(query) = query else { return false };
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "download")
}

/// The value of `Content-Disposition` for a file at this decoded path: the name in ASCII for everybody, and where that
/// is not the whole truth the name in UTF-8 for all who read it.
pub(super) fn attachment(path: &[u8]) -> String {
    /// All but `attr-char` (RFC 8187 section 3.2.1).
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let plain: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, ENCODED))
}

/// What every client reads alike in a quoted string: no quote, no backslash (which some take for an escape and some for
/// itself), no percent sign (which some decode).
fn is_plain(letter: char) -> bool {
    (letter.is_ascii_graphic() || letter == ' ') && !"\"\\%".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_in_ascii_and_where_needed_in_utf_8() {
        let table: [(&[u8], &str); 6] = [
            (b"/a/plain name.txt", "attachment; filename=\"plain name.txt\""),
            ("/x/Übung.pdf".as_bytes(), "attachment; filename=\"_bung.pdf\"; filename*=UTF-8''%C3%9Cbung.pdf"),
            (b"/a\"b\\c%41.txt", "attachment; filename=\"a_b_c_41.txt\"; filename*=UTF-8''a%22b%5Cc%2541.txt"),
            (b"/a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
            (b"/\xff", "attachment; filename=\"_\"; filename*=UTF-8''%EF%BF%BD"),
            (
                "/€ (1)*'.txt".as_bytes(),
                "attachment; filename=\"_ (1)*'.txt\"; filename*=UTF-8''%E2%82%AC%20%281%29%2A%27.txt",
            ),
        ];
        for (path, expected) in table {
            assert_eq!(attachment(path), expected);
        }
    }

    #[test]
    fn a_download_is_asked_for_by_name() {
        for query in ["download", "download=", "download=evil.exe", "v=1&download", "d%6Fwnload=1"] {
            assert!(is_download(Some(query)), "{query}");
        }
        for query in ["", "Download", "downloads", "x=download"] {
            assert!(!is_download(Some(query)), "{query}");
        }
        assert!(!is_download(None));
    }
}
