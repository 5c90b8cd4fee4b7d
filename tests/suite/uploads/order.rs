//! The order of the steps of a commit, as the kernel's own tracer tells it: nothing is acknowledged before it is on
//! stable storage.

use crate::common::client::Reply;
use crate::common::server::EVERYTHING;
use crate::common::trace::{Call, calls, trace_of};
use crate::common::{Client, Server, Site, cannot_run};

fn server(config: &str) -> Server {
    Server::with(Site::sample(), &format!("workers = 1\n{config}{EVERYTHING}"))
}

/// The tracer fails a call by making another one of it, of which the seal knows nothing.
const UNDER_INJECTION: &str = "sandbox_refusal = \"errno\"\n";

/// The place of the only call that is this one.
fn the<'c>(calls: &'c [Call], what: &str, is_it: impl Fn(&str) -> bool) -> &'c Call {
    let found: Vec<_> = calls.iter().filter(|call| is_it(&call.text)).collect();
    assert_eq!(found.len(), 1, "{what}: {found:#?}");
    found[0]
}

/// Each ends with success before the next begins.
fn assert_in_order(steps: &[&Call]) {
    for pair in steps.windows(2) {
        assert!(pair[0].end < pair[1].begin, "{:#?}", pair);
    }
    for step in &steps[..steps.len() - 1] {
        assert!(step.text.trim_end().ends_with("= 0"), "{step:?}");
    }
}

fn traced(test: &str, server: &Server, options: &[&str], load: impl FnOnce(&mut Client)) -> Option<Vec<Call>> {
    let mut all = vec!["-y"];
    all.extend(options);
    let Some(trace) = trace_of(server, &all, load) else {
        cannot_run(test, "only root may trace a sealed worker");
        return None;
    };
    Some(calls(&trace))
}

#[test]
fn created_replaced_and_removed_files_are_stored_before_the_answer() {
    let server = server("");
    let root = server.site.root().to_str().unwrap().to_owned();
    let load = |client: &mut Client| {
        assert_eq!(client.request("PUT", "/new", &[], b"x").status, 201);
        assert_eq!(client.request("PUT", "/hello.txt", &[], b"x").status, 204);
        assert_eq!(client.request("DELETE", "/alphabet.txt", &[], b"").status, 204);
    };
    let test = "created_replaced_and_removed_files_are_stored_before_the_answer";
    let Some(calls) = traced(test, &server, &[], load) else { return };
    let is_answer =
        |text: &str| text.starts_with("sendto(") && text.contains("\"HTTP/1.1 20") && !text.contains(" 200 OK");
    let answers: Vec<usize> = (0..calls.len()).filter(|&at| is_answer(&calls[at].text)).collect();
    assert_eq!(answers.len(), 3, "{calls:#?}");
    let mut from = 0;
    for (number, to) in answers.into_iter().enumerate() {
        let calls = &calls[from..=to];
        let answer = calls.last().unwrap();
        let folder = the(calls, "folder", |text| text.starts_with("fsync(") && text.contains(&format!("<{root}>")));
        let change = match number {
            0 => the(calls, "rename", |text| text.starts_with("renameat2(") && text.contains("RENAME_NOREPLACE")),
            1 => the(calls, "rename", |text| text.starts_with("renameat") && text.contains("\"hello.txt\"")),
            _ => the(calls, "unlink", |text| text.starts_with("unlinkat(") && text.contains("\"alphabet.txt\"")),
        };
        if number < 2 {
            let file = the(calls, "file", |text| text.starts_with("fsync(") && text.contains(".fileserv-"));
            assert_in_order(&[file, change, folder, answer]);
        } else {
            assert_in_order(&[change, folder, answer]);
        }
        from = to + 1;
    }
}

#[test]
fn made_folders_are_stored_with_their_parents_before_the_answer() {
    let server = server("uploads.make_folders = true\n");
    let root = server.site.root().to_str().unwrap().to_owned();
    let test = "made_folders_are_stored_with_their_parents_before_the_answer";
    let load = |client: &mut Client| assert_eq!(client.request("PUT", "/a/b/new", &[], b"x").status, 201);
    let Some(calls) = traced(test, &server, &[], load) else { return };
    let answer = the(&calls, "answer", |text| text.starts_with("sendto(") && text.contains("\"HTTP/1.1 201"));
    let rename = the(&calls, "rename", |text| text.starts_with("renameat2("));
    for folder in [root.clone(), format!("{root}/a"), format!("{root}/a/b")] {
        let sync = the(&calls, &folder, |text| text.starts_with("fsync(") && text.contains(&format!("<{folder}>")));
        assert_in_order(&[rename, sync, answer]);
    }
    let made: Vec<_> = calls.iter().filter(|call| call.text.starts_with("mkdirat(")).collect();
    assert_eq!(made.len(), 2);
    assert!(made.iter().all(|call| call.thread != answer.thread), "the event loop does not wait for them: {made:#?}");
}

