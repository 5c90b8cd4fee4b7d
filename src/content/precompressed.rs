//! Files beside a file that hold it compressed: `page.html.br`, `.zst`, `.gz`. Which of them a client gets.
//! Process: worker, sealed. Trusts: nothing. Blocks: as opening a file does. Fails with: 406.
//! RFC 9110 sections 8.4 and 12.5.3. A sibling is a representation of its own: length, tag, date, ranges and digests
//! are those of the compressed bytes.

use super::compress::not_acceptable;
use super::files::{Original, keep_as_private_as, represent};
use super::{Context, ENCODED_KEY};
use crate::config::{Precompressed, Verb};
use crate::message::{AcceptEncoding, Coding, FieldName, Request, Response, Status};
use crate::sys::file::{FileKind, identity};

impl Precompressed {
    const fn coding(self) -> Coding {
        match self {
            Self::Brotli => Coding::Brotli,
            Self::Zstd => Coding::Zstd,
            Self::Gzip => Coding::Gzip,
        }
    }
}

/// The best of a file and its siblings. `Vary` stands in every answer, for a sibling may come into being at any time.
pub(super) fn choose(ctx: &mut Context<'_>, request: &Request<'_>, path: &[u8], original: Original) -> Response {
    let offers = ctx.config.precompressed.iter().map(|kind| kind.coding()).chain([Coding::Identity]);
    for coding in AcceptEncoding::of(request.fields).choose(offers) {
        let suffix = match coding {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
            Coding::Identity => {
                let mut response = Response::new(Status::OK);
                original.fill(ctx, path, &mut response);
                response.fields.vary_by(FieldName::AcceptEncoding);
                return response;
            }
        };
        if let Some(mut response) = sibling(ctx, request, path, suffix, original.modified()) {
            response.fields.push(FieldName::ContentEncoding, coding.name());
            keep_as_private_as(ctx, request, &[path, suffix.as_bytes()].concat(), &mut response);
            response.fields.vary_by(FieldName::AcceptEncoding);
            return response;
        }
    }
    not_acceptable(request)
}

