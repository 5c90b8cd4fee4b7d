//! Ten thousand idle connections, and small requests beside them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, cannot_run, processes};

const IDLE: u16 = 10_000;
/// So many connections a destination address: far fewer than there are ports.
const A_LOOPBACK_ADDRESS: u16 = 1000;

#[test]
fn ten_thousand_idle_connections_are_held_while_others_are_answered() {
    // A descriptor a connection on our side, and some for everything else.
    let needed = u64::from(IDLE) + 1000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < needed {
        let why = format!("the hard limit on open files is {hard}, below {needed}");
        return cannot_run("ten_thousand_idle_connections_are_held_while_others_are_answered", &why);
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(needed), hard).unwrap();
    let config = format!("workers = 2\nlimits.connections = 9000\ntimeouts.idle = \"1h\"\n{EVERYTHING}");
    let server = Server::listening(Site::sample(), "0.0.0.0:0", &config);
    let workers = server.workers();
    let mut plain = server.connect();
    plain.get("/hello.txt");
    let before = resident_kib(&workers);
    let mut idle: Vec<Client> = Vec::with_capacity(usize::from(IDLE));
    for number in 0..IDLE {
        let host = u8::try_from(1 + number / A_LOOPBACK_ADDRESS).unwrap();
        let mut client = Client::connect(([127, 0, 0, host], server.port).into());
        // Closed without a farewell they leave no trace; ten thousand in TIME_WAIT would slow down other tests.
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(client.stream(), nix::sys::socket::sockopt::Linger, &at_once).unwrap();
        assert_eq!(client.get("/hello.txt").status, 200);
        idle.push(client);
        if number % 100 == 0 {
            assert_eq!(plain.get("/alphabet.txt").status, 200);
        }
    }
    let stats = server.stats();
    assert!(stats["connections"].as_u64().unwrap() >= u64::from(IDLE), "all are held");
    let shares: Vec<u64> = workers.iter().map(|worker| Server::connections_of(&stats, *worker)).collect();
    assert!(shares.iter().all(|share| *share >= u64::from(IDLE) / 4), "each has a fair share: {shares:?}");
    for _ in 0..1000 {
        assert_eq!(plain.get("/alphabet.txt").body.len(), 26);
        assert_eq!(server.connect().get("/hello.txt").status, 200, "there is room for new ones");
    }
    let grown = resident_kib(&workers).saturating_sub(before);
    println!("{IDLE} idle connections: {} bytes of resident memory each", grown * 1024 / u64::from(IDLE));
    for client in &mut idle {
        assert!(client.is_quiet());
    }
    for client in idle.iter_mut().step_by(97) {
        assert_eq!(client.get("/hello.txt").status, 200, "an idle connection still serves");
    }
    assert_eq!(server.workers(), workers);
}

fn resident_kib(workers: &[u32]) -> u64 {
    workers.iter().map(|worker| processes::memory_kib(*worker, "VmRSS")).sum()
}