#[test]
fn failed_sync_of_a_file_is_not_tried_again_and_the_old_file_stands() {
    let server = server(UNDER_INJECTION);
    let test = "failed_sync_of_a_file_is_not_tried_again_and_the_old_file_stands";
    let load = |client: &mut Client| {
        assert_eq!(client.request("PUT", "/hello.txt", &[], b"x").status, 500);
        assert_eq!(client.get("/hello.txt").text(), "hello, world\n");
    };
    let Some(calls) = traced(test, &server, &["-e", "inject=fsync:error=EIO"], load) else { return };
    the(&calls, "one sync", |text| text.starts_with("fsync("));
    super::assert_no_temporaries(&server);
    assert_eq!(server.connect().request("PUT", "/hello.txt", &[], b"x").status, 204, "when the disk is well again");
}

/// The rename is done when the folder can't be synced: the client hears that, and which content stands.
#[test]
fn failed_sync_of_a_folder_is_told_with_the_content_that_stands() {
    let server = server(UNDER_INJECTION);
    let test = "failed_sync_of_a_folder_is_told_with_the_content_that_stands";
    let detail = |reply: &Reply| {
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        problem["detail"].as_str().unwrap().to_owned()
    };
    let load = |client: &mut Client| {
        let replaced = client.request("PUT", "/hello.txt", &["Accept: application/json"], b"x");
        assert_eq!(replaced.status, 500, "{replaced:?}");
        assert!(detail(&replaced).contains("is there, but the disk has not confirmed it"), "{replaced:?}");
        let current = client.get("/hello.txt");
        assert_eq!((current.text(), current.field("etag")), ("x", replaced.field("etag")));
    };
    // The first is that of the file.
    let Some(calls) = traced(test, &server, &["-e", "inject=fsync:error=EIO:when=2"], load) else { return };
    assert_eq!(calls.iter().filter(|call| call.text.starts_with("fsync(")).count(), 2, "and neither is tried again");
    server.await_line("it is told", |line| {
        line.contains("error") && line.contains("can't sync the folder of /hello.txt: ") && line.contains("os error 5")
    });
    super::assert_no_temporaries(&server);
    let load = |client: &mut Client| {
        let removed = client.request("DELETE", "/alphabet.txt", &["Accept: application/json"], b"");
        assert_eq!(removed.status, 500, "{removed:?}");
        assert!(detail(&removed).contains("is removed, but the disk has not confirmed it"), "{removed:?}");
        assert_eq!(client.get("/alphabet.txt").status, 404);
    };
    let _ = traced(test, &server, &["-e", "inject=fsync:error=EIO"], load);
}

#[test]
fn what_may_not_be_costs_the_disk_nothing() {
    let server = server("");
    let test = "what_may_not_be_costs_the_disk_nothing";
    let load = |client: &mut Client| {
        assert_eq!(client.request("PUT", "/hello.txt", &["If-None-Match: *"], b"x").status, 412);
        assert_eq!(client.request("POST", "/nothing", &[], b"x").status, 404);
    };
    let Some(calls) = traced(test, &server, &[], load) else { return };
    let works = |call: &&Call| call.text.starts_with("fsync(") || call.text.contains("O_CREAT");
    assert_eq!(calls.iter().find(works).map(|call| &call.text), None);
}

#[test]
fn file_system_without_exclusive_renames_creates_by_a_link() {
    let server = server(UNDER_INJECTION);
    let load = |client: &mut Client| {
        assert_eq!(client.request("PUT", "/new", &["If-None-Match: *"], b"x").status, 201);
        assert_eq!(client.request("PUT", "/new", &["If-None-Match: *"], b"y").status, 412);
        assert_eq!(client.request("PUT", "/new", &[], b"z").status, 204);
    };
    let test = "file_system_without_exclusive_renames_creates_by_a_link";
    let Some(calls) = traced(test, &server, &["-e", "inject=renameat2:error=EINVAL"], load) else { return };
    the(&calls, "link", |text| text.starts_with("linkat(") && text.contains("\"new\""));
    assert_eq!(server.site.read("new"), b"z");
    super::assert_no_temporaries(&server);
}
