//! What hot requests of other kinds cost: larger files, many files, a log, a connection for each. The numbers are exact,
//! as in `hot_path.rs`.

use super::hot_path::{FROM_THE_CACHE, LOOK, assert_each_costs, calls_of_each, traced};
use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, until};

const REQUESTS: usize = 200;
/// How many files of 4 KiB there are.
const MANY: usize = 64;

/// A file of more than 16 KiB is not copied behind its head.
const BEHIND_ITS_HEAD: &[&str] = &["epoll_wait", "recvfrom", LOOK, "writev"];
/// One of more than 32 KiB is not kept in memory: its pages are the kernel's.
const FROM_ITS_PAGES: &[&str] = &["epoll_wait", "recvfrom", LOOK, "sendto", "sendfile"];
/// What a wake has answered is written to the log at its end, many lines in one call.
const LOGGED: &[&str] = &["epoll_wait", "recvfrom", LOOK, "sendto", "write"];
/// A connection that brings its only request with it is never watched; it is answered in the wake that accepts it. How
/// many such a wake finds, is the scheduler's affair.
const A_CONNECTION: &[(&str, usize)] = &[("accept4", 1), ("close", 1), (LOOK, 1), ("recvfrom", 1), ("writev", 1)];

/// A server with these files of 4, 10, 20 and 100 KiB, which one worker has all had in its hands before.
fn warm_server(config: &str) -> Server {
    let site = Site::sample();
    for number in 0..MANY {
        site.write(&format!("many/{number}.txt"), "x".repeat(4096));
    }
    for kib in [10, 20, 100] {
        site.write(&format!("{kib}k.txt"), "x".repeat(kib * 1024));
    }
    site.grow_old();
    let server = Server::with(site, &format!("workers = 1\n{config}{EVERYTHING}"));
    let mut client = server.connect();
    let others = ["/10k.txt", "/20k.txt", "/100k.txt"].map(str::to_owned);
    let targets: Vec<String> = (0..MANY).map(many).chain(others).collect();
    // The first time it is read, then compared; when that was three times in one second, it is watched.
    until("all files are watched", || {
        for target in targets.iter().flat_map(|target| [target; 4]) {
            assert_eq!(client.get(target).status, 200);
        }
        server.stats()["cache_watched"].as_u64().is_some_and(|watched| watched >= targets.len() as u64 + 2)
    });
    server
}

fn many(number: usize) -> String {
    format!("/many/{}.txt", number * 37 % MANY)
}

fn assert_costs(test: &str, server: &Server, files: usize, expected: &[&str], get: impl Fn(&mut Client, usize)) {
    // Far more than there are comparisons, which each file has some of in a second.
    let requests = REQUESTS.max(20 * files);
    let Some(trace) = traced(test, server, |client| (0..requests).for_each(|number| get(client, number))) else {
        return;
    };
    assert_each_costs(test, &trace, requests, files, expected);
}

#[test]
fn ten_kilobytes_cost_no_more_than_one() {
    let get = |client: &mut Client, _| assert_eq!(client.get("/10k.txt").body.len(), 10 * 1024);
    assert_costs("ten_kilobytes_cost_no_more_than_one", &warm_server(""), 1, FROM_THE_CACHE, get);
}

#[test]
fn twenty_kilobytes_go_out_behind_their_head() {
    let get = |client: &mut Client, _| assert_eq!(client.get("/20k.txt").body.len(), 20 * 1024);
    assert_costs("twenty_kilobytes_go_out_behind_their_head", &warm_server(""), 1, BEHIND_ITS_HEAD, get);
}

#[test]
fn a_hundred_kilobytes_are_sent_from_the_pages_of_their_file() {
    const TEST: &str = "a_hundred_kilobytes_are_sent_from_the_pages_of_their_file";
    let server = warm_server("");
    let trace = traced(TEST, &server, |client| {
        (0..REQUESTS).for_each(|_| assert_eq!(client.get("/100k.txt").body.len(), 100 * 1024));
    });
    let Some(trace) = trace else { return };
    // Whether they are in memory is asked every 20 ms, by four calls at most, and not by each reply.
    let (asked, times) = (trace.count("preadv2"), trace.milliseconds / 20 + 2);
    assert!(asked <= 4 * times, "asked {asked} times in {} ms", trace.milliseconds);
    assert_each_costs(TEST, &trace.without("preadv2"), REQUESTS, 1, FROM_ITS_PAGES);
}

#[test]
fn replies_of_one_moment_ask_once_whether_their_file_is_in_memory() {
    let server = warm_server("cache.file_bytes = 1024\n");
    let trace = traced("replies_of_one_moment_ask_once_whether_their_file_is_in_memory", &server, |client| {
        for _ in 0..REQUESTS {
            client.send("GET /20k.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
            (0..2).for_each(|_| assert_eq!(client.reply("GET").body.len(), 20 * 1024));
        }
    });
    let Some(trace) = trace else { return };
    // The clock of the loop stands still within a wake, so the second reply of each has an answer that is not too old.
    let calls = ["epoll_wait", "recvfrom", LOOK, "sendto", "sendfile", "sendto", "sendfile"];
    assert_each_costs("two replies", &trace.without("preadv2"), REQUESTS, 1, &calls);
    let asks_again = |wake: &&str| wake.split(" sendfile(").skip(1).any(|reply| reply.contains(" preadv2("));
    assert_eq!(trace.wakes().filter(asks_again).count(), 0);
}

#[test]
fn many_files_cost_no_more_than_one() {
    let get = |client: &mut Client, number| assert_eq!(client.get(&many(number)).body.len(), 4096);
    assert_costs("many_files_cost_no_more_than_one", &warm_server(""), MANY, FROM_THE_CACHE, get);
}

#[test]
fn a_line_of_the_log_costs_a_write() {
    let site = Site::sample();
    let config = format!("log.access = {:?}\nworkers = 1\n{EVERYTHING}", site.beside("log/access.log"));
    let server = Server::with(site, &config);
    (0..2).for_each(|_| assert_eq!(server.connect().get("/hello.txt").status, 200));
    let get = |client: &mut Client, _| assert_eq!(client.get("/hello.txt").body.len(), 13);
    assert_costs("a_line_of_the_log_costs_a_write", &server, 1, LOGGED, get);
}

#[test]
fn a_connection_for_one_request_is_never_watched() {
    let server = warm_server("");
    let trace = traced("a_connection_for_one_request_is_never_watched", &server, |_| {
        for _ in 0..REQUESTS {
            let mut client = server.connect();
            assert_eq!(client.get_with("/hello.txt", &["Connection: close"]).body.len(), 13);
            client.expect_end();
        }
    });
    let Some(trace) = trace else { return };
    // After some accepts the listener is left to others for a moment; and a request may come a moment behind its
    // connection.
    let each = calls_of_each(&trace, REQUESTS, &["epoll_wait", "epoll_ctl", "recvfrom"]);
    let each = each.iter().map(|(name, count)| (name.as_str(), *count)).filter(|(name, _)| *name != "epoll_wait");
    assert_eq!(each.collect::<Vec<_>>(), A_CONNECTION);
}
