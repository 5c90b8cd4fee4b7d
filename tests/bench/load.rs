//! What requests cost: wrk asks for two seconds, and the kernel says how long the workers were on the processor.

use super::servers::{Running, on_one_core};

/// One way of asking.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    path: &'static str,
    fields: &'static [&'static str],
}

/// All ways.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "1 KiB, kept connection", path: "/1k", fields: &[] },
    Scenario { name: "10 KiB, kept connection", path: "/10k", fields: &[] },
    Scenario { name: "100 KiB, kept connection", path: "/100k", fields: &[] },
    Scenario { name: "404", path: "/nothing", fields: &[] },
    Scenario { name: "1 KiB, a connection a request", path: "/1k", fields: &["Connection: close"] },
];

/// Server CPU in microseconds a request.
pub(crate) fn cpu_microseconds_a_request(server: &Running, scenario: &Scenario) -> f64 {
    ask(server, scenario, "1s");
    let before = cpu_nanoseconds(server);
    let requests = ask(server, scenario, "2s");
    (cpu_nanoseconds(server) - before) / 1000.0 / requests
}

/// Sixteen connections ask as fast as they can; how many requests were answered.
fn ask(server: &Running, scenario: &Scenario, time: &str) -> f64 {
    let mut wrk = on_one_core("wrk");
    wrk.args(["-t1", "-c16", "-d", time]);
    for field in scenario.fields {
        wrk.args(["-H", field]);
    }
    let output = wrk.arg(format!("http://{}{}", server.address, scenario.path)).output().expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains(" requests in "));
    let requests = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    requests.unwrap_or_else(|| panic!("wrk said:\n{text}"))
}

/// Time on the processor of all threads of all workers (the first number of schedstat).
fn cpu_nanoseconds(server: &Running) -> f64 {
    let mut sum = 0.0;
    for worker in server.workers() {
        let tasks = std::fs::read_dir(format!("/proc/{worker}/task")).expect("a worker's threads");
        for task in tasks.flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            sum += text.split_whitespace().next().and_then(|time| time.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }
    sum
}
