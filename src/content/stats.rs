//! Box `content_stats`: what all workers have done, from their boards, which outlive them; as a page or as JSON.
//! Process: worker, sealed. Trusts: no number on a board of another worker. Blocks: never. Fails with: 400, 405.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::parameters::Parameters;
use super::{Context, page};
use crate::message::{Accept, Body, FieldName, Provided, Request, Response, Status};
use crate::stats::{Board, Service, WorkerState};

/// In which form the counters are sent.
#[derive(Clone, Copy)]
enum Form {
    Page,
    Json,
}

/// A number of a board: its key in JSON, its words in the page.
struct Counter {
    key: &'static str,
    words: &'static str,
    read: fn(&Board) -> &AtomicU64,
    kind: Kind,
}

/// How a number is written and added up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Counts since the start, over every worker that had this slot.
    Count,
    /// The same in bytes.
    Bytes,
    /// What is now: nothing where no worker is.
    Now,
    /// The same in bytes.
    NowBytes,
}

const COUNTERS: [Counter; 22] = {
    const fn counter(key: &'static str, words: &'static str, kind: Kind, read: fn(&Board) -> &AtomicU64) -> Counter {
        Counter { key, words, read, kind }
    }
    use Kind::{Bytes, Count, Now, NowBytes};
    [
        counter("requests", "Requests answered", Count, |board| &board.requests),
        counter("accepted", "Connections accepted", Count, |board| &board.accepted),
        counter("connections", "Connections open", Now, |board| &board.connections),
        counter("clients", "Clients connected", Now, |board| &board.clients),
        counter("refused", "Refused, one client having too many", Count, |board| &board.refused),
        counter("received_bytes", "Received", Bytes, |board| &board.received_bytes),
        counter("sent_bytes", "Sent", Bytes, |board| &board.sent_bytes),
        counter("status_1xx", "Answers 1xx", Count, |board| &board.status_1xx),
        counter("status_2xx", "Answers 2xx", Count, |board| &board.status_2xx),
        counter("status_3xx", "Answers 3xx", Count, |board| &board.status_3xx),
        counter("status_4xx", "Answers 4xx", Count, |board| &board.status_4xx),
        counter("status_5xx", "Answers 5xx", Count, |board| &board.status_5xx),
        counter("uploads", "Uploads committed", Count, |board| &board.uploads),
        counter("cache_hits", "Files from the cache", Count, |board| &board.cache_hits),
        counter("cache_misses", "Files opened anew", Count, |board| &board.cache_misses),
        counter("cache_watched", "Files and folders watched for changes", Now, |board| &board.cache_watched),
        counter("timeouts", "Connections ended by a timeout", Count, |board| &board.timeouts),
        counter("aborts", "Connections broken off", Count, |board| &board.aborts),
        counter("resident_bytes", "Memory", NowBytes, |board| &board.resident_bytes),
        counter("private_bytes", "Memory of its own", NowBytes, |board| &board.private_bytes),
        counter("log_drops", "Log lines lost", Count, |board| &board.log_drops),
        counter("deaths", "Workers died unasked", Count, |board| &board.deaths),
    ]
};

/// A number that the supervisor tells of the whole service: its key in JSON, its words in the page.
struct Fact {
    key: &'static str,
    words: &'static str,
    read: fn(&Service) -> &AtomicU64,
}

const FACTS: [Fact; 10] = {
    const fn fact(key: &'static str, words: &'static str, read: fn(&Service) -> &AtomicU64) -> Fact {
        Fact { key, words, read }
    }
    [
        fact("generation", "Generation that serves", |service| &service.generation),
        fact("workers_wanted", "Workers wanted", |service| &service.workers_wanted),
        fact("workers_ready", "Workers ready", |service| &service.workers_ready),
        fact("workers_draining", "Workers that finish their last requests", |service| &service.workers_draining),
        fact("reload_waits", "Reload that waits until they have", |service| &service.reload_waits),
        fact("failed_starts", "Failed starts of a worker in a row", |service| &service.failed_starts),
        fact("hung", "Workers killed because they hung", |service| &service.hung),
        fact("retired", "Workers replaced because they had served enough", |service| &service.retired),
        fact("reloads", "Reloads that took effect", |service| &service.reloads),
        fact("failed_reloads", "Reloads that changed nothing", |service| &service.failed_reloads),
    ]
};

/// What a board said when it was read; taken once, so that the sums fit the rows.
struct Snapshot {
    pid: u64,
    generation: u64,
    state: &'static str,
    ready_since: u64,
    heartbeat: u64,
    numbers: [u64; COUNTERS.len()],
}

impl Snapshot {
    /// Reads a board; `None` if its slot was never used.
    fn of(board: &Board) -> Option<Self> {
        let pid = board.pid.load(Relaxed);
        let numbers = COUNTERS.map(|counter| {
            let is_now = matches!(counter.kind, Kind::Now | Kind::NowBytes);
            // What a dead worker had open, it has no longer.
            if is_now && pid == 0 { 0 } else { (counter.read)(board).load(Relaxed) }
        });
        (pid != 0 || numbers.iter().any(|&number| number != 0)).then(|| Self {
            pid,
            generation: board.generation.load(Relaxed),
            state: WorkerState::from_number(board.state.load(Relaxed)).name(),
            ready_since: board.ready_since.load(Relaxed),
            heartbeat: board.heartbeat.load(Relaxed),
            numbers,
        })
    }
}

