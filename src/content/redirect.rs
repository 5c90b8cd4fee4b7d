//! Where a configured redirect leads, query and all.
//! Process: worker, sealed. Trusts: nothing of the path; it is encoded anew. Blocks: never.
//! RFC 9110 section 15.4.

use super::page::link;
use crate::config::Redirect;
use crate::message::{FieldName, Refusal, Request, Status};

/// The answer to a request whose path this redirect covers; `rest` is what its `*` stands for.
#[must_use]
pub fn redirect(request: &Request<'_>, redirect: &Redirect, rest: &[u8]) -> Refusal {
    let status = Status::from_code(redirect.status).unwrap_or(Status::PERMANENT_REDIRECT);
    Refusal::new(status, "What was at this address is at another one.")
        .with_field(FieldName::Location, location(redirect, rest, request.query).into())
}

/// The query of the request goes behind that of the target; a fragment of the target stays at the end.
fn location(redirect: &Redirect, rest: &[u8], query: Option<&str>) -> String {
    let (base, fragment) = redirect.to.split_once('#').map_or((redirect.to.as_str(), None), |(a, b)| (a, Some(b)));
    let mut location = base.to_owned();
    if redirect.keeps_rest {
        location += &link(rest);
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        location.push(if base.contains('?') { '&' } else { '?' });
        location += query;
    }
    if let Some(fragment) = fragment {
        location.push('#');
        location += fragment;
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_kept_and_the_rest_encoded() {
        let to = |to: &str, rest: &[u8], query| {
            let (to, keeps_rest) = to.strip_suffix('*').map_or((to, false), |base| (base, true));
            let from = "/a/".to_owned();
            location(&Redirect { from, is_prefix: true, to: to.to_owned(), keeps_rest, status: 301 }, rest, query)
        };
        assert_eq!(to("/b", b"x", None), "/b");
        assert_eq!(to("/b/*", b"x y/\r\nz\xff", Some("q=1&r")), "/b/x%20y/%0D%0Az%FF?q=1&r");
        assert_eq!(to("/b?p=1#f", b"", Some("q=1")), "/b?p=1&q=1#f");
        assert_eq!(to("https://h.example/*", b"", Some("")), "https://h.example/");
    }
}
