//! apt: a flat repository is a folder of packages with an index.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{await_count, client, folder, logged};
use crate::common::{Server, Site, tools};

const PACKAGES: [&str; 5] =
    ["fileserv-test-a", "fileserv-test-b", "fileserv-test-c", "fileserv-test-d", "fileserv-test-e"];

/// Builds a package into the root and gives its paragraph of the index.
fn build(site: &Site, name: &str) -> String {
    let tree = site.beside(name);
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Test <test@example.org>\n\
         Description: nothing but a name\n"
    );
    fs::write(tree.join("DEBIAN/control"), &control).unwrap();
    let file = format!("{name}_1.0_all.deb");
    let path = site.path(&file);
    let deb = path.to_str().unwrap();
    tools::run("dpkg-deb", &["--root-owner-group", "--build", tree.to_str().unwrap(), deb]);
    let (size, sum) = (fs::metadata(&path).unwrap().len(), tools::sha256sum(&path));
    format!("{control}Filename: ./{file}\nSize: {size}\nSHA256: {sum}\n\n")
}

/// A flat repository with its index and a `Release` that vouches for it.
fn repository() -> Site {
    let site = Site::empty();
    let index: String = PACKAGES.iter().map(|name| build(&site, name)).collect();
    site.write("Packages", &index);
    let sum = tools::sha256sum(&site.path("Packages"));
    site.write("Release", format!("Date: Mon, 06 May 2024 07:08:09 UTC\nSHA256:\n {sum} {} Packages\n", index.len()));
    site
}

/// A whole apt below a folder: what it knows, keeps and reads lies there, and nothing of the machine's own.
fn apt_at(server: &Server) -> PathBuf {
    let home = folder(server, "apt");
    for part in ["etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", "down"] {
        fs::create_dir_all(home.join(part)).unwrap();
    }
    fs::write(home.join("status"), "").unwrap();
    fs::write(home.join("etc/apt/sources.list"), format!("deb [trusted=yes] {} ./\n", server.url("/"))).unwrap();
    let mut settings = String::new();
    writeln!(settings, "Dir \"{}/\";", home.display()).unwrap();
    writeln!(settings, "Dir::State::status \"{}/status\";", home.display()).unwrap();
    // The folder is the test's own; another user would have to be let in.
    settings += "APT::Sandbox::User \"root\";\nAcquire::http::Proxy \"DIRECT\";\nAcquire::Languages \"none\";\n";
    settings += "Acquire::Retries \"0\";\nAPT::Update::Error-Mode \"any\";\n";
    fs::write(home.join("apt.conf"), settings).unwrap();
    home
}

fn apt_get(home: &Path) -> Command {
    let mut command = client("apt-get", &home.join("down"));
    command.env("APT_CONFIG", home.join("apt.conf")).arg("--quiet=2");
    command
}

#[test]
fn flat_repository_is_read_and_packages_come_down() {
    let server = logged(repository());
    let home = apt_at(&server);
    tools::succeed(apt_get(&home).arg("update"));
    await_count(&server, "\"GET /./Packages HTTP/1.1\" 200 ", 1);
    // It sends its requests without waiting for the answers.
    tools::succeed(apt_get(&home).arg("download").args(PACKAGES));
    for name in PACKAGES {
        let file = format!("{name}_1.0_all.deb");
        assert!(fs::read(home.join("down").join(&file)).unwrap() == server.site.read(&file), "{file}");
    }
    tools::succeed(apt_get(&home).arg("update"));
    await_count(&server, "\"GET /./Release HTTP/1.1\" 304 ", 1);
    await_count(&server, "\"GET /./Packages HTTP/1.1\" 200 ", 1);
}
