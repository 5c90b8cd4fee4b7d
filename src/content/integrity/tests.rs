//! What `integrity` promises: each digest is made once, in pieces, of one state of a file.

use super::*;
use crate::content::tests::World;
use crate::message::{Label, Status};
use std::fs::File;
use std::io::Write;

fn digest(content: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(content);
    hasher.finish()
}

fn file_of(content: &[u8]) -> Arc<OpenFile> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    // Time stamps of this moment would not be kept.
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    Arc::new(file.into())
}

fn whole(file: &Arc<OpenFile>) -> Body {
    Body::File { file: file.clone(), offset: 0, length: identity(&***file).unwrap().size }
}

/// A moment at which every file of the tests has been what it is for long.
fn context(world: &World) -> Context<'_> {
    let mut ctx = world.context();
    ctx.now.unix_seconds = 100_000_000_000;
    ctx
}

fn want(ctx: &Context<'_>, of: Body) -> Handled {
    let wanted = Wanted { name: FieldName::ReprDigest, algorithm: Algorithm::Sha512, of };
    add_digests(ctx, Response::new(Status::OK), ArrayVec::from_iter([wanted]))
}

/// The digest that comes of it, and in how many pieces of work it was made.
fn finish(handled: Handled) -> (Option<String>, usize) {
    let mut pieces = 0;
    let mut work = match handled {
        Handled::Reply(response) => return (field(&response), 0),
        Handled::Work(work) => work,
        Handled::Receive(_) | Handled::Await(_) | Handled::Prepare(_) => panic!("no such thing was asked for"),
    };
    loop {
        match work.advance() {
            Worked::More(more) => work = more,
            Worked::Done(response) => return (field(&response.unwrap()), pieces),
            Worked::Block(_) | Worked::Later(..) | Worked::Ready(_) => panic!("digests are all that was asked for"),
        }
        pieces += 1;
    }
}

fn field(response: &Response) -> Option<String> {
    match response.fields.find(FieldName::ReprDigest) {
        Some(crate::message::Value::Text(text)) => Some(text.to_string()),
        _ => None,
    }
}

#[test]
fn a_file_is_digested_once_and_in_pieces() {
    let world = World::new(std::path::Path::new("."));
    let ctx = context(&world);
    let content = vec![7; 3 * DIGESTED_BYTES + 1];
    let file = file_of(&content);
    assert_eq!(finish(want(&ctx, whole(&file))), (Some(digest(&content).field_value()), 4));
    assert_eq!(finish(want(&ctx, whole(&file))), (Some(digest(&content).field_value()), 0));
    // Another state of the file is another file.
    file.write_all_at(b"x", 0).unwrap();
    let changed = [b"x", &content[1..]].concat();
    assert_eq!(finish(want(&ctx, whole(&file))).0, Some(digest(&changed).field_value()));
}

#[test]
fn what_is_in_memory_keeps_its_digest_and_parts_have_their_own() {
    let world = World::new(std::path::Path::new("."));
    let ctx = context(&world);
    let prepared = Arc::new(Prepared {
        label: Label::default(),
        content: Box::from(&b"0123456789"[..]),
        digests: Digests::default(),
    });
    let body = || Body::Prepared { prepared: prepared.clone(), offset: 0, length: 10 };
    assert_eq!(finish(want(&ctx, body())), (Some(digest(b"0123456789").field_value()), 1));
    assert_eq!(finish(want(&ctx, body())), (Some(digest(b"0123456789").field_value()), 0));
    let part = body().part(2, 3).unwrap();
    assert_eq!(finish(want(&ctx, part)).0, Some(digest(b"234").field_value()));
    let file = file_of(b"abcdef");
    let parts = VecDeque::from([Body::Bytes(b"<".to_vec()), whole(&file).part(1, 2).unwrap(), body()]);
    assert_eq!(finish(want(&ctx, Body::Parts(parts))).0, Some(digest(b"<bc0123456789").field_value()));
    assert_eq!(finish(want(&ctx, Body::Empty)).0, Some(digest(b"").field_value()));
    assert_eq!(finish(want(&ctx, whole(&file_of(b"")))).0, Some(digest(b"").field_value()));
}

#[test]
fn a_file_that_changes_meanwhile_has_no_digest() {
    let world = World::new(std::path::Path::new("."));
    let ctx = context(&world);
    for change in [|file: &File| file.set_len(10).unwrap(), |file: &File| file.write_all_at(b"x", 0).unwrap()] {
        let file = file_of(&vec![7; 2 * DIGESTED_BYTES]);
        let Handled::Work(work) = want(&ctx, whole(&file)) else { panic!("nothing is known") };
        let Worked::More(work) = work.advance() else { panic!("one piece is not all") };
        change(&file);
        assert_eq!(finish(Handled::Work(work)).0, None);
    }
}

#[test]
fn a_file_that_may_still_change_unnoticed_is_digested_each_time() {
    let world = World::new(std::path::Path::new("."));
    let mut ctx = world.context();
    ctx.now.unix_seconds = 0;
    let file = file_of(b"abc");
    for _ in 0..2 {
        assert_eq!(finish(want(&ctx, whole(&file))), (Some(digest(b"abc").field_value()), 1));
    }
}

#[test]
fn of_two_who_ask_at_once_the_second_takes_what_the_first_has_made() {
    let world = World::new(std::path::Path::new("."));
    let ctx = context(&world);
    let file = file_of(&vec![7; 3 * DIGESTED_BYTES + 1]);
    let Handled::Work(second) = want(&ctx, whole(&file)) else { panic!("nothing is known") };
    let Worked::More(second) = second.advance() else { panic!("one piece is not all") };
    assert_eq!(finish(want(&ctx, whole(&file))).1, 4);
    assert_eq!(finish(Handled::Work(second)).1, 1);
}

#[test]
fn who_comes_when_too_many_wait_gets_his_answer_without() {
    let world = World::new(std::path::Path::new("."));
    let ctx = context(&world);
    let file = file_of(&vec![7; DIGESTED_BYTES]);
    let waiting: Vec<_> = (0..DIGESTING_AT_A_TIME).map(|_| want(&ctx, whole(&file))).collect();
    assert!(waiting.iter().all(|one| matches!(one, Handled::Work(_))));
    assert_eq!(finish(want(&ctx, whole(&file))), (None, 0));
    drop(waiting);
    assert!(finish(want(&ctx, whole(&file))).0.is_some());
}

#[test]
fn no_more_are_kept_than_the_limit() {
    let known = KnownDigests::new(2);
    for inode in 0..3 {
        known.note((0, inode, 0, 0, 0), digest(b"a"));
    }
    let has = |inode| known.find(&(0, inode, 0, 0, 0), Algorithm::Sha512).is_some();
    assert_eq!([has(0), has(1), has(2)], [false, true, true]);
}
