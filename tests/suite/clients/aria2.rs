//! aria2: a file in pieces over many connections.

use super::{client, count, folder, logged};
use crate::common::{Site, site, tools, until};

#[test]
fn sixteen_connections_bring_one_file() {
    const SIZE: usize = 64 << 20;
    let site = Site::big();
    let mut content = site::large().repeat(SIZE / site::large().len() + 1);
    content.truncate(SIZE);
    site.write("big.bin", &content);
    let server = logged(site);
    let folder = folder(&server, "aria2");
    let sum = format!("--checksum=sha-256={}", tools::sha256sum(&server.site.path("big.bin")));
    let quiet = ["--no-conf", "--console-log-level=warn", "--summary-interval=0", "--download-result=hide"];
    let parallel = ["-x16", "-s16", "-k1M", "--max-tries=1", "--file-allocation=none", &sum];
    tools::succeed(client("aria2c", &folder).args(quiet).args(parallel).arg(server.url("/big.bin")));
    assert!(std::fs::read(folder.join("big.bin")).unwrap() == content, "byte for byte");
    // The first connection asks for the whole and stops where the next one begins.
    until("fifteen ranges were asked for", || count(&server, "\"GET /big.bin HTTP/1.1\" 206 ") >= 15);
}
