//! Slow clients: an honest one gets to its end, one that only wants to hold its place does not, and thousands of those
//! keep nobody else from being served.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, cannot_run};

fn pause(milliseconds: u64) {
    std::thread::park_timeout(Duration::from_millis(milliseconds));
}

/// Sends content of which `piece` comes 20 times a second, until it is whole or answered.
fn upload_slowly(server: &Server, pieces: usize, piece: usize) -> u16 {
    let mut client = server.connect();
    client.send(format!("PUT /slow HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", pieces * piece));
    for _ in 0..pieces {
        pause(50);
        if !client.is_quiet() || client.try_send(vec![b'x'; piece]).is_err() {
            break;
        }
    }
    client.reply("PUT").status
}

#[test]
fn content_may_come_slowly_but_must_not_drip() {
    let rate = "limits.min_body_bytes_per_second = 1000\ntimeouts.lag = \"500ms\"\n";
    let server = Server::with(Site::sample(), &format!("workers = 1\n{rate}{EVERYTHING}"));
    let begin = Instant::now();
    // 100 bytes a second never let the 30 s between two pieces pass.
    assert_eq!(upload_slowly(&server, 1000, 5), 408);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(upload_slowly(&server, 60, 200), 201, "4000 bytes a second, for six times the lag");
    assert!(!server.site.names().iter().any(|name| name.starts_with(".fileserv-")), "nothing is left behind");
}

/// Takes a reply of 1 GiB in pieces of 64 KiB, `a_second` of them, for at most `seconds`; how long the server bore it.
fn download_slowly(server: &Server, a_second: u64, seconds: u64) -> Duration {
    let file = server.site.path("big.bin");
    std::fs::File::create(file).unwrap().set_len(1 << 30).unwrap();
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let begin = Instant::now();
    let mut piece = vec![0; 64 * 1024];
    while begin.elapsed() < Duration::from_secs(seconds) && !is_cut(server, &client) {
        client.stream().read_exact(&mut piece).unwrap();
        pause(1000 / a_second);
    }
    begin.elapsed()
}

/// The kernel still holds megabytes for the client: only the server's table says that it has closed.
fn is_cut(server: &Server, _: &Client) -> bool {
    server.stats()["connections"].as_u64() == Some(1)
}

#[test]
fn reply_may_be_taken_slowly_but_must_not_trickle() {
    // Shorter than what lies between two calls for more from a socket whose buffer has megabytes.
    let send = "timeouts.send = \"1s\"\n";
    let with = |rate: &str| {
        let limits = format!("workers = 1\nlimits.min_send_bytes_per_second = {rate:?}\ntimeouts.lag = \"2s\"\n{send}");
        Server::with(Site::sample(), &format!("{limits}{EVERYTHING}"))
    };
    let steady = download_slowly(&with("100 KiB"), 10, 7);
    assert!(steady >= Duration::from_secs(7), "640 KiB a second is fast enough: {steady:?}");
    let trickle = download_slowly(&with("1 MiB"), 4, 30);
    assert!(trickle < Duration::from_secs(20), "256 KiB a second is not: {trickle:?}");
}

#[test]
fn thousands_of_slow_attackers_keep_nobody_from_being_served() {
    const CONNECTIONS: u64 = 5000;
    const TEST: &str = "thousands_of_slow_attackers_keep_nobody_from_being_served";
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < CONNECTIONS + 1000 {
        return cannot_run(TEST, &format!("the hard limit on open files is {hard}"));
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(CONNECTIONS + 1000), hard).unwrap();
    // The defaults of every limit and timeout; two workers, as on the smallest machine that matters.
    let server = Server::with(Site::sample(), &format!("workers = 2\n{EVERYTHING}"));
    std::fs::File::create(server.site.path("big.bin")).unwrap().set_len(1 << 28).unwrap();
    server.site.write("taken.bin", "");
    let workers = server.workers();
    let slow_head = ["-H", "-i", "2", "-x", "24", "-u", &server.url("/hello.txt")].map(str::to_owned);
    let slow_body = ["-B", "-i", "2", "-s", "65536", "-u", &server.url("/taken.bin")].map(str::to_owned);
    let slow_read =
        ["-X", "-w", "512", "-y", "1024", "-n", "2", "-z", "32", "-u", &server.url("/big.bin")].map(str::to_owned);
    for attack in [&slow_head[..], &slow_body, &slow_read] {
        let (probes, most, slowest) = probe_under(&server, attack, CONNECTIONS);
        println!("{}: {probes} probes, the slowest in {slowest:?}, with up to {most} connections", attack[0]);
        // Each was answered, or the client would have given up; how fast is for a benchmark to say.
        assert!(probes >= PROBES, "{}: {probes} probes while half of the attack stood, at most {most}", attack[0]);
    }
    server.assert_unharmed(&workers);
}

/// So many answers, at least, are wanted under each attack; four times as many are tried for while it lasts.
const PROBES: u64 = 50;

/// Asks for a page on a new connection again and again while an attack lasts. How often that was done while more than
/// half of the attacker's connections stood, the most connections that were there, and the longest that an answer took.
fn probe_under(server: &Server, attack: &[String], connections: u64) -> (u64, u64, Duration) {
    let mut command = Command::new("slowhttptest");
    command.args(["-c", &connections.to_string(), "-r", "1000", "-l", "60", "-p", "5"]).args(attack);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut attacker = command.spawn().expect("slowhttptest: tests/run installs it");
    let (mut probes, mut most, mut slowest) = (0, 0, Duration::ZERO);
    while probes < 4 * PROBES && attacker.try_wait().unwrap().is_none() {
        let begin = Instant::now();
        assert_eq!(server.connect().get("/hello.txt").status, 200);
        slowest = slowest.max(begin.elapsed());
        let standing = server.stats()["connections"].as_u64().unwrap();
        most = most.max(standing);
        probes += u64::from(standing > connections / 2);
    }
    attacker.kill().unwrap();
    attacker.wait().unwrap();
    (probes, most, slowest)
}
