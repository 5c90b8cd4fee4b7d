//! What is asked of a listing: its form, by parameter or by Accept, and the order of its entries.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400.

use super::entries::{Order, Sort};
use crate::content::parameters::Parameters;
use crate::message::{Accept, Refusal, Request};

/// In which form a listing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Page,
    /// For programs.
    Json,
    /// Names, one a line.
    Names,
    /// What `sha256sum -c` reads.
    Sha256sum,
}

/// The media types, most useful first: who accepts `text/plain` without more gets the names.
const OFFERS: [(&str, Form); 4] = [
    ("text/html;charset=utf-8", Form::Page),
    ("application/json", Form::Json),
    ("text/plain;charset=utf-8", Form::Names),
    ("text/plain;charset=utf-8;profile=sha256sum", Form::Sha256sum),
];

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) form: Form,
    pub(super) sort: Sort,
    pub(super) order: Order,
}

impl Asked {
    /// Reads the parameters; a link can say `format` where its reader can't say Accept. Who accepts no form gets the
    /// page. Parameters of other names are let be, for a folder may have an index tomorrow that knows them.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        let parameters = Parameters::read_some(request.query, &["sort", "order", "format"])?;
        let form = parameters.word(
            "format",
            &[("html", Form::Page), ("json", Form::Json), ("text", Form::Names), ("sha256sum", Form::Sha256sum)],
        )?;
        let sort = parameters.word("sort", &[("name", Sort::Name), ("size", Sort::Size), ("time", Sort::Time)])?;
        let order = parameters.word("order", &[("asc", Order::Ascending), ("desc", Order::Descending)])?;
        let accepted = || Accept::of(request.fields).choose(&OFFERS).unwrap_or(Form::Page);
        Ok(Self {
            form: form.unwrap_or_else(accepted),
            sort: sort.unwrap_or_default(),
            order: order.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::with_request;
    use crate::message::{Method, Status};

    fn asked(query: &'static str, accept: &'static str) -> Result<Asked, Refusal> {
        with_request(Method::Get, "/", Some(query), &[("Accept", accept)], Asked::of)
    }

    #[test]
    fn accept_or_the_parameter_decides_on_the_form() {
        for (query, accept, form) in [
            ("", "*/*", Form::Page),
            ("", "image/png", Form::Page),
            ("", "text/html,application/xhtml+xml,*/*;q=0.8", Form::Page),
            ("", "application/json", Form::Json),
            ("", "text/plain", Form::Names),
            ("", "text/plain; charset=UTF-8", Form::Names),
            ("", "text/plain;profile=sha256sum", Form::Sha256sum),
            ("", "text/plain; profile=sha256sum, */*;q=0.1", Form::Sha256sum),
            ("format=sha256sum", "*/*", Form::Sha256sum),
            ("format=text", "application/json", Form::Names),
            ("format=html&utm=x&utm=y", "application/json", Form::Page),
        ] {
            assert_eq!(asked(query, accept).unwrap().form, form, "{query} {accept}");
        }
    }

    #[test]
    fn an_unknown_order_is_refused_by_name() {
        let asked_order = asked("sort=time&order=desc", "*/*").unwrap();
        assert_eq!((asked_order.sort, asked_order.order), (Sort::Time, Order::Descending));
        for (query, name) in [
            ("sort=date", "“sort”"),
            ("order=up", "“order”"),
            ("format=xml", "“format”"),
            ("sort=name&sort=name", "“sort”"),
        ] {
            let refusal = asked(query, "*/*").unwrap_err();
            assert_eq!(refusal.status, Status::BAD_REQUEST);
            assert!(refusal.detail.contains(name), "{query}: {}", refusal.detail);
        }
    }
}
