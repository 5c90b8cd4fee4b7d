//! Why a file of passwords or tokens can't be used: where it stands, and what would be right.
//! Process: supervisor. Printed before service begins, or logged by a reload that changes nothing.

/// Why a file of passwords or tokens can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("{file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says, and who has to be able to read it.
        reason: String,
    },
    /// A line of it is wrong.
    #[error("{file}:{line}: {message}")]
    InFile {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A rule names somebody who can't log in.
    #[error(
        "the rule of access for {path:?} names the user {name:?}, who stands neither in users_file nor in tokens_file; \
         add a line (fileserv --hash-password {name}), or correct the name"
    )]
    Nobody {
        /// The user.
        name: String,
        /// The path of the rule.
        path: String,
    },
}
