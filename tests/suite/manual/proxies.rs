//! The configurations of fileserv.toml(5) for a proxy in front, with that proxy: it ends TLS, and the access log has
//! the true client.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

use super::{serve, shell};
use crate::common::manual::example;
use crate::common::{Server, Site, tools, until};

/// Nobody else's address on the loopback interface, so that a port that is free there stays free.
const PROXY: &str = "127.0.0.77";
/// Whom the log has to name.
const CLIENT: &str = "127.0.0.9";

/// A proxy that runs; it is killed with its test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself, and then it is reaped only.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Proxy {
    /// Starts it beside the server's root, and waits until it listens.
    fn start(server: &Server, command: &str, address: SocketAddr) -> Self {
        let home = server.site.beside(".");
        let log = fs::File::create(server.site.beside("proxy.log")).unwrap();
        let mut command = shell(&home, &format!("exec {command}"));
        let mut proxy = Self(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        until("the proxy listens", || {
            let said = || fs::read_to_string(server.site.beside("proxy.log")).unwrap();
            assert!(proxy.0.try_wait().unwrap().is_none(), "the proxy has ended: {}", said());
            TcpStream::connect(address).is_ok()
        });
        proxy
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind((PROXY, 0)).unwrap().local_addr().unwrap()
}

/// A key and a certificate for it, in one file, as both proxies read them.
fn certificate(server: &Server) -> String {
    let file = server.site.beside("site.pem");
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
                -keyout key.pem -out certificate.pem && cat certificate.pem key.pem > site.pem";
    tools::succeed(&mut shell(&server.site.beside("."), make));
    file.to_str().unwrap().to_owned()
}

/// Asks over TLS, as another address than the proxy's, and looks whom the log names.
fn assert_true_client_is_logged(server: &Server, proxy: SocketAddr) {
    let url = format!("https://{proxy}/hello.txt");
    let text = tools::curl(&["--insecure", "--interface", CLIENT, "-H", "X-Forwarded-For: 192.0.2.1", &url]);
    assert_eq!(text, "hello, world\n");
    let log = server.site.beside("log/access.log");
    until("the request is logged", || fs::read_to_string(&log).unwrap_or_default().contains("/hello.txt"));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().last().unwrap().starts_with(&format!("{CLIENT} - - [")), "{log}");
}

#[test]
fn haproxy_ends_tls_and_names_the_client() {
    let server = serve(Site::sample(), &example("haproxy-here"));
    let address = free_port();
    let settings = example("haproxy-there")
        .replace("bind :443", &format!("bind {address}"))
        .replace("/etc/haproxy/site.pem", &certificate(&server))
        .replace("127.0.0.1:8081", &server.address().to_string());
    fs::write(server.site.beside("haproxy.cfg"), settings).unwrap();
    let _proxy = Proxy::start(&server, "haproxy -db -f haproxy.cfg", address);
    assert_true_client_is_logged(&server, address);
}

#[test]
fn nginx_ends_tls_and_names_the_client() {
    let server = serve(Site::sample(), &example("nginx-here"));
    let address = free_port();
    let settings = example("nginx-there")
        .replace("listen 443", &format!("listen {address}"))
        .replace("/etc/nginx/site.pem", &certificate(&server))
        .replace("127.0.0.1:8081", &server.address().to_string());
    let home = server.site.beside(".");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/nginx-{what};\n", home.display()))
        .concat();
    let whole = format!(
        "daemon off;\npid {0}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{settings}}}\n",
        home.display()
    );
    fs::write(server.site.beside("nginx.conf"), whole).unwrap();
    let command = format!("nginx -e stderr -c '{0}/nginx.conf' -p '{0}'", home.display());
    let _proxy = Proxy::start(&server, &command, address);
    assert_true_client_is_logged(&server, address);
}
