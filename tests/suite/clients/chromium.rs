//! Chromium: pages, their parts, and a sound that is searched.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{await_count, client, count, folder, logged};
use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, tools, until};

/// A browser without a window, which phones nobody.
pub(super) fn chromium(profile: &Path, arguments: &[&str]) -> Command {
    let mut command = client("chromium", profile);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--mute-audio",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(arguments);
    command
}

/// The page as the browser understood it when all its parts were there.
fn dom(server: &Server, profile: &Path, path: &str) -> String {
    tools::succeed(&mut chromium(profile, &["--dump-dom", &server.url(path)]))
}

#[test]
fn browser_shows_listing_error_noise_and_digest() {
    let server = Server::start();
    let profile = folder(&server, "profile");

    let listing = dom(&server, &profile, "/folder/");
    assert!(listing.contains("inner.txt") && listing.contains("deeper/"), "{listing}");

    let error = dom(&server, &profile, "/nothing");
    assert!(error.contains("404") && error.contains("Not Found"), "{error}");

    let noise = dom(&server, &profile, "/perlin?width=40&height=10&seed=1");
    assert!(noise.contains("<pre"), "{noise}");

    let digest = dom(&server, &profile, "/sha256");
    assert!(digest.contains("<form") && digest.contains("sha_input"), "{digest}");
}

#[test]
fn page_of_two_hundred_parts_is_whole() {
    const EACH: usize = 100;
    let site = Site::empty();
    let mut page = String::from("<!DOCTYPE html><title>parts</title><p id=\"parts\"></p>\n");
    page += "<script>let scripts = 0, pictures = 0;</script>\n";
    for number in 0..EACH {
        site.write(&format!("parts/{number}.js"), "scripts += 1;\n");
        let picture = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"9\"/>", number + 1);
        site.write(&format!("parts/{number}.svg"), picture);
        writeln!(page, "<script src=\"parts/{number}.js\"></script>").unwrap();
        // A picture counts when it has the width that its own file says.
        let load = format!("onload=\"pictures += this.naturalWidth === {}\"", number + 1);
        writeln!(page, "<img src=\"parts/{number}.svg\" {load}>").unwrap();
    }
    page += "<script>addEventListener('load', () => {\n\
             document.getElementById('parts').textContent = `${scripts} scripts, ${pictures} pictures`; });</script>\n";
    site.write("index.html", page);
    let server = logged(site);
    let shown = dom(&server, &folder(&server, "profile"), "/");
    let line = shown.lines().find(|line| line.contains("id=\"parts\"")).unwrap_or(&shown);
    assert!(line.contains(&format!("{EACH} scripts, {EACH} pictures")), "{line}");
    await_count(&server, "\"GET /parts/", 2 * EACH);
}

/// A browser that stays until it is dropped.
pub(super) struct Browser(pub(super) Child);

