//! Users: their passwords and tokens, what is remembered of them, and what the operator reads of those who guess.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::common::server::binary;
use crate::common::site::give;
use crate::common::{Client, Server, Site, cannot_run, is_root, tools, until};

const FOR_USERS: &str = "[routes]\n\"/stats\" = \"stats\"\n[[access]]\npath = \"/\"\nallow = \"read\"\n\
    [[access]]\npath = \"/folder/\"\nallow = [\"read\", \"create\"]\nusers = \"any\"\n";

/// What htpasswd writes, at this cost.
pub(crate) fn htpasswd(name: &str, password: &str, cost: u32) -> String {
    tools::run("htpasswd", &["-nbBC", &cost.to_string(), name, password]).trim().to_owned()
}

/// What fileserv itself prints for a password on its standard input.
fn made(option: &str, name: &str, password: &str) -> Vec<String> {
    let mut command = Command::new(binary());
    command.args([option, name]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A file beside the root that the service user alone may read.
pub(crate) fn put(site: &Site, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = site.beside(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    give(&path);
    path.to_str().unwrap().to_owned()
}

/// One worker whose users are these lines.
fn server(users: &str, more: &str) -> Server {
    let site = Site::sample();
    let users = put(&site, "users", users);
    let (access, error) = (site.beside("log/access.log"), site.beside("log/error.log"));
    let config = format!(
        "workers = 1\nusers_file = {users:?}\nlog.access = {access:?}\nlog.error = {error:?}\n{more}{FOR_USERS}"
    );
    Server::with(site, &config)
}

fn log(server: &Server, which: &str) -> String {
    fs::read_to_string(server.site.beside(which)).unwrap_or_default()
}

fn basic(name: &str, password: &str) -> String {
    let mut command = Command::new("base64");
    command.arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{name}:{password}").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    format!("Authorization: Basic {}", String::from_utf8(output.stdout).unwrap())
}

fn status(server: &Server, authorization: &str) -> u16 {
    server.connect().get_with("/folder/inner.txt", &[authorization]).status
}

#[test]
fn lines_of_htpasswd_and_our_own_let_people_in_and_the_log_has_their_names() {
    let site = Site::sample();
    let own = made("--hash-password", "bob b", "hidden\n");
    let [token, token_line] = made("--make-token", "robot", "").try_into().unwrap();
    let users = put(&site, "users", &format!("{}\n{}\n", htpasswd("alice", "secret", 5), own[0]));
    let tokens = put(&site, "tokens", &token_line);
    let log_file = site.beside("log/access.log");
    let config = format!(
        "workers = 2\nusers_file = {users:?}\ntokens_file = {tokens:?}\nlog.access = {log_file:?}\n{FOR_USERS}"
    );
    let server = Server::with(site, &config);
    let url = server.url("/folder/inner.txt");
    let bearer = format!("Authorization: Bearer {token}");
    for arguments in [["-u", "alice:secret"], ["-u", "bob b:hidden"], ["-H", &bearer]] {
        let answer = tools::curl(&[&arguments[..], &["-w", "%{http_code}", "-o", "/dev/null", &url]].concat());
        assert_eq!(answer, "200", "{arguments:?}");
    }
    // An upload is open to every user, so the worker's seal leaves room for it.
    let reply = server.connect().request("PUT", "/folder/new.txt", &[&bearer], b"new");
    assert_eq!(reply.status, 201);
    until("all is logged", || log(&server, "log/access.log").lines().count() == 4);
    let logged = log(&server, "log/access.log");
    for user in [" - alice [", " - bob\\x20b [", " - robot ["] {
        assert!(logged.contains(user), "{user}: {logged}");
    }
    for secret in ["secret", "hidden", &token, "Basic", "Bearer"] {
        assert!(!logged.contains(secret) && !server.said().contains(secret), "{secret} is logged");
    }
}

/// How often the thread that looks at passwords has gone to sleep: once after each look. It sleeps when this is asked.
fn looks(server: &Server) -> u64 {
    let worker = server.workers()[0];
    let tasks = fs::read_dir(format!("/proc/{worker}/task")).unwrap().map(|task| task.unwrap().path());
    let thread = tasks
        .into_iter()
        .find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "verify"))
        .expect("there is a thread that verifies");
    let status = || fs::read_to_string(thread.join("status")).unwrap();
    let mut text = status();
    until("the thread sleeps", || {
        text = status();
        text.contains("\nState:\tS")
    });
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_password_is_looked_at_once_and_then_remembered() {
    let server = server(&htpasswd("alice", "secret", 10), "");
    let good = basic("alice", "secret");
    let mut kept = server.connect();
    assert_eq!(kept.get_with("/folder/inner.txt", &[&good]).status, 200);
    let before = looks(&server);
    for _ in 0..50 {
        assert_eq!(kept.get_with("/folder/inner.txt", &[&good]).status, 200);
        assert_eq!(status(&server, &good), 200);
    }
    assert_eq!(looks(&server), before, "nobody has looked again");
    assert_eq!(status(&server, &basic("alice", "Secret")), 401);
    until("another password is looked at", || looks(&server) > before);
}

#[test]
fn requests_in_one_packet_are_answered_in_their_order_with_a_password_between() {
    let server = server(&htpasswd("alice", "secret", 8), "");
    let with = |target: &str, field: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
    let (good, wrong) = (basic("alice", "secret"), basic("alice", "wrong"));
    let mut client = server.connect();
    client.send(
        [with("/hello.txt", "X: y"), with("/folder/inner.txt", &good), with("/folder/inner.txt", &wrong)].concat()
            + &with("/folder/inner.txt", &good)
            + &with("/hello.txt", "X: y"),
    );
    let statuses: Vec<u16> = (0..5).map(|_| client.reply("GET").status).collect();
    assert_eq!(statuses, [200, 200, 401, 200, 200]);
    // Who asks and sends no more still gets the answer.
    let mut client = server.connect();
    client.send(with("/folder/inner.txt", &basic("alice", "other")));
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply("GET").status, 401);
    // Who is gone before the verdict harms nobody.
    let mut client = server.connect();
    client.send(with("/folder/inner.txt", &basic("alice", "gone")));
    drop(client);
    assert_eq!(status(&server, &basic("alice", "gone")), 401);
    server.assert_unharmed(&server.workers());
}

#[test]
fn content_behind_a_password_arrives_whole() {
    let server = server(&htpasswd("alice", "secret", 8), "");
    let content = crate::common::site::large();
    let reply = server.connect().request("PUT", "/folder/big", &[&basic("alice", "secret")], &content);
    assert_eq!(reply.status, 201);
    assert_eq!(server.site.read("folder/big"), content);
    let mut client = server.connect();
    let field = basic("alice", "wrong");
    client.send(format!(
        "PUT /folder/other HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n{field}\r\n\r\n"
    ));
    assert_eq!(client.reply("PUT").status, 401, "before the content is asked for");
    assert!(!server.site.names().contains(&"other".to_owned()));
}

#[test]
fn who_guesses_in_parallel_is_held_back_and_others_are_served() {
    // Each look takes an eighth of a second of a processor.
    let server = server(&htpasswd("alice", "secret", 11), "");
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let field = basic("alice", &number.to_string());
        client.send(format!("GET /folder/inner.txt HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
    }
    assert_eq!(server.connect().get("/hello.txt").status, 200, "the loop goes on meanwhile");
    let replies: Vec<_> = clients.iter_mut().map(|client| client.reply("GET")).collect();
    let held_back = replies.iter().filter(|reply| reply.status == 429).count();
    assert!(held_back > 0 && replies.iter().all(|reply| matches!(reply.status, 401 | 429)), "{replies:?}");
    for reply in replies.iter().filter(|reply| reply.status == 429) {
        assert_eq!(reply.field("Retry-After"), Some("1"));
    }
    // All who show the same password wait for one look.
    let good = basic("alice", "secret");
    for client in &mut clients {
        client.send(format!("GET /folder/inner.txt HTTP/1.1\r\nHost: a\r\n{good}\r\n\r\n"));
    }
    assert!(clients.iter_mut().all(|client| client.reply("GET").status == 200));
}

#[test]
fn a_reload_reads_the_users_again_or_changes_nothing() {
    let server = server(&htpasswd("alice", "old", 4), "");
    let (old, new) = (basic("alice", "old"), basic("alice", "new"));
    assert_eq!((status(&server, &old), status(&server, &new)), (200, 401));
    let file = server.site.beside("users");
    let workers = server.workers();
    fs::write(&file, format!("{}\nbob:plain\n", htpasswd("alice", "new", 4))).unwrap();
    server.signal(Signal::SIGHUP);
    let place = format!("{}:2: a password in plain words", file.display());
    until("the wrong line is named", || log(&server, "log/error.log").contains(&place));
    assert_eq!(server.workers(), workers);
    assert_eq!(status(&server, &old), 200, "nothing has changed");
    fs::write(&file, htpasswd("alice", "new", 4)).unwrap();
    server.signal(Signal::SIGHUP);
    until("the new generation serves", || server.workers().iter().all(|worker| !workers.contains(worker)));
    assert_eq!((status(&server, &old), status(&server, &new)), (401, 200), "nothing is remembered either");
}

/// What `-t` says of a configuration.
fn tested(site: &Site, config: &str) -> (bool, String) {
    let file = site.beside("t.toml");
    let user = if is_root() { format!("user = {:?}\n", crate::common::site::SERVICE_USER) } else { String::new() };
    fs::write(&file, format!("root = {:?}\n{user}{config}", site.root())).unwrap();
    give(&file);
    let output = tools::attempt(binary(), &["-t", "-c", file.to_str().unwrap()]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_test_of_the_configuration_names_the_wrong_line() {
    let site = Site::sample();
    let good = htpasswd("alice", "x", 4);
    for (users, words) in [
        ("alice\n".to_owned(), ":1: there is no `:`"),
        (tools::run("htpasswd", &["-nbm", "alice", "x"]), ":1: a hash of Apache's MD5"),
        (tools::run("htpasswd", &["-nbs", "alice", "x"]), ":1: a SHA-1 digest"),
        (tools::run("htpasswd", &["-nbd", "alice", "x"]), ":1: a hash of DES crypt"),
        (format!("{good}\n\n{}", htpasswd("bob", "x", 4).replace("$04$", "$31$")), ":3: a bcrypt cost of 31"),
        (format!("{good}\n{good}"), ":2: \"alice\" stands above already"),
    ] {
        let file = put(&site, "users", &users);
        let (is_good, said) = tested(&site, &format!("users_file = {file:?}\n{FOR_USERS}"));
        assert!(!is_good && said.contains(&format!("{file}{words}")), "{said}");
    }
    let file = put(&site, "users", &good);
    let named = FOR_USERS.replace("\"any\"", "[\"alice\", \"carol\"]");
    let (is_good, said) = tested(&site, &format!("users_file = {file:?}\n{named}"));
    assert!(!is_good && said.contains("\"/folder/\" names the user \"carol\""), "{said}");
    let (is_good, said) = tested(&site, FOR_USERS);
    assert!(!is_good && said.contains("t.toml:") && said.contains("name a users_file"), "{said}");
    let (is_good, said) = tested(&site, &format!("tokens_file = \"/nowhere/tokens\"\n{FOR_USERS}"));
    assert!(!is_good && said.contains("/nowhere/tokens: No such file"), "{said}");
    let (is_good, said) = tested(&site, &format!("users_file = {:?}\n{FOR_USERS}", site.path("hello.txt")));
    assert!(!is_good && said.contains("lies beneath the root"), "{said}");
    let (is_good, said) = tested(&site, &format!("users_file = {file:?}\n{FOR_USERS}"));
    assert!(is_good && said.trim().ends_with("configuration is correct"), "{said}");
}

#[test]
fn a_test_reads_the_files_as_the_user_who_will() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return cannot_run("logins::a_test_reads_the_files_as_the_user_who_will", "only root can become another user");
    }
    let site = Site::sample();
    let file = site.beside("users");
    fs::write(&file, htpasswd("alice", "x", 4)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!("users_file = {file:?}\n{FOR_USERS}");
    let (is_good, said) = tested(&site, &config);
    assert!(!is_good && said.contains("has to be able to read it"), "{said}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (is_good, said) = tested(&site, &config);
    assert!(is_good && said.contains("may be read by everybody on this machine"), "{said}");
}

#[test]
fn what_makes_lines_says_what_is_wrong() {
    for (arguments, words) in [(["--hash-password", "a:b"], "without `:`"), (["--hash-password", "alice"], "is empty")]
    {
        let mut command = Command::new(binary());
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
}

#[test]
fn networks_are_those_of_the_client_whom_a_proxy_names() {
    let rules = "[[access]]\npath = \"/folder/\"\nallow = \"read\"\nclients = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n";
    let server = Server::with(Site::sample(), &format!("trusted_proxies = \"127.0.0.1\"\n{rules}"));
    let mut proxy = server.connect();
    for (client, status) in
        [("192.0.2.7", 200), ("198.51.100.7", 403), ("2001:db8::1", 200), ("192.0.2.7, 198.51.100.7", 403)]
    {
        let reply = proxy.get_with("/folder/inner.txt", &[&format!("X-Forwarded-For: {client}")]);
        assert_eq!(reply.status, status, "{client}");
        assert_eq!(reply.field("Cache-Control"), Some(if status == 200 { "private" } else { "no-store" }));
    }
    assert_eq!(server.connect().get("/folder/inner.txt").status, 403, "the proxy itself");
}

#[test]
fn fail2ban_finds_the_address_of_who_guesses() {
    let server = server(&htpasswd("alice", "secret", 4), "trusted_proxies = \"127.0.0.1\"\n");
    let guess = |client: &str, field: &str| {
        let forwarded = format!("X-Forwarded-For: {client}");
        assert_eq!(server.connect().get_with("/folder/inner.txt", &[&forwarded, field]).status, 401);
    };
    guess("192.0.2.66", &basic("alice", "1"));
    guess(
        "192.0.2.66",
        &basic("x\n2026-01-01T00:00:00Z fileserv[1]: warning: login refused: client 10.0.0.1, user \"", "1"),
    );
    guess("2001:db8::66", &basic("\", host \"a\"", "2"));
    guess("192.0.2.66", "Authorization: Bearer client 10.0.0.2, user \"a\"");
    let error_log = server.site.beside("log/error.log");
    until("all is logged", || log(&server, "log/error.log").matches("login refused").count() >= 4);
    let text = log(&server, "log/error.log");
    assert_eq!(text.lines().filter(|line| line.contains("login refused: client ")).count(), 4, "{text}");
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/fail2ban/filter.d/fileserv.conf");
    let found = tools::run("fail2ban-regex", &["-o", "<ip>", error_log.to_str().unwrap(), filter]);
    let mut addresses: Vec<&str> = found.lines().collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["192.0.2.66", "192.0.2.66", "192.0.2.66", "2001:db8::66"]);
}
