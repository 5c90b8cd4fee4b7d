//! Box `http_route`: which content provider answers a request, and whether the client may ask that at all.
//! Process: worker, sealed. Pure. Fails with: 403, 404, 405, and redirects.

use super::Audience;
use crate::config::{Provider, Site, Verb, Verbs};
use crate::content::{self, UploadId, is_hidden};
use crate::message::{Method, MethodSet, Refusal, Request};

/// Who answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'r> {
    /// OPTIONS: what may be done here.
    Options(MethodSet),
    /// A file or folder is asked for.
    Files,
    /// A file is stored or updated.
    Upload,
    /// OPTIONS where files are stored.
    UploadOptions(MethodSet),
    /// An upload that has begun goes on, or ends.
    Resume(UploadId),
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
pub(super) fn route<'r>(site: &Site, request: &'r Request<'_>, audience: &Audience) -> Result<Route<'r>, Refusal> {
    if request.asterisk {
        return Ok(Route::Options(server_methods(site)));
    }
    if request.method == Method::Connect {
        // What follows could be meant for the far end of a tunnel (RFC 9110 section 9.3.6).
        let refusal = Refusal::method_not_allowed(
            Method::Connect,
            file_methods(site.access.verbs(&request.path, &request.visitor)),
        );
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
        return provider_or_options(site, request, route);
    }
    route_to_files(site, request, audience)
}

/// The path whose rules decide about a request: its own, or that of the file whose digest it wants.
#[must_use]
pub fn subject<'p>(site: &Site, path: &'p [u8]) -> &'p [u8] {
    let digested = site.routes.iter().filter(|rule| rule.provider == Provider::Sha256).find_map(|rule| {
        let rest = path.strip_prefix(rule.path.as_bytes())?;
        matches!(rest, [b'/', _, ..]).then_some(rest)
    });
    digested.unwrap_or(path)
}

/// The methods of a provider, checked here and nowhere else: it is asked for none but these.
/// Who may not read at a path gets nothing from a provider there either; the file whose digest is wanted has a path of its
/// own.
fn provider_or_options<'r>(site: &Site, request: &Request<'_>, route: Route<'r>) -> Result<Route<'r>, Refusal> {
    let method = request.method;
    let methods = if route == Route::Sha256 { MethodSet::READ.with(Method::Post) } else { MethodSet::READ };
    if method == Method::Options {
        return Ok(Route::Options(methods));
    }
    if !methods.contains(method) {
        return Err(Refusal::method_not_allowed(method, methods));
    }
    let is_of_file = matches!(route, Route::Sha256OfFile(_));
    if is_of_file || site.access.verbs(&request.path, &request.visitor).contains(Verb::Read) {
        Ok(route)
    } else {
        Err(Refusal::lacking(Verb::Read, "You may not read here."))
    }
}

fn route_to_files<'r>(site: &Site, request: &Request<'_>, audience: &Audience) -> Result<Route<'r>, Refusal> {
    if is_hidden(&request.path) {
        return Err(Refusal::not_found());
    }
    let verbs = site.access.verbs(&request.path, &request.visitor);
    // What a user may do is possible here, though not for everybody.
    let possible = verbs.or(audience.after_login);
    let want = |wanted: Verbs, route, words: &'static str| {
        if verbs.contains_any(wanted) { Ok(route) } else { Err(Refusal::lacking(wanted, words)) }
    };
    let uploading = Verbs::NONE.with(Verb::Create).with(Verb::Replace);
    let can_upload = possible.contains_any(uploading);
    let upload = UploadId::of_query(request.query).filter(|_| can_upload);
    let methods = || if upload.is_some() { content::UPLOAD_METHODS } else { file_methods(possible) };
    match (request.method, upload) {
        (Method::Options, _) if can_upload => Ok(Route::UploadOptions(methods())),
        (Method::Options, _) => Ok(Route::Options(methods())),
        (method, Some(id)) if content::UPLOAD_METHODS.contains(method) => {
            want(uploading, Route::Resume(id), "Uploads are not allowed here.")
        }
        (Method::Get | Method::Head, _) => {
            want(Verbs::NONE.with(Verb::Read).with(Verb::List), Route::Files, "You may not read here.")
        }
        (Method::Put | Method::Post, None) => want(uploading, Route::Upload, "Uploads are not allowed here."),
        (Method::Delete, _) => want(Verb::Delete.into(), Route::Delete, "You may not delete here."),
        (Method::Put | Method::Post | Method::Patch | Method::Trace | Method::Connect, _) => {
            Err(Refusal::method_not_allowed(request.method, methods()))
        }
    }
}

/// What may be done with a file by who has these rights.
fn file_methods(verbs: Verbs) -> MethodSet {
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