impl Drop for Browser {
    fn drop(&mut self) {
        // `timeout` hands the signal on to all that the browser is.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Two channels of 16 bits, 44,100 times a second.
const BYTES_A_SECOND: u32 = 176_400;

/// A silence in a RIFF WAVE file: so long that no browser takes it in one piece.
fn silence(seconds: u32) -> Vec<u8> {
    let size = seconds * BYTES_A_SECOND;
    let mut wave = Vec::new();
    wave.extend_from_slice(b"RIFF");
    wave.extend((size + 36).to_le_bytes());
    wave.extend_from_slice(b"WAVEfmt ");
    wave.extend(16_u32.to_le_bytes());
    // Plain samples, two channels.
    wave.extend([1, 0, 2, 0]);
    wave.extend(44_100_u32.to_le_bytes());
    wave.extend(BYTES_A_SECOND.to_le_bytes());
    wave.extend([4, 0, 16, 0]);
    wave.extend_from_slice(b"data");
    wave.extend(size.to_le_bytes());
    wave.resize(wave.len() + usize::try_from(size).unwrap(), 0);
    wave
}

/// The page tells the server itself what came of it: a dumped page would not wait for a sound.
const SOUND: &str = r#"<!DOCTYPE html><title>sound</title><audio preload="auto"></audio>
<script>
const audio = document.querySelector("audio");
const tell = text => fetch("told.txt", { method: "PUT", body: text });
audio.onerror = () => tell(`error ${audio.error.code} ${audio.error.message}`);
audio.onseeked = () => tell(`${audio.duration} ${audio.currentTime} ${audio.seekable.end(0)}`);
audio.onloadeddata = () => { audio.onloadeddata = null; audio.currentTime = 210; };
audio.src = "silence.wav";
</script>
"#;

#[test]
fn sound_is_searched_by_ranges() {
    const SECONDS: u32 = 240;
    let site = Site::empty();
    site.write("index.html", SOUND);
    site.write("silence.wav", silence(SECONDS));
    let server = logged(site);
    let profile = folder(&server, "profile");
    // With a debugging port it waits for somebody to talk to, and doesn't leave when the page is there.
    let mut command = chromium(&profile, &["--remote-debugging-port=0", &server.url("/")]);
    let browser = Browser(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the page has told", || server.site.path("told.txt").exists());
    assert_eq!(String::from_utf8(server.site.read("told.txt")).unwrap(), "240 210 240");
    // A line is written when the connection ends at the latest.
    drop(browser);
    until("the log tells of two ranges", || count(&server, "\"GET /silence.wav HTTP/1.1\" 206 ") >= 2);
}

/// What a page of one origin tries at another one, told to its own.
const STRANGER: &str = r#"<!DOCTYPE html><title>stranger</title>
<script>
const told = [];
const attempt = async (name, path, options) => {
  try {
    const answer = await fetch("OTHER" + path, options);
    told.push(`${name} ${answer.status} ${answer.headers.get("etag") !== null}`);
  } catch { told.push(`${name} blocked`); }
};
(async () => {
  await attempt("write", "/open/new.txt", { method: "PUT", body: "x", headers: { "If-None-Match": "*" } });
  await attempt("log in", "/open/new.txt", { headers: { Authorization: "Bearer nobody" } });
  await attempt("remove", "/open/file.txt", { method: "DELETE" });
  await attempt("write elsewhere", "/new.txt", { method: "PUT", body: "x" });
  await attempt("blind", "/file.txt", { method: "POST", mode: "no-cors", body: "y" });
  await attempt("read elsewhere", "/file.txt", {});
  await fetch("told.txt", { method: "PUT", body: told.join("\n") });
})();
</script>
"#;

#[test]
fn a_page_of_another_origin_does_what_is_configured_and_nothing_else() {
    let own = logged(Site::empty());
    let origin = own.url("");
    let site = Site::empty();
    site.write("file.txt", "kept");
    site.write("open/file.txt", "kept");
    let cors = format!("[[cors]]\npath = \"/open/\"\norigins = {origin:?}\nmethods = [\"GET\", \"PUT\"]\n");
    let other = Server::with(site, &format!("{EVERYTHING}{cors}"));
    own.site.write("index.html", STRANGER.replace("OTHER", &other.url("")));
    let profile = folder(&own, "profile");
    let arguments = ["--remote-debugging-port=0", &own.url("/")];
    let mut command = chromium(&profile, &arguments);
    let browser = Browser(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the page has told", || own.site.path("told.txt").exists());
    drop(browser);
    let told = String::from_utf8(own.site.read("told.txt")).unwrap();
    let expected = "write 201 true\nlog in 200 true\nremove blocked\nwrite elsewhere blocked\nblind 0 false\n\
                    read elsewhere blocked";
    assert_eq!(told, expected);
    assert_eq!(other.site.read("file.txt"), b"kept");
    assert_eq!(other.site.read("open/new.txt"), b"x");
    assert!(!other.site.names().contains(&"new.txt".to_owned()));
}
