//! Box `http_fill_body`: one line a content provider, and what holds for the answers of all of them.
//! Process: worker, sealed. Trusts: a validated request. Blocks: as its providers do. Fails with: nothing; every refusal becomes an answer.

use super::audience::Audience;
use super::cross_site::{permit, refuse_foreign_change};
use super::integrity::Wish;
use super::route::{Route, route};
use super::{conditional, range};
use crate::content::{self, Context, ErrorForm};
use crate::message::{FieldName, Filled, Handled, Method, MethodSet, Refusal, Request, Response, Status, Value};

/// Routes a request, lets its provider fill the body, and applies preconditions and ranges to what comes of it. The answer
/// is filled into `response`, which has nothing yet.
#[doc(alias = "http_handle_request")]
pub fn handle_request(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    audience: &Audience,
    response: &mut Response,
) -> Handled<Filled> {
    let allowed = refuse_foreign_change(ctx.site, request).and_then(|()| route(ctx.site, request, audience));
    let provided = match allowed {
        Ok(route) => fill_body(ctx, request, &route, response),
        Err(refusal) => Err(refusal),
    };
    let mut handled = match provided {
        Ok(handled) => handled,
        Err(refusal) => return refuse_request(ctx, request, &audience.ask_for_user(refusal), response),
    };
    match &handled {
        Handled::Reply(Filled) => {
            if let Some(wish) = finish(ctx, request, response) {
                let answer = std::mem::replace(response, Response::new(Status::OK));
                handled = wish.fulfil(ctx, request, answer).fill(response);
            }
        }
        // Better told before the content is sent than after.
        Handled::Receive(receive) if request.framing.length().is_some_and(|it| it > receive.limit_bytes) => {
            return refuse_request(ctx, request, &Refusal::too_long(receive.limit_bytes), response);
        }
        Handled::Receive(_) | Handled::Await(_) | Handled::Work(_) | Handled::Prepare(_) => {}
    }
    if matches!(handled, Handled::Reply(Filled)) {
        show(ctx, request, response);
    }
    handled
}

/// Answers a request that is refused, maybe before it is known what it wants: by whom it says it comes from.
pub fn refuse_request(
    ctx: &Context<'_>,
    request: &Request<'_>,
    refusal: &Refusal,
    response: &mut Response,
) -> Handled<Filled> {
    content::tell_operator(ctx.logs, Some(&request.path), refusal);
    *response = content::error(refusal, ErrorForm::of(request.fields));
    show(ctx, request, response);
    Handled::Reply(Filled)
}

/// Puts an error into the words of the site.
fn show(ctx: &Context<'_>, request: &Request<'_>, response: &mut Response) {
    if response.status.is_error() {
        content::error_page(ctx, request, response);
    }
}

/// A new content provider is a file in `content/` and a line here.
#[doc(alias = "http_fill_body")]
fn fill_body(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    route: &Route<'_>,
    response: &mut Response,
) -> Result<Handled<Filled>, Refusal> {
    let provided = match *route {
        Route::Files => return content::files(ctx, request, response),
        Route::Options(methods) => Ok(permit(ctx.site, request, options(methods)).into()),
        Route::UploadOptions(methods) => {
            let offered = content::offer_uploads(ctx, request, options(methods));
            Ok(permit(ctx.site, request, offered).into())
        }
        Route::Resume(id) => content::resume_upload(ctx, request, id),
        Route::Upload if content::begins_upload(request) => content::begin_upload(ctx, request),
        Route::Upload => content::upload(ctx, request),
        Route::Delete => content::delete(ctx, request),
        Route::Perlin => content::perlin(ctx, request),
        Route::Sha256 => content::sha256(ctx, request),
        Route::Sha256OfFile(path) => content::sha256_of_file(ctx, &request.visitor, path),
        Route::Stats => content::stats(ctx, request),
    };
    provided.map(|handled| handled.fill(response))
}

fn options(methods: MethodSet) -> Response {
    Response::new(Status::NO_CONTENT).with_field(FieldName::Allow, Value::from(methods.allow_value()))
}

/// The coding decides which representation it is; then preconditions, then the range (RFC 9110 section 13.2.2); and
/// digests last, of what has come of it: those that the client wants besides.
fn finish(ctx: &Context<'_>, request: &Request<'_>, response: &mut Response) -> Option<Wish> {
    if !request.method.is_retrieval() || response.status != Status::OK {
        return None;
    }
    content::compress(request, response);
    let wish = Wish::of(ctx, request, response);
    if response.status == Status::OK {
        conditional::apply(request, response);
    }
    if response.status == Status::OK && request.method == Method::Get {
        range::apply(request, response, ctx.config.limits.ranges, ctx.now);
    }
    wish
}
