//! What pages of other sites may do through a visitor's browser: nothing that changes something, unless `[[cors]]` says
//! so. What no browser has sent has neither field, and passes.
//! Process: worker, sealed. Trusts: the fields that scripts can't set. Pure. Fails with: 403.
//! Fetch standard sections 3.1 (Origin) and 3.2 (CORS); W3C Fetch Metadata (Sec-Fetch-Site).

use crate::config::{CorsGrant, Site};
use crate::message::{FieldName, Method, Refusal, Request, Response, Status, Value};

/// How long a browser may remember a permission, in seconds: as long as the strictest of them do at most.
const PERMISSION_SECONDS: u64 = 600;

/// What the site says of the origin of a request.
#[must_use]
pub(super) fn grant(site: &Site, request: &Request<'_>) -> CorsGrant {
    site.cors.find(&request.path, request.field(FieldName::Origin))
}

/// Refuses what a page of another site has a browser do, if it could change something.
///
/// # Errors
/// 403 that names the field, and the key that would allow it.
pub(super) fn refuse_foreign_change(site: &Site, request: &Request<'_>) -> Result<(), Refusal> {
    let is_safe = match request.method {
        Method::Get | Method::Head | Method::Options | Method::Trace | Method::Connect => true,
        Method::Put | Method::Post | Method::Delete | Method::Patch => false,
    };
    let is_allowed = || {
        let id = grant(site, request).id.filter(|id| site.cors.methods(*id).contains(request.method));
        id.is_some_and(|id| site.cors.credentials(id) || !shows_password(request))
    };
    if is_safe || is_allowed() {
        return Ok(());
    }
    match request.field(FieldName::SecFetchSite) {
        Some(b"same-origin" | b"none") => Ok(()),
        Some(b"same-site" | b"cross-site") => Err(foreign("Sec-Fetch-Site")),
        // A browser that is too old for it, none, or words that are not known yet.
        Some(_) | None if request.fields.all(FieldName::Origin).all(|origin| is_own(origin, request.host_text())) => {
            Ok(())
        }
        Some(_) | None => Err(foreign("Origin")),
    }
}

/// Is there a password, which a browser remembers and adds to whatever any page sends? A form needs no preflight, so
/// that only this request tells of it. A token is set by a script that knows it.
fn shows_password(request: &Request<'_>) -> bool {
    let is_basic = |value: &[u8]| value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"));
    request.fields.all(FieldName::Authorization).any(is_basic)
}

fn foreign(field: &str) -> Refusal {
    let words = format!(
        "{field} says that a page of another site asks for this. A site can be allowed to by its origin: cors.origins \
         and cors.methods, and with a password cors.credentials."
    );
    Refusal::new(Status::FORBIDDEN, words)
}

/// Is it the origin of this very host? Behind a terminator of TLS the scheme is another one, so only host and port count,
/// each port filled in from the origin's scheme.
fn is_own(origin: &[u8], host: &str) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    let (own, default_port) = match origin.split_once("://") {
        Some(("http", own)) => (own, ":80"),
        Some(("https", own)) => (own, ":443"),
        Some(_) | None => return false,
    };
    let bare = |authority: &'_ str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    !own.is_empty() && bare(own) == bare(host)
}

/// Is a browser asking whether a script of another origin may make a request?
pub(super) fn is_preflight(request: &Request<'_>) -> bool {
    request.method == Method::Options
        && request.fields.contains(FieldName::Origin)
        && request.fields.contains(FieldName::AccessControlRequestMethod)
}

/// Adds to the answer to OPTIONS what a browser asks for, if the site allows the origin anything. The lines that name the
/// origin come with every answer.
pub(super) fn permit(site: &Site, request: &Request<'_>, mut response: Response) -> Response {
    let Some(id) = grant(site, request).id.filter(|_| is_preflight(request)) else { return response };
    let methods = site.cors.methods(id).allow_value();
    response.fields.push(FieldName::AccessControlAllowMethods, methods);
    // The methods are what matters: no field of ours gives more rights than its sender has.
    let names: Vec<&str> = (request.fields.elements(FieldName::AccessControlRequestHeaders))
        .filter(|name| name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)))
        .filter_map(|name| std::str::from_utf8(name).ok())
        .collect();
    if !names.is_empty() {
        response.fields.push(FieldName::AccessControlAllowHeaders, names.join(", "));
        response.fields.vary_by(FieldName::AccessControlRequestHeaders);
    }
    response.fields.push(FieldName::AccessControlMaxAge, Value::Number(PERMISSION_SECONDS));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_by_host_and_port() {
        for (origin, host, own) in [
            ("http://a.example", "a.example", true),
            ("https://A.example", "a.EXAMPLE", true),
            ("https://a.example", "a.example:443", true),
            ("http://a.example", "a.example:80", true),
            ("https://a.example:80", "a.example:80", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("https://a.example", "a.example:80", false),
            ("http://a.example:8080", "a.example", false),
            ("http://b.example", "a.example", false),
            ("http://a.example.evil", "a.example", false),
            ("null", "null", false),
            ("", "", false),
            ("http://", "", false),
            ("ftp://a.example", "a.example", false),
        ] {
            assert_eq!(is_own(origin.as_bytes(), host), own, "{origin} {host}");
        }
    }
}
