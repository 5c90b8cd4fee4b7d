//! Uploads with the programs that people have, and the manual's recipes for them, word by word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::chromium::{Browser, chromium};
use super::{await_count, client, count, folder, logged};
use crate::common::manual::{commands, example};
use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, site, tools, until};
use crate::logins::{htpasswd, put};

/// Everybody may do all, but in one folder only who has logged in.
const PRIVATE: &str =
    "[[access]]\npath = \"/private/\"\nallow = [\"read\", \"create\", \"replace\"]\nusers = [\"alice\"]\n";

/// A server for the recipes: folders are made, and alice has the password `secret`.
fn open_to_all() -> Server {
    let site = Site::sample();
    let users = put(&site, "users", &htpasswd("alice", "secret", 4));
    let config = format!(
        "workers = 2\nusers_file = {users:?}\nuploads.make_folders = true\n[log]\naccess = \"stdout\"\n{EVERYTHING}{PRIVATE}"
    );
    Server::with(site, &config)
}

/// Where the recipes are tried: a report, two photos, and a password for curl.
fn home(server: &Server) -> PathBuf {
    let home = folder(server, "home");
    fs::write(home.join("report.pdf"), site::large()).unwrap();
    fs::create_dir(home.join("photos")).unwrap();
    for name in ["photos/one.jpg", "photos/two.jpg"] {
        fs::write(home.join(name), name).unwrap();
    }
    fs::write(home.join(".netrc"), "machine 127.0.0.1 login alice password secret\n").unwrap();
    home
}

/// An example of the manual with the server that the test has started.
fn recipes(commands: &[String], server: &Server) -> Vec<String> {
    commands.iter().map(|recipe| recipe.replace("http://127.0.0.1:8080", &server.url(""))).collect()
}

/// A shell that runs a recipe. The Python that Debian's packages belong to is found before any other.
fn shell(home: &Path, recipe: &str) -> Command {
    let mut shell = client("sh", home);
    shell.env("PATH", "/usr/bin:/bin").env("EDITOR", "sed -i s/hello/goodbye/").args(["-ec", recipe]);
    shell
}

#[test]
fn recipes_for_curl_work_as_written() {
    let server = open_to_all();
    let home = home(&server);
    let recipes = recipes(&commands("curl"), &server);
    for recipe in &recipes {
        tools::succeed(&mut shell(&home, recipe));
    }
    for name in ["reports/report.pdf", "private/report.pdf", "first.pdf", "report.pdf"] {
        assert!(server.site.read(name) == site::large(), "{name}");
    }
    let listed = tools::run("tar", &["-tf", server.site.path("photos.tar").to_str().unwrap()]);
    assert!(listed.contains("photos/one.jpg\n") && listed.contains("photos/two.jpg\n"), "{listed}");
    // What is refused fails: the file is there now, another one has come under its name, and nobody has logged in.
    let again = |words: &str| {
        let recipe = recipes.iter().find(|recipe| recipe.contains(words)).unwrap();
        shell(&home, recipe).output().unwrap().status.code()
    };
    assert_eq!(again("If-None-Match"), Some(22));
    fs::write(home.join("report.pdf"), "another").unwrap();
    let swapped = recipes.last().unwrap().replace("\n  curl", "\nmv photos/one.jpg report.pdf\ncurl");
    assert_eq!(shell(&home, &swapped).output().unwrap().status.code(), Some(22), "{swapped}");
    assert!(server.site.read("report.pdf") == site::large(), "the file is not the one that was digested");
    fs::remove_file(home.join(".netrc")).unwrap();
    assert_eq!(again("-fnT"), Some(22));
    await_count(&server, "\"PUT /private/report.pdf HTTP/1.1\" 401 ", 1);
}

#[test]
fn recipe_for_a_change_that_takes_nothing_from_others_works_as_written() {
    let server = open_to_all();
    let home = home(&server);
    server.site.write("notes.txt", "hello\n");
    server.site.settle();
    let recipes = recipes(&commands("change"), &server);
    for recipe in &recipes {
        tools::succeed(&mut shell(&home, recipe));
    }
    assert_eq!(server.site.read("notes.txt"), b"goodbye\n");
    // The tag is that of the file before.
    let late = shell(&home, recipes.last().unwrap()).output().unwrap();
    assert_eq!(late.status.code(), Some(22), "{late:?}");
    assert_eq!(server.site.read("notes.txt"), b"goodbye\n");
}

