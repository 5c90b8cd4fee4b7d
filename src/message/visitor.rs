//! Who asks: what the access rules know of the sender of a request.
//! Process: worker. Made when a head is complete; `Visitor::default()` is somebody unknown from nowhere.

use std::net::IpAddr;
use std::sync::Arc;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Visitor {
    /// The client's address; `None` on a Unix socket, unless a trusted proxy names one.
    pub client: Option<IpAddr>,
    /// The name whose password or token was right.
    pub user: Option<Arc<str>>,
}
