//! Reading a file of credentials: its lines, without comments and empty ones, each as `NAME:SECRET`.
//! Process: supervisor, as the service user. Blocks: as the disk does.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::CredentialsError;

/// Ten thousand users, and as many comments; `/dev/zero` must end.
const FILE_LIMIT_BYTES: u64 = 2 << 20;
/// As long as a name of the system may be, and a mail address.
const NAME_LIMIT_BYTES: usize = 255;
const READABLE_BY_OTHERS: u32 = 0o004;

/// A file that has been read.
pub(super) struct Text {
    name: String,
    text: String,
}

/// A line that is not empty.
pub(super) struct Line<'t> {
    pub(super) number: usize,
    pub(super) name: &'t str,
    pub(super) secret: &'t str,
}

/// Reads a file. Who should not have been able to is told of in a warning.
pub(super) fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Text, CredentialsError> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied;
        let hint = if is_forbidden { "; the user who serves has to be able to read it" } else { "" };
        CredentialsError::Unreadable { file: name.clone(), reason: format!("{error}{hint}") }
    };
    let (text, mode) = read_bounded(path).map_err(unreadable)?;
    if mode & READABLE_BY_OTHERS != 0 {
        warnings.push(format!("{name} may be read by everybody on this machine: chmod o= {name}"));
    }
    Ok(Text { name, text })
}

fn read_bounded(path: &Path) -> io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut text = String::new();
    let read = file.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_LIMIT_BYTES {
        return Err(io::Error::other("this is no file of credentials: it is larger than 2 MiB"));
    }
    Ok((text, mode))
}

impl Text {
    /// A text that was not read from a file.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self { name: "f".to_owned(), text: text.to_owned() }
    }

    /// The lines that say something.
    pub(super) fn lines(&self) -> impl Iterator<Item = Result<Line<'_>, CredentialsError>> {
        let said = |(_, line): &(usize, &str)| !line.trim().is_empty() && !line.starts_with('#');
        self.text.lines().enumerate().filter(said).map(|(index, line)| self.line(index + 1, line))
    }

    fn line<'t>(&self, number: usize, line: &'t str) -> Result<Line<'t>, CredentialsError> {
        let Some((name, secret)) = line.split_once(':') else {
            return Err(self.wrong(number, "there is no `:`; write NAME:SECRET"));
        };
        if name.is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(char::is_control) {
            return Err(self.wrong(number, format!("{name:?} can't be a name; write 1 to {NAME_LIMIT_BYTES} bytes")));
        }
        Ok(Line { number, name, secret: secret.trim_end() })
    }

    /// Something wrong in this line.
    pub(super) fn wrong(&self, line: usize, message: impl Into<String>) -> CredentialsError {
        CredentialsError::InFile { file: self.name.clone(), line, message: message.into() }
    }
}
