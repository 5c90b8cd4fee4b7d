//! What is on stable storage before an offset is told, as the kernel's own tracer tells it.

use super::*;
use crate::common::server::EVERYTHING;
use crate::common::trace::{Call, calls, trace_of};
use crate::common::{Site, cannot_run};

/// Did each of these succeed, one after the other, between two answers?
fn assert_in_order(calls: &[Call], what: &str, steps: &[&dyn Fn(&str) -> bool]) {
    let mut after = 0;
    for (number, step) in steps.iter().enumerate() {
        let found = calls.iter().find(|call| call.begin >= after && step(&call.text));
        let found = found.unwrap_or_else(|| panic!("{what}: step {number} is missing after line {after}: {calls:#?}"));
        assert!(number + 1 == steps.len() || found.text.trim_end().ends_with("= 0"), "{what}: {found:?}");
        after = found.end;
    }
}

#[test]
fn an_offset_is_told_after_its_bytes_are_stored() {
    let server = Server::with(Site::sample(), &format!("workers = 1\n{EVERYTHING}"));
    let root = server.site.root().to_str().unwrap().to_owned();
    let load = |client: &mut Client| {
        let address = begin(client, "/new", &[]);
        assert_eq!(append(client, &address, 0, MORE, b"hello").status, 204);
        assert_eq!(offset(client, &address), 5);
        assert_eq!(append(client, &address, 5, LAST, b" world").status, 201);
    };
    let Some(trace) = trace_of(&server, &["-y"], load) else {
        return cannot_run("an_offset_is_told_after_its_bytes_are_stored", "only root may trace a sealed worker");
    };
    let calls = calls(&trace);
    let answer = |text: &str| {
        text.starts_with("sendto(") && (text.contains("\"HTTP/1.1 201") || text.contains("\"HTTP/1.1 204"))
    };
    let answers: Vec<usize> = (0..calls.len()).filter(|&at| answer(&calls[at].text)).collect();
    let [begun, appended, asked, complete] = answers[..] else { panic!("{answers:?}: {calls:#?}") };
    let fsync = |of: &str| {
        let of = of.to_owned();
        move |text: &str| text.starts_with("fsync(") && text.contains(&of)
    };
    let (part, new, folder) = (fsync(".part>"), fsync(".new>"), fsync(&format!("<{root}>")));
    let record = |text: &str| text.starts_with("renameat(") && text.contains(".record\"");
    let target = |text: &str| text.starts_with("renameat2(") && text.contains(".part\"") && text.contains("\"new\"");
    let from_zero = |to: usize| &calls[..=to];
    assert_in_order(from_zero(begun), "begun", &[&part, &new, &record, &folder, &answer]);
    assert_in_order(&calls[begun + 1..=appended], "appended", &[&part, &answer]);
    assert_in_order(&calls[appended + 1..=asked], "asked", &[&part, &answer]);
    assert_in_order(
        &calls[asked + 1..=complete],
        "complete",
        &[&new, &record, &folder, &part, &target, &folder, &answer],
    );
}

#[test]
fn an_offset_is_told_on_the_way_after_its_bytes_are_stored() {
    let test = "an_offset_is_told_on_the_way_after_its_bytes_are_stored";
    let server = Server::with(Site::sample(), &format!("workers = 1\n{EVERYTHING}"));
    let mut told = 0;
    let load = |client: &mut Client| {
        let mut uploading = server.connect();
        let address = begin(&mut uploading, "/new", &[]);
        told = send_until_told(&mut uploading, &address).0;
        client.get("/hello.txt");
    };
    let Some(trace) = trace_of(&server, &["-y", "-e", "trace=recvfrom,pwrite64,fsync,sendto"], load) else {
        return cannot_run(test, "only root may trace a sealed worker");
    };
    let calls = calls(&trace);
    let at = calls.iter().position(|call| call.text.contains(&format!("Upload-Offset: {told}\\r")));
    let before = &calls[..at.unwrap_or_else(|| panic!("{told} is not told: {calls:#?}"))];
    let of_part = |call: &&Call| call.text.contains(".part>");
    let last = before.iter().rev().find(of_part).unwrap();
    assert!(last.text.starts_with("fsync(") && last.text.trim_end().ends_with("= 0"), "{last:?}");
    let content = before.iter().filter(of_part).skip_while(|call| !call.text.starts_with("pwrite64("));
    assert_eq!(content.filter(|call| call.text.starts_with("fsync(")).count(), 1, "and not for each piece");
}
