//! Python: pip from a simple index, and its library's chunked upload.

use std::fs;
use std::path::Path;

use super::{client, folder, logged};
use crate::common::{Site, site, tools};

/// Makes a wheel by hand, the smallest that pip takes, and gives its name.
fn wheel(site: &Site, project: &str) -> String {
    let name = project.replace('-', "_");
    let tree = site.beside(project);
    let about = tree.join(format!("{name}-1.0.dist-info"));
    fs::create_dir_all(&about).unwrap();
    fs::write(tree.join(format!("{name}.py")), "answer = 42\n").unwrap();
    fs::write(about.join("METADATA"), format!("Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")).unwrap();
    fs::write(about.join("WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n").unwrap();
    fs::write(about.join("RECORD"), "").unwrap();
    let file = format!("{name}-1.0-py3-none-any.whl");
    let path = site.beside(&file);
    let (module, about) = (format!("{name}.py"), about.file_name().unwrap().to_str().unwrap());
    tools::succeed(client("python3", &tree).args(["-m", "zipfile", "-c", path.to_str().unwrap(), &module, about]));
    file
}

#[test]
fn pip_downloads_from_an_index_page_and_from_a_listing() {
    let site = Site::empty();
    let paged = wheel(&site, "fileserv-paged");
    let listed = wheel(&site, "fileserv-listed");
    // One project has a page with a sum, as PEP 503 describes; for the other our listing is the page.
    let sum = tools::sha256sum(&site.beside(&paged));
    site.write(&format!("wheels/{paged}"), fs::read(site.beside(&paged)).unwrap());
    let link = format!("<!DOCTYPE html><title>x</title><a href=\"/wheels/{paged}#sha256={sum}\">{paged}</a>\n");
    site.write("simple/fileserv-paged/index.html", link);
    site.write(&format!("simple/fileserv-listed/{listed}"), fs::read(site.beside(&listed)).unwrap());

    let server = logged(site);
    let folder = folder(&server, "pip");
    let plain = ["download", "--isolated", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--quiet"];
    let index = ["--retries=0", "--index-url", &server.url("/simple/"), "fileserv-paged", "Fileserv_Listed"];
    tools::succeed(client("pip3", &folder).env("PIP_CONFIG_FILE", "/dev/null").args(plain).args(index));
    for file in [paged, listed] {
        assert!(fs::read(folder.join(&file)).unwrap() == fs::read(server.site.beside(&file)).unwrap(), "{file}");
    }
}

/// Sends a file in chunks of uneven size, twice over one connection, and prints the statuses.
const UPLOAD: &str = r#"
import http.client, sys
port, path = int(sys.argv[1]), sys.argv[2]
def pieces():
    with open(path, "rb") as file:
        for size in range(1, 1_000_000, 997):
            piece = file.read(size)
            if not piece:
                return
            yield piece
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
for _ in range(2):
    connection.request("PUT", "/chunked", body=pieces())
    reply = connection.getresponse()
    reply.read()
    print(reply.status)
"#;

#[test]
fn http_client_uploads_in_chunks() {
    let server = logged(Site::empty());
    let file = server.site.beside("file");
    fs::write(&file, site::large()).unwrap();
    let port = server.port.to_string();
    let mut python = client("python3", Path::new("/"));
    let statuses = tools::succeed(python.args(["-c", UPLOAD, &port, file.to_str().unwrap()]));
    assert_eq!(statuses, "201\n204\n");
    assert!(server.site.read("chunked") == site::large());
    assert_eq!(server.site.names(), ["chunked"], "no temporary is left");
}
