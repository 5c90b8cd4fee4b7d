//! The servers' command lines and configurations: each as one who wants speed would set it up.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Kind, Setup, Uploads};
use crate::site::Site;

/// Connections that a peer may hold, of every worker.
const PEER_CONNECTIONS: usize = 16_000;

/// What starts this server; its configuration is written to the scratch folder.
pub(super) fn command(kind: Kind, address: SocketAddr, setup: &Setup, site: &Site, scratch: &Path) -> Command {
    let config = scratch.join("config");
    let write = |text: String| std::fs::write(&config, text).expect("a configuration");
    let mut command = match kind {
        Kind::Fileserv => on_core(setup.core, &site.binary.to_string_lossy()),
        Kind::Floor => on_core(setup.core, &std::env::current_exe().expect("this program").to_string_lossy()),
        Kind::Nginx | Kind::NginxPread | Kind::H2o | Kind::Lighttpd => on_core(setup.core, kind.program()),
    };
    match kind {
        Kind::Fileserv => fileserv(&mut command, address, setup, scratch),
        Kind::Floor => {
            // Uploads go beside the reply, so that they lie where those of the others do.
            let reply = if setup.uploads == Uploads::Off { scratch.join("reply") } else { setup.root.join("reply") };
            std::fs::write(&reply, &setup.reply).expect("a file");
            command.args(["--floor", &address.to_string(), "--floor-reply"]).arg(reply);
        }
        Kind::Nginx | Kind::NginxPread => {
            write(nginx(kind == Kind::Nginx, address, setup, scratch));
            command.arg("-p").arg(scratch).arg("-c").arg(&config).arg("-e").arg(scratch.join("error.log"));
        }
        Kind::H2o => {
            write(h2o(address, setup, scratch));
            command.arg("-c").arg(&config);
        }
        Kind::Lighttpd => {
            write(lighttpd(address, setup, scratch));
            command.arg("-D").arg("-f").arg(&config);
        }
    }
    command
}

fn on_core(core: Option<usize>, program: &str) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), program]);
    command
}

fn fileserv(command: &mut Command, address: SocketAddr, setup: &Setup, scratch: &Path) {
    let workers = setup.workers.to_string();
    command.args(["--listen", &address.to_string(), "--workers", &workers, "--user", "nobody", "--access-log"]);
    if setup.access_log {
        command.arg(scratch.join("access.log"));
    } else {
        command.arg("off");
    }
    if setup.connections > 0 {
        command.args(["--set", &format!("limits.connections={}", setup.connections)]);
    }
    match setup.uploads {
        Uploads::Off => {}
        Uploads::Unsynced => _ = command.args(["--upload", "--set", "uploads.durability=none"]),
        Uploads::Durable => _ = command.arg("--upload"),
    }
    command.arg(&setup.root);
}

/// PUT comes with the module http_dav, which every nginx of Debian has built in.
fn nginx(sendfile: bool, address: SocketAddr, setup: &Setup, scratch: &Path) -> String {
    let (root, scratch, workers) = (setup.root.display(), scratch.display(), setup.workers);
    let sending = if sendfile { "sendfile on; tcp_nopush on;" } else { "sendfile off; output_buffers 2 128k;" };
    let log = if setup.access_log { format!("{scratch}/access.log combined") } else { "off".to_owned() };
    let uploads = match setup.uploads {
        Uploads::Off => String::new(),
        // The temporary lies on the same file system as its target, or the rename would be a copy.
        Uploads::Unsynced | Uploads::Durable => format!(
            "client_body_temp_path {root}/.nginx; client_body_buffer_size 1m; client_max_body_size 0;
             location /up/ {{ dav_methods PUT; dav_access user:rw group:r all:r; }}"
        ),
    };
    format!(
        "daemon off; user nobody nogroup; pid {scratch}/pid; worker_processes {workers}; worker_rlimit_nofile 20000;
         events {{ worker_connections {PEER_CONNECTIONS}; }}
         http {{
             {sending} access_log {log}; server_tokens off; default_type application/octet-stream;
             keepalive_requests 1000000000; keepalive_timeout 600s;
             open_file_cache max=15000 inactive=600s; open_file_cache_valid 60s; open_file_cache_errors on;
             server {{ listen {address} backlog=4096; root {root}; {uploads} location / {{ }} }}
         }}\n"
    )
}

fn h2o(address: SocketAddr, setup: &Setup, scratch: &Path) -> String {
    let (root, scratch, workers) = (setup.root.display(), scratch.display(), setup.workers);
    let log = if setup.access_log { format!("access-log: {scratch}/access.log\n") } else { String::new() };
    format!(
        "user: nobody\nnum-threads: {workers}\nmax-connections: {PEER_CONNECTIONS}\nhttp1-request-timeout: 600\n\
         pid-file: {scratch}/pid\nerror-log: {scratch}/error.log\n{log}\
         listen:\n  host: {host}\n  port: {port}\nhosts:\n  default:\n    paths:\n      \"/\":\n        file.dir: {root}\n",
        host = address.ip(),
        port = address.port(),
    )
}

fn lighttpd(address: SocketAddr, setup: &Setup, scratch: &Path) -> String {
    let (root, scratch) = (setup.root.display(), scratch.display());
    let mut modules = Vec::new();
    let mut more = String::new();
    if setup.access_log {
        modules.push("\"mod_accesslog\"");
        more += &format!("accesslog.filename = \"{scratch}/access.log\"\n");
    }
    if setup.uploads != Uploads::Off {
        modules.push("\"mod_webdav\"");
        more += "$HTTP[\"url\"] =~ \"^/up/\" { webdav.activate = \"enable\" }\n";
        more += &format!("server.upload-dirs = ( \"{root}\" )\n");
    }
    if setup.workers > 1 {
        more += &format!("server.max-worker = {}\n", setup.workers);
    }
    format!(
        "server.document-root = \"{root}\"\nserver.bind = \"{host}\"\nserver.port = {port}\n\
         server.username = \"nobody\"\nserver.groupname = \"nogroup\"\nserver.errorlog = \"{scratch}/error.log\"\n\
         server.modules = ( {modules} )\nserver.network-backend = \"sendfile\"\nserver.stat-cache-engine = \"simple\"\n\
         server.max-fds = 20000\nserver.max-connections = {PEER_CONNECTIONS}\nserver.listen-backlog = 4096\n\
         server.max-keep-alive-requests = 1000000000\nserver.max-keep-alive-idle = 600\n\
         mimetype.assign = ( \"\" => \"application/octet-stream\" )\n{more}",
        host = address.ip(),
        port = address.port(),
        modules = modules.join(", "),
    )
}