/// The sibling with this suffix, if it may be read and is no older than the original: an older one holds what the file
/// used to be.
fn sibling(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    path: &[u8],
    suffix: &str,
    original_modified: i128,
) -> Option<Response> {
    // Its own path asked for directly is another resource, of another type, so it is another entry of the cache too.
    let key = [&[ENCODED_KEY], path, suffix.as_bytes()].concat();
    let beside = key.get(1..)?;
    if !ctx.site.access.verbs(beside, &request.visitor).contains(Verb::Read) {
        return None;
    }
    if let Some((body, modified)) = ctx.cache.lookup(ctx.root, &key, ctx.now) {
        let is_fresh = modified >= original_modified;
        ctx.tally.cache_hits += u64::from(is_fresh);
        return is_fresh.then(|| Response::with_file(body));
    }
    let file = ctx.cache.open(ctx.root, beside, ctx.now).ok()?;
    let identity = identity(&file).ok()?;
    if identity.kind != FileKind::Regular || identity.modified < original_modified {
        return None;
    }
    Some(represent(ctx, &key, path, file, identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessRule, AccessRules, Verbs};
    use crate::content::tests::{World, file, with_request};
    use crate::message::{Body, Method, Refusal, Status, Value};
    use std::fs::File;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    fn put(root: &Path, name: &str, content: &[u8], seconds: u64) {
        std::fs::write(root.join(name), content).unwrap();
        let file = File::options().write(true).open(root.join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    fn site() -> (tempfile::TempDir, World) {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a.txt", b"original", 1000);
        put(root.path(), "a.txt.gz", b"gzipped", 1000);
        put(root.path(), "a.txt.br", b"stale", 999);
        let mut world = World::new(root.path());
        world.config.precompressed = vec![Precompressed::Brotli, Precompressed::Zstd, Precompressed::Gzip];
        (root, world)
    }

    /// So late that every file of the tests has been what it is for long, and is kept.
    fn settled(world: &World) -> Context<'_> {
        let mut ctx = world.context();
        ctx.now.unix_seconds = 100_000_000_000;
        ctx
    }

    fn get(world: &World, path: &str, accept: &str) -> Result<Response, Refusal> {
        with_request(Method::Get, path, None, &[("Accept-Encoding", accept)], |request| {
            file(&mut settled(world), request)
        })
    }

    fn length(response: &Response) -> u64 {
        assert!(matches!(response.body, Body::File { .. } | Body::Prepared { .. }));
        response.body.length().unwrap()
    }

    #[test]
    fn a_fresh_sibling_is_a_representation_of_its_own() {
        let (root, mut world) = site();
        for cached in [0, 1 << 20] {
            world.config.cache = crate::config::Cache { bytes: cached, file_bytes: cached / 2, digests: 0 };
            let plain = get(&world, "/a.txt", "").unwrap();
            let coded = get(&world, "/a.txt", "br, zstd, gzip").unwrap();
            assert_eq!((length(&plain), length(&coded)), (8, 7));
            assert_eq!(coded.fields.find(FieldName::ContentEncoding), Some(&"gzip".into()));
            assert_eq!(plain.fields.find(FieldName::ContentEncoding), None);
            assert_ne!(plain.validators.etag, coded.validators.etag);
            for response in [&plain, &coded] {
                assert_eq!(response.content_type(), Some("text/plain; charset=utf-8"));
                assert_eq!(response.fields.find(FieldName::Vary), Some(&Value::from("Accept-Encoding")));
                assert!(response.accepts_ranges);
            }
            // Asked for directly it is what its name says.
            let direct = get(&world, "/a.txt.gz", "").unwrap();
            assert_eq!(direct.content_type(), Some("application/gzip"));
            assert_eq!(direct.fields.find(FieldName::ContentEncoding), None);
        }
        put(root.path(), "a.txt.zst", b"zstandard", 2000);
        assert_eq!(length(&get(&world, "/a.txt", "br, zstd, gzip").unwrap()), 9);
        assert_eq!(length(&get(&world, "/a.txt", "zstd;q=0.5, gzip").unwrap()), 7);
    }

    #[test]
    fn a_cached_sibling_is_not_served_once_the_original_is_newer() {
        let (root, mut world) = site();
        world.config.cache = crate::config::Cache { bytes: 1 << 20, file_bytes: 1 << 16, digests: 0 };
        let mut ctx = settled(&world);
        let mut get = || {
            let lines = [("Accept-Encoding", "gzip")];
            length(&with_request(Method::Get, "/a.txt", None, &lines, |request| file(&mut ctx, request)).unwrap())
        };
        assert_eq!((get(), get()), (7, 7));
        put(root.path(), "a.txt", b"newer than that", 1001);
        assert_eq!((get(), get()), (15, 15));
        put(root.path(), "a.txt.gz", b"again", 1001);
        assert_eq!((get(), get()), (5, 5));
        std::fs::remove_file(root.path().join("a.txt.gz")).unwrap();
        assert_eq!((get(), get()), (15, 15));
        assert_eq!(ctx.tally.cache_hits, 5, "the second of each two, and the original once more");
    }

    #[test]
    fn what_is_not_there_or_not_allowed_is_not_chosen() {
        let (root, mut world) = site();
        put(root.path(), "only.txt.gz", b"gzipped", 1000);
        std::fs::create_dir(root.path().join("a.txt.zst")).unwrap();
        assert_eq!(get(&world, "/only.txt", "gzip").unwrap_err(), Refusal::not_found());
        assert_eq!(length(&get(&world, "/a.txt", "zstd").unwrap()), 8);
        let refused = get(&world, "/a.txt", "zstd, identity;q=0").unwrap();
        assert_eq!(refused.status, Status::NOT_ACCEPTABLE);
        assert_eq!(refused.field(FieldName::Vary), Some(&Value::from("Accept, Accept-Encoding".to_owned())));
        assert_eq!(length(&get(&world, "/a.txt", "gzip, identity;q=0").unwrap()), 7);
        let read = Verbs::NONE.with(Verb::Read);
        let rule = |path: &str, allow| AccessRule { path: path.to_owned(), allow, ..AccessRule::default() };
        world.config.sites.default.access = AccessRules::new(vec![rule("/", read), rule("/a.txt.gz/", Verbs::NONE)]);
        assert_eq!(length(&get(&world, "/a.txt", "gzip").unwrap()), 8);
        // Only what the configuration names is looked for.
        world.config.sites.default.access = AccessRules::new(vec![rule("/", read)]);
        world.config.precompressed = vec![Precompressed::Brotli];
        assert_eq!(length(&get(&world, "/a.txt", "gzip").unwrap()), 8);
        world.config.precompressed = Vec::new();
        let plain = get(&world, "/a.txt", "gzip, identity;q=0").unwrap();
        assert_eq!((length(&plain), plain.fields.find(FieldName::Vary)), (8, None));
    }
}
