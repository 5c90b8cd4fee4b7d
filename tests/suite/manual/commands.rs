//! The commands of fileserv(8) for whoever runs the server. Those for uploads are tried in `clients::uploads` and
//! `resumable::life`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use super::{serve, shell};
use crate::common::manual::{commands, example, here};
use crate::common::site::SERVICE_USER;
use crate::common::told::said;
use crate::common::{Server, Site, is_root, tools, until};

/// A command of the manual, run beside the root of this server.
fn run(server: &Server, command: &str) -> Output {
    shell(&server.site.beside("."), &here(command, &server.site)).output().unwrap()
}

fn obey(server: &Server, command: &str) {
    let output = run(server, command);
    assert!(output.status.success(), "{command}: {}\n{}", said(&output), server.said());
}

#[test]
fn folder_is_served_to_this_machine_or_to_all() {
    let [quick, upload, network] = commands("folder").try_into().unwrap();
    for (command, put) in [(quick, 403), (upload, 201), (network, 403)] {
        let site = Site::sample();
        symlink(site.root(), site.beside("photos")).unwrap();
        let user = if is_root() { format!(" --user {SERVICE_USER}") } else { String::new() };
        let listen = if command.contains("--listen") { "" } else { " --listen 127.0.0.1:0" };
        let command = here(&command, &site).replace("fileserv ", &format!("exec fileserv{user}{listen} "));
        let home = site.beside(".");
        let path = shell(&home, "printenv PATH").output().unwrap().stdout;
        let script = format!("cd '{}'\nPATH='{}'\n{command}", home.display(), String::from_utf8(path).unwrap().trim());
        let server = Server::run(site, "sh", &["-ec", &script]);
        assert!(server.connect().get("/folder/").text().contains("inner.txt"), "{command}");
        assert_eq!(server.connect().request("PUT", "/new.jpg", &[], b"x").status, put, "{command}");
        assert_eq!(server.workers().len() == 2, command.contains("--workers 2") || two_processors(), "{command}");
    }
}

fn two_processors() -> bool {
    std::thread::available_parallelism().unwrap().get() == 2
}

#[test]
fn seal_is_shown() {
    let server = serve(Site::sample(), &example("public"));
    symlink(server.site.root(), server.site.beside("photos")).unwrap();
    for command in commands("seal") {
        let output = run(&server, &command);
        assert!(output.status.success() && said(&output).contains("denied"), "{command}: {}", said(&output));
    }
}

#[test]
fn changed_configuration_takes_effect_and_a_wrong_one_does_not() {
    let server = serve(Site::sample(), &example("public"));
    let workers = server.workers();
    let commands = commands("reload");
    assert_eq!(commands.len(), 2);
    let text = fs::read_to_string(server.config_file()).unwrap();
    fs::write(server.config_file(), format!("wrokers = 2\n{text}")).unwrap();
    for command in &commands {
        let output = run(&server, command);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(said(&output).contains("did you mean \"workers\"?"), "{command}: {}", said(&output));
    }
    server.assert_unharmed(&workers);
    fs::write(server.config_file(), format!("workers = 3\n{text}")).unwrap();
    for command in &commands {
        obey(&server, command);
    }
    until("three new workers serve", || {
        let now = server.workers();
        now.len() == 3 && now.iter().all(|worker| !workers.contains(worker))
    });
}

#[test]
fn log_is_rotated_the_binary_replaced_and_the_server_stopped() {
    let mut server = serve(Site::sample(), &example("public"));
    let log = |name: &str| fs::read_to_string(server.site.beside(name)).unwrap_or_default();
    assert_eq!(server.connect().get("/hello.txt").status, 200);
    until("the request is logged", || log("log/access.log").contains("/hello.txt"));
    let [rotate, reopen, upgrade, quit] = commands("signals").try_into().unwrap();
    obey(&server, &rotate);
    obey(&server, &reopen);
    until("a request is logged in the new file", || {
        server.connect().get("/alphabet.txt");
        log("log/access.log").contains("/alphabet.txt")
    });
    assert!(log("log/access.log.1").contains("/hello.txt"));
    let before = server.supervisor();
    obey(&server, &upgrade);
    assert_ne!(server.supervisor(), before);
    assert_eq!(server.connect().get("/hello.txt").status, 200);
    obey(&server, &quit);
    assert!(server.await_exit().success());
    assert!(std::net::TcpStream::connect(server.address()).is_err(), "nobody listens any more");
}

#[test]
fn release_is_put_in_the_place_of_the_old_one() {
    let site = Site::sample();
    for release in ["release-1", "release-2"] {
        fs::create_dir_all(site.beside("releases").join(release)).unwrap();
        fs::write(site.beside("releases").join(release).join("index.html"), release).unwrap();
    }
    symlink("release-1", site.beside("releases/current")).unwrap();
    let server = serve(site, &example("public").replace("/srv/www", "/srv/releases/current"));
    assert_eq!(server.connect().get("/").text(), "release-1");
    for command in commands("deploy") {
        obey(&server, &command);
    }
    // For a moment an old worker may still take a connection: it has yet to hear that it drains.
    until("the new release is served", || server.connect().get("/").text() == "release-2");
}

/// fail2ban reads the jail, with its own filter, and says what it would do.
#[test]
fn jail_is_one_for_fail2ban() {
    let site = Site::empty();
    let home = site.beside(".");
    let folder = site.beside("fail2ban");
    fs::write(site.beside("log/error.log"), "").unwrap();
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/fail2ban/filter.d/fileserv.conf");
    let copy = format!(
        "mkdir -p fail2ban/jail.d && cd /etc/fail2ban && \
         cp -r fail2ban.conf jail.conf paths-*.conf action.d filter.d '{0}' && cp '{filter}' '{0}/filter.d'",
        folder.display()
    );
    tools::succeed(&mut shell(&home, &copy));
    fs::write(folder.join("jail.d/fileserv.conf"), here(&example("jail"), &site)).unwrap();
    let told = tools::succeed(&mut shell(&home, "fail2ban-client -c fail2ban -d"));
    let error_log = site.beside("log/error.log");
    for words in ["'maxretry', 3", "'bantime', '1h'", "login refused", error_log.to_str().unwrap()] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