/// The sums over all boards. They saturate: a board may hold any number.
fn sums(snapshots: &[Snapshot]) -> [u64; COUNTERS.len()] {
    snapshots.iter().fold([0; COUNTERS.len()], |mut sums, snapshot| {
        for (sum, number) in sums.iter_mut().zip(snapshot.numbers) {
            *sum = sum.saturating_add(number);
        }
        sums
    })
}

/// The sums, and with them what the supervisor lost of its own log.
fn whole_sums(ctx: &Context<'_>, snapshots: &[Snapshot]) -> [u64; COUNTERS.len()] {
    let mut sums = sums(snapshots);
    let log_drops = COUNTERS.iter().position(|counter| counter.key == "log_drops");
    if let Some(sum) = log_drops.and_then(|at| sums.get_mut(at)) {
        *sum = sum.saturating_add(ctx.boards.service.log_drops.load(Relaxed));
    }
    sums
}

/// Shows the counters.
#[doc(alias = "content_stats")]
#[expect(clippy::missing_errors_doc, reason = "the head of this file names the refusals of its provider")]
pub fn stats(ctx: &Context<'_>, request: &Request<'_>) -> Provided {
    let parameters = Parameters::read(request.query, &["format"])?;
    let wanted = parameters.word("format", &[("html", Form::Page), ("json", Form::Json)])?;
    let offers = [("text/html", Form::Page), ("application/json", Form::Json)];
    // Who accepts neither form gets the page.
    let form = wanted.or_else(|| Accept::of(request.fields).choose(&offers)).unwrap_or(Form::Page);
    let snapshots: Vec<Snapshot> = ctx.boards.slots.iter().filter_map(|board| Snapshot::of(board)).collect();
    let response = match form {
        Form::Page => page::respond(Status::OK, page::page("fileserv statistics", &markup(ctx, &snapshots))),
        Form::Json => {
            let text = format!("{:#}\n", document(ctx, &snapshots));
            Response::with_body(Status::OK, "application/json", Body::Bytes(text.into_bytes()))
        }
    };
    let response = response.with_field(FieldName::CacheControl, "no-store");
    Ok(response.with_field(FieldName::Vary, "Accept").into())
}

fn uptime_seconds(ctx: &Context<'_>) -> u64 {
    ctx.now.unix_seconds.saturating_sub(ctx.boards.started)
}

fn keyed(numbers: [u64; COUNTERS.len()]) -> Map<String, Value> {
    COUNTERS.iter().zip(numbers).map(|(counter, number)| (counter.key.to_owned(), number.into())).collect()
}

fn document(ctx: &Context<'_>, snapshots: &[Snapshot]) -> Value {
    let workers: Vec<Value> = snapshots
        .iter()
        .map(|snapshot| {
            let mut worker = keyed(snapshot.numbers);
            worker.insert("pid".to_owned(), snapshot.pid.into());
            worker.insert("generation".to_owned(), snapshot.generation.into());
            worker.insert("state".to_owned(), snapshot.state.into());
            worker.insert("ready_since".to_owned(), page::rfc3339(snapshot.ready_since).into());
            worker.insert("ready_since_unix".to_owned(), snapshot.ready_since.into());
            worker.insert("heartbeat_unix_ms".to_owned(), snapshot.heartbeat.into());
            worker.into()
        })
        .collect();
    let mut whole = keyed(whole_sums(ctx, snapshots));
    for fact in &FACTS {
        whole.insert(fact.key.to_owned(), (fact.read)(ctx.boards.service).load(Relaxed).into());
    }
    let rest = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": page::rfc3339(ctx.boards.started),
        "started_unix": ctx.boards.started,
        "uptime_seconds": uptime_seconds(ctx),
        "seal": ctx.boards.seal,
        "workers": workers,
    });
    if let Value::Object(rest) = rest {
        whole.extend(rest);
    }
    whole.into()
}

