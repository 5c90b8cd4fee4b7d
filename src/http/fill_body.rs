//! Box `http_fill_body`: one line a content provider, and what holds for the answers of all of them.
//! Process: worker, sealed. Trusts: a validated request. Blocks: as its providers do. Fails with: nothing; every refusal becomes an answer.

use super::audience::Audience;
use super::cross_site::{permit, refuse_foreign_change};
use super::integrity::Wish;
use super::route::{Route, route};
use super::{conditional, range};
use crate::content::{self, Context, ErrorForm};
use crate::message::{FieldName, Handled, Method, MethodSet, Provided, Refusal, Request, Response, Status, Value};

/// Routes a request, lets its provider fill the body, and applies preconditions and ranges to what comes of it.
#[doc(alias = "http_handle_request")]
pub fn handle_request(ctx: &mut Context<'_>, request: &Request<'_>, audience: &Audience) -> Handled {
    let allowed = refuse_foreign_change(ctx.site, request).and_then(|()| route(ctx.site, request, audience));
    let handled = match allowed.and_then(|route| fill_body(ctx, request, &route)) {
        Ok(Handled::Reply(response)) => finish(ctx, request, response),
        // Better told before the content is sent than after.
        Ok(Handled::Receive(receive)) if request.framing.length().is_some_and(|it| it > receive.limit_bytes) => {
            Handled::Reply(refuse(request, &Refusal::too_long(receive.limit_bytes)))
        }
        Ok(handled @ (Handled::Receive(_) | Handled::Await(_) | Handled::Work(_) | Handled::Prepare(_))) => handled,
        Err(refusal) => Handled::Reply(refuse(request, &audience.ask_for_user(refusal))),
    };
    shown(ctx, request, handled)
}

/// Answers a request that is refused before it is known what it wants: by whom it says it comes from.
pub fn refuse_request(ctx: &Context<'_>, request: &Request<'_>, refusal: &Refusal) -> Handled {
    shown(ctx, request, Handled::Reply(refuse(request, refusal)))
}

/// An error in the words of the site.
fn shown(ctx: &Context<'_>, request: &Request<'_>, mut handled: Handled) -> Handled {
    if let Handled::Reply(response) = &mut handled
        && response.status.is_error()
    {
        content::error_page(ctx, request, response);
    }
    handled
}

/// A new content provider is a file in `content/` and a line here.
#[doc(alias = "http_fill_body")]
fn fill_body(ctx: &mut Context<'_>, request: &Request<'_>, route: &Route<'_>) -> Provided {
    match *route {
        Route::Options(methods) => Ok(permit(ctx.site, request, options(methods)).into()),
        Route::UploadOptions(methods) => {
            let offered = content::offer_uploads(ctx, request, options(methods));
            Ok(permit(ctx.site, request, offered).into())
        }
        Route::Resume(id) => content::resume_upload(ctx, request, id),
        Route::Upload if content::begins_upload(request) => content::begin_upload(ctx, request),
        Route::Files => content::files(ctx, request),
        Route::Upload => content::upload(ctx, request),
        Route::Delete => content::delete(ctx, request),
        Route::Perlin => content::perlin(ctx, request),
        Route::Sha256 => content::sha256(ctx, request),
        Route::Sha256OfFile(path) => content::sha256_of_file(ctx, &request.visitor, path),
        Route::Stats => content::stats(ctx, request),
    }
}

fn options(methods: MethodSet) -> Response {
    Response::new(Status::NO_CONTENT).with_field(FieldName::Allow, Value::from(methods.allow_value()))
}

/// The answer to a request that is refused.
fn refuse(request: &Request<'_>, refusal: &Refusal) -> Response {
    content::error(refusal, ErrorForm::of(request.fields))
}

/// The coding decides which representation it is; then preconditions, then the range (RFC 9110 section 13.2.2); and
/// digests last, of what has come of it. It is changed where it lies: a response is large to be handed about.
fn finish(ctx: &Context<'_>, request: &Request<'_>, mut response: Response) -> Handled {
    if !request.method.is_retrieval() || response.status != Status::OK {
        return Handled::Reply(response);
    }
    content::compress(request, &mut response);
    let wish = Wish::of(ctx, request, &response);
    if response.status == Status::OK {
        conditional::apply(request, &mut response);
    }
    if response.status == Status::OK && request.method == Method::Get {
        range::apply(request, &mut response, ctx.config.limits.ranges, ctx.now);
    }
    wish.fulfil(ctx, request, response)
}
