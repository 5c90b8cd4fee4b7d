//! For whom an answer is: the fields that keep it from others, that ask who somebody is, and that let scripts read it.
//! Process: worker, sealed. Pure. Every answer to a request goes through here, whoever made it and when.
//! RFC 9111 section 5.2.2.7 (private); Fetch standard section 3.2.

use super::authorization::{Schemes, challenge};
use super::cross_site;
use super::route::subject;
use crate::config::{CorsGrant, Site, Verbs};
use crate::message::{FieldName, Refusal, Request, Response, Status, Value};

/// What must be known of who asks when the answer is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audience {
    /// May the answer not be kept where others would get it?
    pub is_some: bool,
    /// What a user may do at this path, if nobody has shown to be one yet.
    pub after_login: Verbs,
    /// How to ask for it.
    pub schemes: Schemes,
    /// What the site says of the origin of a script.
    pub cors: CorsGrant,
}

impl Audience {
    /// That of bytes which never became a request.
    pub const NOBODY: Self = Self {
        is_some: false,
        after_login: Verbs::NONE,
        schemes: Schemes { passwords: false, tokens: false },
        cors: CorsGrant { id: None, varies: false },
    };

    /// The audience of a request.
    #[must_use]
    pub fn of(site: &Site, request: &Request<'_>, schemes: Schemes) -> Self {
        let cors = cross_site::grant(site, request);
        if !site.access.is_selective() {
            return Self { is_some: false, after_login: Verbs::NONE, schemes, cors };
        }
        let (visitor, path) = (&request.visitor, subject(site, &request.path));
        let is_asked = visitor.user.is_none() && site.access.asks_for_user(path);
        Self {
            is_some: request.method.is_retrieval() && site.access.is_for_some(path, visitor),
            after_login: if is_asked { site.access.verbs_of_users(path, visitor) } else { Verbs::NONE },
            schemes,
            cors,
        }
    }

    /// A refusal for want of a right that a user has becomes the question who it is.
    #[must_use]
    pub fn ask_for_user(&self, refusal: Refusal) -> Refusal {
        if !self.after_login.contains_any(refusal.lacks) {
            return refusal;
        }
        let detail = "Only users may do this: a name and password, or a token, is wanted.";
        Refusal { status: Status::UNAUTHORIZED, detail: detail.into(), ..refusal }
    }

    /// Adds the fields. Those that name an origin are added by `format`, which has room for them.
    pub fn dress(&self, response: &mut Response) {
        if response.status == Status::UNAUTHORIZED {
            challenge(response, self.schemes);
        }
        if self.cors.varies {
            response.own_fields().vary_by(FieldName::Origin);
        }
        if self.is_some {
            self.keep_private(response);
        }
    }

    /// `Vary: Authorization` would be no use: a cache keeps nothing for others that is private, and needs no key for it.
    fn keep_private(&self, response: &mut Response) {
        let value = match response.field(FieldName::CacheControl) {
            None => Value::from("private"),
            Some(Value::Text(text)) if text.contains("no-store") || text.contains("private") => return,
            Some(Value::Text(text)) => Value::from(format!("private, {text}")),
            Some(Value::Number(_) | Value::Date(_) | Value::Tag(_) | Value::Range(_)) => return,
        };
        response.own_fields().retain(|name| name != FieldName::CacheControl);
        response.fields.push(FieldName::CacheControl, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_some_is_private_whatever_else_is_said() {
        let audience = Audience { is_some: true, ..Audience::default() };
        for (before, after) in [
            (None, "private"),
            (Some("no-cache"), "private, no-cache"),
            (Some("no-store"), "no-store"),
            (Some("private"), "private"),
        ] {
            let mut response = Response::new(Status::OK);
            if let Some(before) = before {
                response.fields.push(FieldName::CacheControl, before);
            }
            audience.dress(&mut response);
            assert_eq!(response.fields.find(FieldName::CacheControl), Some(&Value::from(after.to_owned())));
        }
    }

    #[test]
    fn only_a_right_that_a_user_has_is_asked_for() {
        use crate::config::Verb;
        let audience = Audience { after_login: Verbs::NONE.with(Verb::Create), ..Audience::default() };
        let status = |verb| audience.ask_for_user(Refusal::lacking(verb, "no")).status;
        assert_eq!(status(Verb::Create), Status::UNAUTHORIZED);
        assert_eq!(status(Verb::Delete), Status::FORBIDDEN);
        let refusal = Refusal::new(Status::FORBIDDEN, "no");
        assert_eq!(audience.ask_for_user(refusal.clone()), refusal);
    }
}
