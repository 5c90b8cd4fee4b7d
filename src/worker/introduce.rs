//! Who the client is: the peer itself, whom a PROXY header names, or whom a trusted proxy names in a request.
//! Process: worker, sealed. Trusts: the listener's word that a proxy speaks, and the proxies of `trusted_proxies`.
//! Blocks: never. Fails with: 503 for one connection too many.

use std::net::IpAddr;

use super::clients::{Admission, Clients};
use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, Input, State};
use super::desk::Desk;
use crate::http::{self, ProxyHeader};
use crate::message::{FieldName, Fields, Refusal, Status, Value};

impl Connection {
    /// `RecvProxy`: reads the header of the PROXY protocol. Its deadline is that of a head and runs from the accept.
    pub(super) fn recv_proxy(&mut self, buffer: &mut [u8], input: &mut Input, desk: &mut Desk) -> Flow {
        let limit = desk.config.limits.head_bytes;
        match http::parse_proxy_header(input.bytes(buffer), limit) {
            Ok(ProxyHeader::Complete { client, used }) => {
                input.consume(used);
                self.state = State::RecvHead;
                self.set_deadline(desk, desk.config.timeouts.head);
                // Who is not named is the proxy itself, or somebody it does not know.
                self.introduce(client.or(self.peer), desk)
            }
            Ok(ProxyHeader::Incomplete) => {
                let room = limit.saturating_sub(input.end - input.start).max(1);
                self.receive(buffer, input, room, desk)
            }
            // To whom should we speak, and in which protocol?
            Err(http::NotProxied) => Flow::Close(CloseReason::NotProxied),
        }
    }

    /// The peer is known: counts it, unless it is a proxy that speaks for many. One connection too many is told so.
    pub(super) fn introduce(&mut self, peer: Option<IpAddr>, desk: &mut Desk) -> Flow {
        self.peer = peer;
        self.client = peer;
        self.is_trusted = desk.config.trusted_proxies.contains(peer);
        if self.is_trusted {
            return Flow::Next;
        }
        match self.enter(desk) {
            Admission::Welcome => Flow::Next,
            Admission::Refused => {
                desk.tally.refused += 1;
                self.refuse_unparsed(&too_many_connections(), desk)
            }
            Admission::TurnedAway => Flow::Close(CloseReason::TurnedAway),
        }
    }

    /// A request of a trusted proxy: who is its client, and has that client too many already?
    ///
    /// # Errors
    /// 400 for proxies that contradict each other, 503 for one request at a time too many.
    pub(super) fn introduce_request(&mut self, fields: &Fields<'_>, desk: &mut Desk) -> Result<(), Refusal> {
        self.dismiss(&mut desk.clients);
        let config = &desk.config;
        let named = http::forwarded_client(fields, config.forwarded_field, &config.trusted_proxies)?;
        let Some(client) = named else { return Ok(()) };
        self.client = Some(client);
        match self.enter(desk) {
            Admission::Welcome => Ok(()),
            Admission::Refused | Admission::TurnedAway => {
                desk.tally.refused += 1;
                Err(too_many_connections())
            }
        }
    }

    fn enter(&mut self, desk: &mut Desk) -> Admission {
        // Who comes by a Unix socket has no address to be counted by.
        let Some(client) = self.client else { return Admission::Welcome };
        let admission = desk.clients.enter(client, &desk.config.limits);
        self.is_counted = admission != Admission::TurnedAway;
        admission
    }

    /// The client is done: with a request if a proxy speaks for it, else with the connection.
    pub(super) fn dismiss(&mut self, clients: &mut Clients) {
        if let Some(client) = self.client.filter(|_| self.is_counted) {
            clients.leave(client);
        }
        self.is_counted = false;
        self.client = self.peer;
    }
}

fn too_many_connections() -> Refusal {
    // Seconds; a browser that waits so long has taken what its other connections brought.
    const RETRY_AFTER_SECONDS: u64 = 5;
    Refusal::closing(Status::SERVICE_UNAVAILABLE, "You have too many connections open; try again in a moment.")
        .with_field(FieldName::RetryAfter, Value::Number(RETRY_AFTER_SECONDS))
}
