//! Box `http_route`: which content provider answers a request, and whether the client may ask that at all.
//! Process: worker, sealed. Pure. Fails with: 403, 404, 405, and redirects.

use crate::config::{Provider, Site, Verb};
use crate::content::{self, is_hidden};
use crate::message::{Method, MethodSet, Refusal, Request, Status};

/// Who answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'r> {
    /// OPTIONS: what may be done here.
    Options(MethodSet),
    /// A file or folder is asked for.
    Files,
    /// A file is stored or updated.
    Upload,
    /// A file is removed.
    Delete,
    /// Perlin noise.
    Perlin,
    /// The form, or the digest of a request's content.
    Sha256,
    /// The digest of the file at this path.
    Sha256OfFile(&'r [u8]),
    /// The counters.
    Stats,
}

/// Chooses the provider.
///
/// # Errors
/// 403 where the configuration allows nobody to do this, 404 for hidden names, 405 for a method that fits nowhere; a redirect where one
/// is configured.
#[doc(alias = "http_route")]
pub(super) fn route<'r>(site: &Site, request: &'r Request<'_>) -> Result<Route<'r>, Refusal> {
    if request.asterisk {
        return Ok(Route::Options(server_methods(site)));
    }
    if request.method == Method::Connect {
        // What follows could be meant for the far end of a tunnel (RFC 9110 section 9.3.6).
        let refusal = Refusal::method_not_allowed(Method::Connect, file_methods(site, &request.path));
        return Err(Refusal { ends_connection: true, ..refusal });
    }
    if let Some((redirect, rest)) = site.redirects.find(&request.path) {
        return Err(content::redirect(request, redirect, rest));
    }
    for rule in &site.routes {
        let Some(rest) = request.path.strip_prefix(rule.path.as_bytes()) else { continue };
        let route = match (rule.provider, rest) {
            (Provider::Perlin, b"") => Route::Perlin,
            (Provider::Stats, b"") => Route::Stats,
            (Provider::Sha256, b"" | b"/") => Route::Sha256,
            (Provider::Sha256, [b'/', ..]) => Route::Sha256OfFile(rest),
            (Provider::Perlin | Provider::Stats | Provider::Sha256, _) => continue,
        };
        return provider_or_options(request.method, route);
    }
    route_to_files(site, request)
}

/// The methods of a provider, checked here and nowhere else: it is asked for none but these.
fn provider_or_options(method: Method, route: Route<'_>) -> Result<Route<'_>, Refusal> {
    let methods = if route == Route::Sha256 { MethodSet::READ.with(Method::Post) } else { MethodSet::READ };
    if method == Method::Options {
        return Ok(Route::Options(methods));
    }
    if methods.contains(method) { Ok(route) } else { Err(Refusal::method_not_allowed(method, methods)) }
}

fn route_to_files<'r>(site: &Site, request: &Request<'_>) -> Result<Route<'r>, Refusal> {
    if is_hidden(&request.path) {
        return Err(Refusal::not_found());
    }
    let verbs = site.access.verbs(&request.path);
    let forbidden = |what| Err(Refusal::new(Status::FORBIDDEN, what));
    match request.method {
        Method::Get | Method::Head => {
            if verbs.contains(Verb::Read) || verbs.contains(Verb::List) {
                Ok(Route::Files)
            } else {
                forbidden("Nobody may read here.")
            }
        }
        Method::Put | Method::Post => {
            if verbs.contains(Verb::Create) || verbs.contains(Verb::Replace) {
                Ok(Route::Upload)
            } else {
                forbidden("Uploads are not allowed here.")
            }
        }
        Method::Delete => {
            if verbs.contains(Verb::Delete) {
                Ok(Route::Delete)
            } else {
                forbidden("Nobody may delete here.")
            }
        }
        Method::Options => Ok(Route::Options(file_methods(site, &request.path))),
        Method::Patch | Method::Trace | Method::Connect => {
            Err(Refusal::method_not_allowed(request.method, file_methods(site, &request.path)))
        }
    }
}

/// What may be done with a file at this path.
fn file_methods(site: &Site, path: &[u8]) -> MethodSet {
    let verbs = site.access.verbs(path);
    let mut methods = MethodSet::of(&[Method::Options]);
    if verbs.contains(Verb::Read) || verbs.contains(Verb::List) {
        methods = methods.with(Method::Get).with(Method::Head);
    }
    if verbs.contains(Verb::Create) || verbs.contains(Verb::Replace) {
        methods = methods.with(Method::Put);
    }
    if verbs.contains(Verb::Replace) {
        methods = methods.with(Method::Post);
    }
    if verbs.contains(Verb::Delete) {
        methods = methods.with(Method::Delete);
    }
    methods
}

/// What the server can do at all, for `OPTIONS *`.
fn server_methods(site: &Site) -> MethodSet {
    let mut methods = MethodSet::READ;
    let verbs = || site.access.rules().iter().map(|rule| rule.allow);
    if verbs().any(|verbs| verbs.contains(Verb::Create) || verbs.contains(Verb::Replace)) {
        methods = methods.with(Method::Put).with(Method::Post);
    }
    if site.routes.iter().any(|rule| rule.provider == Provider::Sha256) {
        methods = methods.with(Method::Post);
    }
    if verbs().any(|verbs| verbs.contains(Verb::Delete)) {
        methods = methods.with(Method::Delete);
    }
    methods
}
