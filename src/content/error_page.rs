//! A file of the site in the place of a built-in error page: the same status, the same fields, other words.
//! Process: worker, sealed. Blocks: as opening a file does. Fails with: nothing. A page that can't be opened is no second
//! error but leaves the built-in one, so there can be no loop.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::{Context, ErrorForm};
use crate::message::{Body, FieldName, Request, Response, Validators, Value};
use crate::sys::file::{FileKind, Identity, identity, open_beneath};

/// Puts the site's page for this status into the answer to a retrieval, if the client likes pages and there is one.
/// The operator named the file, so it is shown even where the access rules let nobody read.
pub fn error_page(ctx: &Context<'_>, request: &Request<'_>, response: &mut Response) {
    let is_asked = || request.method.is_retrieval() && ErrorForm::of(request.fields) == ErrorForm::Page;
    let Some(path) = ctx.site.error_pages.find(response.status.code()).filter(|_| is_asked()) else { return };
    let Ok((file, Identity { kind: FileKind::Regular, size, .. })) = open(ctx, path) else { return };
    // The policy is that of the built-in page, which has no script to run and no picture to load.
    response.own_fields().retain(|name| !matches!(name, FieldName::ContentType | FieldName::ContentSecurityPolicy));
    response.fields.push(FieldName::ContentType, Value::Text(ctx.media_types.of_name(path.as_bytes())));
    // What is shown is no representation of what was asked for: it has neither validators nor parts.
    response.validators = Validators::default();
    response.accepts_ranges = false;
    response.body = Body::File { file: Arc::new(file.into()), offset: 0, length: size };
}

fn open(ctx: &Context<'_>, path: &str) -> io::Result<(File, Identity)> {
    let file = open_beneath(ctx.root, path.as_bytes())?;
    let identity = identity(&file)?;
    Ok((file, identity))
}
