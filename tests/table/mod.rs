//! The table of requests: its files, the site that they ask, and what an answer is held against.
//! Two runners read it: `src/worker/table_tests.rs` without sockets, `tests/suite/table.rs` with them.
//! `README` beside this file tells how a row is written.

mod answer;
mod row;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

pub(crate) use row::Row;

/// The files of the table, by topic.
const TOPICS: [(&str, &str); 11] = [
    ("request_line", include_str!("request_line.txt")),
    ("fields", include_str!("fields.txt")),
    ("framing", include_str!("framing.txt")),
    ("connection", include_str!("connection.txt")),
    ("methods", include_str!("methods.txt")),
    ("conditional", include_str!("conditional.txt")),
    ("range", include_str!("range.txt")),
    ("representation", include_str!("representation.txt")),
    ("upload", include_str!("upload.txt")),
    ("access", include_str!("access.txt")),
    ("cross_site", include_str!("cross_site.txt")),
];

/// Every file that a row may ask for. Those in `/inbox/` are made anew for each conversation that names the folder.
const FILES: [(&str, &str); 18] = [
    ("alphabet.txt", "abcdefghijklmnopqrstuvwxyz"),
    ("empty.txt", ""),
    ("page.html", "<!DOCTYPE html><title>page</title>\n"),
    ("data.json", "{}\n"),
    ("a b.txt", "space\n"),
    ("packed.txt", "this is the plain text\n"),
    ("packed.txt.br", "brotli"),
    ("packed.txt.zst", "zstandard"),
    ("packed.txt.gz", "gzipped"),
    ("folder/index.html", "<!DOCTYPE html><title>index</title>\n"),
    ("folder/inner.txt", "inner\n"),
    ("closed/secret.txt", "secret\n"),
    ("fixed/file.txt", "fixed\n"),
    ("private/secret.txt", "secret\n"),
    ("mixed/file.txt", "mixed\n"),
    ("lan/file.txt", "lan\n"),
    ("cors/file.txt", "cors\n"),
    (".hidden", "hidden\n"),
];

/// What htpasswd -B -C 4 has written for the passwords `secret` and `hidden`, and the digest of the token
/// `fileserv_table`. They lie beside the root.
const CREDENTIALS: [(&str, &str); 2] = [
    (
        "users",
        "# staff\nalice:$2y$04$Ks7o4RJn0/DO/wVlSZjhIeKXKexO0GtYiVN1vFzTqcJBfQKfI5H0e\nbob:$2y$04$qPA0XUgln3S1Kv7r.P4cuuxcW4LO0oDoWipny6Rz8BzumNjuupBuS\n",
    ),
    ("tokens", "robot:70846b5803a5d2263d6438f02a06e09ddc3be1bc774e4b6b821b5fa95ade93af\n"),
];

/// Sun, 09 Sep 2001 01:46:40 GMT: when every file was changed last.
const MODIFIED: Duration = Duration::from_secs(1_000_000_000);

/// All rows, in the order of the files.
pub(crate) fn rows() -> Vec<Row> {
    TOPICS.iter().flat_map(|(topic, text)| row::read(topic, text)).collect()
}

/// The configuration for a site that `lay_out` made.
pub(crate) fn config(root: &Path) -> String {
    let beside = root.parent().unwrap();
    include_str!("site.toml").replace("ROOT", root.to_str().unwrap()).replace("BESIDE", beside.to_str().unwrap())
}

/// Makes the site. `give` hands what is made to the user who serves.
pub(crate) fn lay_out(root: &Path, give: &dyn Fn(&Path)) {
    for folder in ["folder", "closed", "fixed", "drop", "bare", "private", "mixed", "lan", "cors"] {
        fs::create_dir(root.join(folder)).unwrap();
        give(&root.join(folder));
    }
    for (name, content) in FILES {
        put(&root.join(name), content, give);
    }
    for (name, content) in CREDENTIALS {
        put(&root.parent().unwrap().join(name), content, give);
    }
    let lines: String = (0..200).map(|number| format!("line {number:04}\n")).collect();
    put(&root.join("lines.txt"), &lines, give);
    reset(root, give);
}

/// Makes `/inbox/` as it is at the start of a conversation: one file, and a folder. The folder itself stays: it is the one
/// that workers were sealed to write in.
pub(crate) fn reset(root: &Path, give: &dyn Fn(&Path)) {
    let inbox = root.join("inbox");
    fs::create_dir_all(&inbox).unwrap();
    give(&inbox);
    for entry in fs::read_dir(&inbox).unwrap() {
        let entry = entry.unwrap();
        let remove = if entry.file_type().unwrap().is_dir() { fs::remove_dir_all } else { fs::remove_file };
        remove(entry.path()).unwrap();
    }
    fs::create_dir(inbox.join("sub")).unwrap();
    give(&inbox.join("sub"));
    put(&inbox.join("old.txt"), "old\n", give);
}

fn put(path: &Path, content: &str, give: &dyn Fn(&Path)) {
    fs::write(path, content).unwrap();
    give(path);
    File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH + MODIFIED).unwrap();
}
