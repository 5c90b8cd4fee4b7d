//! Who the user is: what a request shows is looked up, or looked at by a helper thread while the request waits.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 401, 429, 503.
//! A request that waits keeps its bytes: when the verdict is there, its head is read again and finds it.

use std::sync::Arc;

use super::clients::ClientKey;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::event_loop::EventLoop;
use super::exchange::{Asked, Awaiting};
use super::offload::Task;
use super::verdicts::{Known, Place, Verdict};
use crate::config::SiteId;
use crate::http::{self, Shown};
use crate::log::Level;
use crate::message::{FieldName, Refusal, Request, Status, Value, Visitor};

/// Who the user is.
pub(super) enum Identity {
    /// Nobody says to be anybody, or it does not matter here.
    Unknown,
    /// This one.
    User(Arc<str>),
    /// A helper thread has to look at the password first.
    Wait,
}

impl Connection {
    /// Finds out who sends a request, where the rules ask for it.
    ///
    /// # Errors
    /// 401 for what is wrong, 429 and 503 for too much at once.
    pub(super) fn identify(&self, request: &Request<'_>, site: SiteId, desk: &mut Desk) -> Result<Identity, Refusal> {
        let its = desk.config.sites.get(site);
        if !its.access.is_selective() || !its.access.asks_for_user(http::subject(its, &request.path)) {
            return Ok(Identity::Unknown);
        }
        match http::read_authorization(request.fields)? {
            None => Ok(Identity::Unknown),
            Some(Shown::Token(token)) => match desk.credentials.get(site).owner_of_token(&token) {
                Some(user) => Ok(Identity::User(user)),
                None => {
                    self.log_failure("a token", request, desk);
                    Err(wrong("This token is not known."))
                }
            },
            Some(Shown::Password { name, password }) => self.look_up(&name, &password, request, site, desk),
        }
    }

    fn look_up(
        &self,
        name: &str,
        password: &[u8],
        request: &Request<'_>,
        site: SiteId,
        desk: &mut Desk,
    ) -> Result<Identity, Refusal> {
        let field = request.field(FieldName::Authorization).unwrap_or_default();
        let credential = desk.verdicts.credential(site, field);
        match desk.verdicts.known(&credential, desk.monotonic_ms) {
            Known::Good(user) => return Ok(Identity::User(user)),
            Known::Bad => return Err(wrong("This name and password do not go together.")),
            Known::Nothing => {}
        }
        let Some(attempt) = desk.credentials.get(site).attempt(name, password) else {
            return Err(wrong("Nobody has a password here; a token is wanted."));
        };
        match desk.verdicts.wait(credential, self.client.map(ClientKey::of), self.token) {
            Place::Behind => Ok(Identity::Wait),
            Place::First => {
                let failure = self.failure(&format!("user \"{}\"", name.escape_default()), request);
                if desk.offload.submit(self.token, Task::Verify { credential, attempt, failure }) {
                    return Ok(Identity::Wait);
                }
                desk.verdicts.give_up(&credential);
                Err(busy(Status::SERVICE_UNAVAILABLE, "The server checks too many passwords; try again in a moment."))
            }
            Place::TooMany => {
                Err(busy(Status::SERVICE_UNAVAILABLE, "The server checks too many passwords; try again in a moment."))
            }
            Place::TooManyOfClient => {
                Err(busy(Status::TOO_MANY_REQUESTS, "You show too many passwords at once; try again in a moment."))
            }
        }
    }

    /// Parks a request until there is a verdict; its bytes stay where they are.
    pub(super) fn await_verdict(&mut self, asked: Asked, desk: &Desk) -> Flow {
        // It is counted when its head is read again.
        self.requests = self.requests.saturating_sub(1);
        self.await_job(Awaiting::Verdict(asked), desk)
    }

    /// Is its request parked?
    pub(super) fn awaits_verdict(&self) -> bool {
        matches!(&self.state, State::AwaitJob(awaiting) if matches!(**awaiting, Awaiting::Verdict(_)))
    }

    /// There is a verdict: the head is read again, once the client has taken what is owed to it.
    pub(super) fn read_again(&mut self, desk: &Desk) {
        self.state = State::RecvHead;
        self.set_deadline(desk, desk.config.timeouts.send);
    }

    /// What the access rules may know.
    pub(super) fn visitor(&self, identity: Option<&Identity>) -> Visitor {
        let user = match identity {
            Some(Identity::User(user)) => Some(Arc::clone(user)),
            Some(Identity::Unknown | Identity::Wait) | None => None,
        };
        Visitor { client: self.client, user }
    }

    fn log_failure(&self, who: &str, request: &Request<'_>, desk: &Desk) {
        desk.logs.error(Level::Warning, format_args!("{}", self.failure(who, request)));
    }

    /// The line that tells of a wrong password, and that `packaging/fail2ban` knows: the address stands before all that a
    /// client chose.
    fn failure(&self, who: &str, request: &Request<'_>) -> String {
        let client = self.client.map_or_else(|| "unix:".to_owned(), |client| client.to_string());
        format!("login refused: client {client}, {who}, host \"{}\"", request.host_text().escape_default())
    }
}

impl EventLoop {
    /// A verdict is for all who wait for it, even if who asked first is gone.
    pub(super) fn hear_verdict(&mut self, verdict: Verdict, failure: Option<String>) {
        if let Some(failure) = failure {
            self.desk.logs.error(Level::Warning, format_args!("{failure}"));
        }
        for token in self.desk.verdicts.settle(verdict, self.desk.monotonic_ms) {
            let connection = self.connections.get_mut(token.key as usize).filter(|it| it.token == token);
            if let Some(connection) = connection.filter(|it| it.awaits_verdict()) {
                connection.read_again(&self.desk);
                self.turn(token);
            }
        }
    }
}

fn wrong(detail: &'static str) -> Refusal {
    http::unauthorized(detail)
}

fn busy(status: Status, detail: &'static str) -> Refusal {
    // A look takes a part of a second.
    const RETRY_AFTER_SECONDS: u64 = 1;
    Refusal::new(status, detail).with_field(FieldName::RetryAfter, Value::Number(RETRY_AFTER_SECONDS))
}
