//! The examples of the manual pages, as a person would paste them, and what has to stand in the place of their paths.

use std::path::Path;

use super::site::SERVICE_USER;
use super::{Site, is_root, tools};

/// The pages.
pub(crate) const PAGES: [&str; 2] = ["fileserv.8", "fileserv.toml.5"];
/// How a display of something to paste begins.
const DISPLAY: &str = ".Bd -literal -offset indent\n";
/// The comment above it, which gives it a name.
const MARK: &str = ".\\\" example: ";

/// The names of all examples, and what they say.
pub(crate) fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let pages = PAGES.map(|page| std::fs::read_to_string(folder.join(page)).unwrap());
    let mut found = Vec::new();
    for page in pages {
        let mut parts = page.split(DISPLAY);
        let mut before = parts.next().unwrap();
        for part in parts {
            let (display, _) = part.split_once("\n.Ed\n").expect("a display has an end");
            let mark = before.lines().last().unwrap();
            let name = mark.strip_prefix(MARK).unwrap_or_else(|| panic!("no name stands above the display\n{display}"));
            found.push((name.to_owned(), format!("{}\n", display.replace("\\e", "\\"))));
            before = part;
        }
    }
    found
}

/// The example of this name.
pub(crate) fn example(name: &str) -> String {
    let mut found = examples().into_iter().filter(|(other, _)| other == name);
    let (_, text) = found.next().unwrap_or_else(|| panic!("the manual has no example {name}"));
    assert!(found.next().is_none(), "the manual has two examples {name}");
    text
}

/// The commands of an example: each begins at a prompt, and may go on for some lines.
pub(crate) fn commands(name: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in example(name).lines() {
        match (line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")), commands.last_mut()) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, Some(command)) => *command += &format!("\n{line}"),
            (None, None) => panic!("example {name} begins without a prompt"),
        }
    }
    commands
}

/// An example with the folders of a site in the place of those of a system, ports that the kernel chooses, and the user
/// who serves here.
pub(crate) fn here(text: &str, site: &Site) -> String {
    let user = if is_root() { SERVICE_USER.to_owned() } else { tools::run("id", &["-un"]).trim().to_owned() };
    let mut text = text.replace("-o fileserv", &format!("-o {user}"));
    for (there, here) in [
        ("/srv/www", "root"),
        ("/srv/app", "app"),
        ("/srv/releases", "releases"),
        ("/etc/fileserv", "."),
        ("/var/log/fileserv", "log"),
        ("/run/fileserv", "log"),
    ] {
        text = text.replace(there, site.beside(here).to_str().unwrap());
    }
    for (there, here) in [("0.0.0.0:80", "127.0.0.1:0"), ("[::]:80", "[::1]:0"), ("127.0.0.1:8081", "127.0.0.1:0")] {
        text = text.replace(&format!("{there}80"), here).replace(there, here);
    }
    text
}
