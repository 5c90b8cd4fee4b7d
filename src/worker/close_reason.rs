//! Why a connection ended: once the first byte of a reply is out, there is nothing else to say to the client.

use crate::stats::Tally;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The client closed between two requests.
    ClientDone,
    /// The client or the configuration wanted the last answer to be the last.
    Answered,
    /// Nothing came for `timeouts.idle`.
    Idle,
    /// A deadline passed in the middle of a request or reply.
    TimedOut,
    /// The client went away in the middle of a request or reply.
    Aborted,
    /// A file got shorter, or a source failed, while it was sent.
    ContentLost,
    /// Helper threads have more work than they can take.
    Overloaded,
    /// No PROXY header came where one must.
    NotProxied,
    /// The client has far too many connections.
    TurnedAway,
    /// The worker ends.
    ShutDown,
}

impl CloseReason {
    /// Adds to the counter of this reason.
    pub(super) fn count(self, tally: &mut Tally) {
        match self {
            Self::TimedOut => tally.timeouts += 1,
            Self::TurnedAway => tally.refused += 1,
            Self::Aborted | Self::ContentLost | Self::Overloaded | Self::NotProxied => {
                tally.aborts += 1;
            }
            Self::ClientDone | Self::Answered | Self::Idle | Self::ShutDown => {}
        }
    }
}
