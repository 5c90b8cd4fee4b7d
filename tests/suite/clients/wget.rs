//! wget: resumes, second looks and mirrors.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{assert_tree, await_count, client, count, folder, logged, tree};
use crate::common::{Site, site, tools};

/// wget in a folder; without its own waits and tries, so that the first failure is seen.
fn wget(folder: &Path, arguments: &[&str]) {
    tools::succeed(client("wget", folder).args(["--no-config", "--no-verbose", "--tries=1"]).args(arguments));
}

#[test]
fn download_is_resumed_and_a_whole_one_left_alone() {
    let server = logged(Site::sample());
    let folder = folder(&server, "wget");
    let part = folder.join("large.bin");
    let all = site::large();
    std::fs::write(&part, &all[..400_000]).unwrap();
    wget(&folder, &["--continue", &server.url("/large.bin")]);
    assert!(std::fs::read(&part).unwrap() == all);
    await_count(&server, "\"GET /large.bin HTTP/1.1\" 206 700003 ", 1);
    // It asks for what comes after the end, and understands the 416.
    wget(&folder, &["--continue", &server.url("/large.bin")]);
    assert!(std::fs::read(&part).unwrap() == all);
    await_count(&server, "\"GET /large.bin HTTP/1.1\" 416 ", 1);
}

#[test]
fn second_look_downloads_only_what_has_changed() {
    let site = Site::sample();
    // Dates have seconds: what is written below must not fall into the second of what stood there before.
    let original = (SystemTime::now() - Duration::from_secs(3600)).duration_since(UNIX_EPOCH).unwrap().as_secs();
    let file = File::open(site.path("hello.txt")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(original)).unwrap();
    let server = logged(site);
    let folder = folder(&server, "wget");
    let (url, copy) = (server.url("/hello.txt"), folder.join("hello.txt"));
    wget(&folder, &["--timestamping", &url]);
    let modified = std::fs::metadata(&copy).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(UNIX_EPOCH).unwrap().as_secs(), original, "it takes over the date");
    wget(&folder, &["--timestamping", &url]);
    await_count(&server, "\"GET /hello.txt HTTP/1.1\" 304 0 ", 1);
    await_count(&server, "\"GET /hello.txt HTTP/1.1\" 200 ", 1);
    server.site.write("hello.txt", "changed\n");
    wget(&folder, &["--timestamping", &url]);
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "changed\n");
}

#[test]
fn mirror_of_listings_is_whole_and_ends() {
    let server = logged(tree());
    let folder = folder(&server, "mirror");
    let mirror = ["--mirror", "--no-parent", "--no-host-directories"];
    wget(&folder, &[&mirror[..], &[&server.url("/")]].concat());
    assert_tree(&folder);
    // Four folders, each in at most a handful of orders, and eight files.
    assert!(count(&server, "\"GET ") <= 40, "no link leads in circles:\n{}", server.said());
    // What has not changed does not come twice.
    let whole = "GET /folder/deeper%20one/leaf.bin HTTP/1.1\" 200 ";
    await_count(&server, whole, 1);
    wget(&folder, &[&mirror[..], &[&server.url("/")]].concat());
    assert_tree(&folder);
    await_count(&server, "GET /folder/deeper%20one/leaf.bin HTTP/1.1\" 304 ", 1);
    await_count(&server, whole, 1);
}
