//! The frame and the look that all pages share, and how things are written in them.
//! Process: worker, sealed. Trusts: nothing; maud escapes whatever is put in. Blocks: never.

use std::time::{Duration, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::message::{Body, FieldName, HttpDate, Response, Status};

/// Media type of every page.
const HTML: &str = "text/html; charset=utf-8";

/// A page may show its own inline style and pictures of this server, and send its forms back here. It runs no script,
/// can't be framed, and a name that slipped through the escaping could load nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1c2024;--faint:#60666c;--line:#d9dde1;--back:#fcfcfd;--link:#0b5cad;--raised:#f1f3f5}\
@media(prefers-color-scheme:dark){:root{--text:#e6e8ea;--faint:#9aa1a8;--line:#33383e;--back:#16191c;--link:#7ab8f5;--raised:#20252a}}\
body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}\
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}\
h1{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}\
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}\
.faint{color:var(--faint)}\
nav{overflow-wrap:anywhere}\
code,pre,output,textarea{font-family:ui-monospace,monospace}\
code,output{background:var(--raised);padding:.1em .3em;border-radius:.25em;overflow-wrap:anywhere}\
.wide{overflow-x:auto}\
table{border-collapse:collapse;width:100%}\
th,td{padding:.3rem .75rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}\
th{font-weight:600;color:var(--faint)}\
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
.name{overflow-wrap:anywhere}\
textarea{width:100%;box-sizing:border-box}\
textarea,input,select,button{font:inherit;color:inherit;background:var(--raised);border:1px solid var(--line);border-radius:.3em;padding:.3em .5em}\
form label{display:inline-block;margin:0 1rem .5rem 0}\
@media(max-width:36rem){.optional{display:none}}";

/// All of a page up to its content: what a body made in pieces begins with.
pub(super) fn opening(title: &str) -> String {
    let head = html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\">"))
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
        (PreEscaped("<body><main>"))
        h1 { (title) }
    };
    head.into_string()
}

/// What ends a page.
pub(super) const CLOSING: &str = "</main></body></html>\n";

/// A whole page.
pub(super) fn page(title: &str, content: &Markup) -> Body {
    Body::Bytes(text(title, content))
}

/// The bytes of a whole page.
pub(super) fn text(title: &str, content: &Markup) -> Vec<u8> {
    [opening(title).as_bytes(), content.0.as_bytes(), CLOSING.as_bytes()].concat()
}

/// The response that carries a page.
pub(super) fn respond(status: Status, body: Body) -> Response {
    Response::with_body(status, HTML, body).with_field(FieldName::ContentSecurityPolicy, POLICY)
}

/// A path as a link needs it: everything but unreserved characters and `/` is percent-encoded (RFC 3986 section 2.3),
/// so that the result is safe in an attribute, in JSON and on a command line too.
pub(super) fn link(path: &[u8]) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    percent_encode(path, RESERVED).to_string()
}

/// A time in UTC as RFC 3339 has it; what lies after the year 9999 is held there.
pub(super) fn rfc3339(unix_seconds: u64) -> String {
    let seconds = HttpDate::from_unix_seconds(unix_seconds).unix_seconds();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// A number of bytes for people: `999 B`, `1.5 KiB`, `20 MiB`.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of a unit, rounded down, so that the last byte before a MiB isn't shown as 1024.0 KiB.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while tenths >= 10 * 1024
        && let Some(larger) = units.next()
    {
        tenths /= 1024;
        unit = larger;
    }
    if tenths < 100 { format!("{}.{} {unit}", tenths / 10, tenths % 10) } else { format!("{} {unit}", tenths / 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15 EiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn links_are_safe_everywhere() {
        assert_eq!(link(b"/a b/\"<>&'$`;\n\xff.txt"), "/a%20b/%22%3C%3E%26%27%24%60%3B%0A%FF.txt");
    }

    #[test]
    fn times_have_bounds() {
        assert_eq!(rfc3339(784_111_777), "1994-11-06T08:49:37Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_page_is_escaped_and_whole() {
        let Body::Bytes(bytes) = page("<script>", &html! { p { "&" } }) else { panic!("no bytes") };
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{text}");
        assert!(text.contains("<title>&lt;script&gt;</title>") && text.contains("<p>&amp;</p>"));
        assert!(text.ends_with(CLOSING) && !text.contains("<script"));
    }
}