fn markup(ctx: &Context<'_>, snapshots: &[Snapshot]) -> Markup {
    let started = page::rfc3339(ctx.boards.started);
    let uptime = humantime::format_duration(Duration::from_secs(uptime_seconds(ctx)));
    let row = |words: &str, cell: &dyn Fn(&Snapshot) -> String| {
        html! {
            tr {
                th scope="row" { (words) }
                td {}
                @for snapshot in snapshots { td.number { (cell(snapshot)) } }
            }
        }
    };
    html! {
        p { "Version " (env!("CARGO_PKG_VERSION")) ", since " time datetime=(started) { (started) } " (" (uptime) ")." }
        p { "The seal of the worker that answers: " (ctx.boards.seal) }
        p { a href="?format=json" { "as JSON" } }
        table {
            tbody {
                @for fact in &FACTS {
                    tr {
                        th scope="row" { (fact.words) }
                        td.number { ((fact.read)(ctx.boards.service).load(Relaxed)) }
                    }
                }
            }
        }
        div.wide {
            table {
                thead {
                    tr {
                        th scope="col" {}
                        th scope="col" class="number" { "All" }
                        @for (number, _) in snapshots.iter().enumerate() {
                            th scope="col" class="number" { "Worker " (number) }
                        }
                    }
                }
                tbody {
                    (row("Process", &|snapshot| snapshot.pid.to_string()))
                    (row("Generation", &|snapshot| snapshot.generation.to_string()))
                    (row("State", &|snapshot| snapshot.state.to_owned()))
                    (row("Ready for", &|snapshot| ready_for(ctx, snapshot)))
                    @for (at, (counter, sum)) in COUNTERS.iter().zip(whole_sums(ctx, snapshots)).enumerate() {
                        tr {
                            th scope="row" { (counter.words) }
                            (number_cell(counter.kind, sum))
                            @for snapshot in snapshots {
                                (number_cell(counter.kind, snapshot.numbers.get(at).copied().unwrap_or(0)))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn ready_for(ctx: &Context<'_>, snapshot: &Snapshot) -> String {
    if snapshot.ready_since == 0 {
        return "–".to_owned();
    }
    let seconds = ctx.now.unix_seconds.saturating_sub(snapshot.ready_since);
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn number_cell(kind: Kind, number: u64) -> Markup {
    match kind {
        Kind::Count | Kind::Now => html! { td.number { (number) } },
        Kind::Bytes | Kind::NowBytes => html! { td.number title={ (number) " bytes" } { (page::human_size(number)) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::{World, reply, whole, with_request};
    use crate::message::{Method, Refusal};
    use std::path::Path;

    fn world() -> World {
        let mut world = World::new(Path::new("."));
        let board = |pid: u64, requests: u64, connections: u64| {
            let board = Board::default();
            board.pid.store(pid, Relaxed);
            board.state.store(WorkerState::Serving as u64, Relaxed);
            board.requests.store(requests, Relaxed);
            board.connections.store(connections, Relaxed);
            board.sent_bytes.store(1536, Relaxed);
            &*Box::leak(Box::new(board))
        };
        let unused = &*Box::leak(Box::new(Board::default()));
        world.boards(vec![board(10, 5, 2), board(0, 7, 9), unused, board(11, 1, 1)]);
        world.boards.service.generation.store(3, Relaxed);
        world.boards.service.log_drops.store(2, Relaxed);
        world
    }

    fn get(world: &World, query: Option<&str>, accept: &str) -> Result<String, Refusal> {
        let provide = |request: &Request<'_>| stats(&world.context(), request);
        let handled = with_request(Method::Get, "/stats", query, &[("Accept", accept)], provide)?;
        Ok(String::from_utf8(whole(reply(handled).body)).unwrap())
    }

    #[test]
    fn json_adds_up_what_the_workers_did() {
        let world = world();
        for (query, accept) in [(Some("format=json"), "text/html"), (None, "application/json")] {
            let value: Value = serde_json::from_str(&get(&world, query, accept).unwrap()).unwrap();
            assert_eq!(value["requests"], 13);
            assert_eq!(value["connections"], 3, "a dead worker has none open");
            assert_eq!(value["workers"].as_array().unwrap().len(), 3, "an unused slot is left out");
            assert_eq!(value["workers"][0]["pid"], 10);
            assert_eq!(value["workers"][0]["state"], "serving");
            assert_eq!(value["seal"], "landlock <all>");
            assert_eq!(value["generation"], 3);
            assert_eq!(value["log_drops"], 2, "the supervisor's are among them");
            assert_eq!(value["started"], "2023-11-14T22:13:20Z");
            assert_eq!(value["uptime_seconds"], 3725);
        }
    }

    #[test]
    fn the_page_shows_the_same() {
        let page = get(&world(), None, "*/*").unwrap();
        assert!(page.contains("<td class=\"number\">13</td>"), "{page}");
        assert!(page.contains("1h 2m 5s") && page.contains("landlock &lt;all&gt;"));
        assert!(page.contains("title=\"4608 bytes\">4.5 KiB</td>"));
    }

    #[test]
    fn numbers_that_make_no_sense_do_no_harm() {
        let world = world();
        for board in &world.boards.slots {
            for counter in &COUNTERS {
                (counter.read)(board).store(u64::MAX, Relaxed);
            }
            board.ready_since.store(u64::MAX, Relaxed);
            board.state.store(u64::MAX, Relaxed);
        }
        assert!(get(&world, None, "text/html").unwrap().contains(&u64::MAX.to_string()));
        get(&world, Some("format=json"), "*/*").unwrap();
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let world = world();
        assert_eq!(get(&world, Some("format=xml"), "*/*").unwrap_err().status, Status::BAD_REQUEST);
        assert_eq!(get(&world, Some("x=1"), "*/*").unwrap_err().status, Status::BAD_REQUEST);
    }
}