#[test]
fn recipes_for_wget_and_python_work_as_written() {
    let server = open_to_all();
    let home = home(&server);
    let recipes = recipes(&commands("wget-python"), &server);
    // The first time they create, the second time they replace.
    for status in [201, 204] {
        for (number, recipe) in recipes.iter().enumerate() {
            tools::succeed(&mut shell(&home, recipe));
            let name = ["wget.pdf", "requests.pdf", "urllib.pdf"][number];
            assert!(server.site.read(name) == site::large(), "{name}");
            fs::write(server.site.path(name), "changed\n").unwrap();
            let line = format!("\"PUT /{name} HTTP/1.1\" {status} ");
            await_count(&server, &line, 1);
        }
    }
    // A refusal is an error for each of them.
    for recipe in recipes {
        let refused = shell(&home, &recipe.replace(&server.url(""), &server.url("/.hidden"))).output().unwrap();
        assert!(!refused.status.success(), "{recipe}: {refused:?}");
    }
}

#[test]
fn recipe_for_a_page_works_as_written() {
    let server = open_to_all();
    let recipe = example("page");
    let page = format!(
        "<!DOCTYPE html><title>upload</title><script>\n\
         const file = new File([\"from \", \"a page\"], \"report.pdf\");\n\
         const attempt = async () => {{ try {{\n{recipe}\nreturn `${{answer.status}}`;\n\
         }} catch (error) {{ return error.message; }} }};\n\
         (async () => {{\n\
         const told = [await attempt(), await attempt()];\n\
         await fetch(\"told.txt\", {{ method: \"PUT\", body: told.join(\"\\n\") }});\n}})();\n</script>\n"
    );
    server.site.write("index.html", page);
    let profile = folder(&server, "profile");
    let mut command = chromium(&profile, &["--remote-debugging-port=0", &server.url("/")]);
    let browser = Browser(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the page has told", || server.site.path("told.txt").exists());
    drop(browser);
    let told = String::from_utf8(server.site.read("told.txt")).unwrap();
    assert_eq!(told, "201\nIf-None-Match wants that to be missing which is there now.");
    assert_eq!(server.site.read("report.pdf"), b"from a page");
}

#[test]
fn curl_asks_how_to_log_in_and_then_sends_the_file() {
    let server = open_to_all();
    let home = home(&server);
    let url = server.url("/private/");
    let curl = |user: &str| {
        let mut curl = client("curl", &home);
        curl.args(["-q", "-sS", "-f", "--anyauth", "-u", user, "-T", "report.pdf", &url]);
        curl.output().unwrap().status.code()
    };
    assert_eq!(curl("alice:wrong"), Some(22));
    assert!(!server.site.path("private").exists(), "a stranger makes no folder");
    assert_eq!(curl("alice:secret"), Some(0));
    assert!(server.site.read("private/report.pdf") == site::large());
    await_count(&server, " - alice [", 1);
}

#[test]
fn curl_is_told_before_it_has_sent_a_long_file_in_vain() {
    let server = Server::with(Site::sample(), &format!("workers = 1\nlimits.body_bytes = 1000\n{EVERYTHING}"));
    let home = home(&server);
    let mut curl = client("curl", &home);
    let report = ["-w", "\n%{http_code} %{size_upload}", "-H", "Accept: application/problem+json"];
    curl.args(["-q", "-sS", "--fail-with-body", "--expect100-timeout", "60"]).args(report);
    let output = curl.args(["-H", "Expect: 100-continue", "-T", "report.pdf", &server.url("/")]).output().unwrap();
    assert_eq!(output.status.code(), Some(22), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("At most 1000 bytes are taken here.") && said.ends_with("\n413 0"), "{said}");
}

/// rclone's remote for HTTP only reads, and says so; nothing may reach the root.
#[test]
fn rclone_writes_nothing_and_fails() {
    let server = logged(Site::empty());
    let home = home(&server);
    let mut rclone = client("rclone", &home);
    rclone.args(["--config", "/dev/null", "--retries=1", "--low-level-retries=1", "--http-url", &server.url("/")]);
    let output = rclone.args(["copyto", "report.pdf", ":http:report.pdf"]).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("read only"), "{output:?}");
    assert!(server.site.names().is_empty() && count(&server, "\"PUT ") == 0, "{}", server.said());
}
