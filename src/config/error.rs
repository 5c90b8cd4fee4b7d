//! Why a configuration can't be used: where it stands, the line itself, and what would be right.
//! Process: supervisor. Printed before service begins, or logged by a reload that changes nothing.

/// Why a configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{file}: {reason}")]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system says.
        reason: String,
    },
    /// A place in the file is wrong.
    #[error("{file}:{line}:{column}: {message}\n  {excerpt}\n  {pointer}^")]
    InFile {
        /// The file as it was named.
        file: String,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What is wrong, and what would be right.
        message: String,
        /// The line.
        excerpt: String,
        /// As much space as stands before the wrong place.
        pointer: String,
    },
    /// An option of the command line is wrong.
    #[error("{option}: {message}")]
    InOption {
        /// The option as it was given.
        option: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A default can't be used here, and nothing else was said.
    #[error("{name}: {key} is not set, and its default can't be used: {message}")]
    InDefault {
        /// Where the key could have been set.
        name: String,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        message: String,
    },
}

impl ConfigError {
    /// The error at a byte offset of a file's text.
    pub(super) fn in_file(file: &str, text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(start..).unwrap_or_default();
        let excerpt = rest.split('\n').next().unwrap_or_default();
        // Not `lines`: it leaves a CR at the very end of the text, and a terminal would write the pointer over the line.
        let excerpt = excerpt.strip_suffix('\r').unwrap_or(excerpt);
        let lead = before.get(start..).unwrap_or_default();
        Self::InFile {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: lead.chars().count() + 1,
            message,
            excerpt: excerpt.to_owned(),
            // A tab stays a tab, so that the pointer stands below its letter wherever tabs lead.
            pointer: lead.chars().map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown_in_characters() {
        let error = ConfigError::in_file("f.toml", "a = 1\n\tü = 2 # x\n", 10, "no".to_owned());
        assert_eq!(error.to_string(), "f.toml:2:4: no\n  \tü = 2 # x\n  \t  ^");
    }

    #[test]
    fn the_end_of_the_text_is_a_place_too() {
        let error = ConfigError::in_file("f", "a = ", 4, "no".to_owned());
        assert_eq!(error.to_string(), "f:1:5: no\n  a = \n      ^");
        let error = ConfigError::in_file("f", "", 9, "no".to_owned());
        assert_eq!(error.to_string(), "f:1:1: no\n  \n  ^");
    }
}
