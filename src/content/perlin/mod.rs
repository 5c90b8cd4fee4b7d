//! Box `content_perlin`: Perlin noise as characters in a page, as plain text, or as a picture.
//! Process: worker, sealed. Trusts: nothing. Blocks: never; a helper thread draws. Fails with: 400, 405, 500.

mod canvas;
mod drawing;
mod picture;

use maud::html;

use super::parameters::Parameters;
use super::{Context, page};
use crate::message::{Body, ETag, FieldName, Provided, Refusal, Request, Response, Status};
use crate::sys::random;
use picture::Picture;

/// In which form a picture is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Text,
    Png,
}

const FORMS: [(&str, Form); 3] = [("html", Form::Page), ("text", Form::Text), ("png", Form::Png)];

/// How long a drawing may be taken from a cache, in seconds: a new version of fileserv may draw otherwise.
const CACHED: &str = "public, max-age=3600";

/// Draws what the query asks for. Without a seed, each answer is another picture, which is why it has no entity tag.
#[doc(alias = "content_perlin")]
#[expect(clippy::missing_errors_doc, reason = "the head of this file names the refusals of its provider")]
pub fn perlin(_ctx: &Context<'_>, request: &Request<'_>) -> Provided {
    let parameters = Parameters::read(request.query, &["width", "height", "seed", "scale", "octaves", "format"])?;
    let form = parameters.word("format", &FORMS)?.unwrap_or(Form::Page);
    let seed = parameters.number("seed", &(0..=u32::MAX))?;
    let picture = Picture::read(&parameters, seed.map_or_else(fresh_seed, Ok)?)?;

    let mut response = draw(&picture, form)?;
    if seed.is_some() {
        response.validators.etag = Some(tag(&picture, form));
        response.fields.push(FieldName::CacheControl, CACHED);
    } else {
        response.fields.push(FieldName::CacheControl, "no-store");
    }
    Ok(response.into())
}

fn fresh_seed() -> Result<u32, Refusal> {
    let failed =
        |_| Refusal::new(Status::INTERNAL_SERVER_ERROR, "The server has no random numbers; please give a seed.");
    Ok(u32::from_ne_bytes(random::bytes().map_err(failed)?))
}

/// The tag names the program too: another version may draw, or compress, otherwise.
fn tag(picture: &Picture, form: Form) -> ETag {
    ETag::of(format!("perlin {} {form:?} {}", env!("CARGO_PKG_VERSION"), picture.query()).as_bytes())
}

fn draw(picture: &Picture, form: Form) -> Result<Response, Refusal> {
    Ok(match form {
        Form::Page => {
            let drawing = drawing::characters(picture, page_opening(picture), &["</pre>", page::CLOSING].concat());
            page::respond(Status::OK, drawing)
        }
        Form::Text => {
            let drawing = drawing::characters(picture, String::new(), "");
            Response::with_body(Status::OK, "text/plain; charset=utf-8", drawing)
        }
        Form::Png => {
            let failed = |_| Refusal::new(Status::INTERNAL_SERVER_ERROR, "The server can't draw a PNG.");
            let drawing = drawing::png(picture).map_err(failed)?;
            Response::with_body(Status::OK, "image/png", Body::Source { source: Box::new(drawing), length: None })
        }
    })
}

/// The page up to the first character of the picture. Its links lead to the same picture in every form.
fn page_opening(picture: &Picture) -> String {
    let query = picture.query();
    let number =
        |name: &str, value: &dyn std::fmt::Display, least: &dyn std::fmt::Display, most: &dyn std::fmt::Display| {
            let step = if name == "scale" { "any" } else { "1" };
            html! {
                label {
                    (name) " "
                    input type="number" name=(name) value=(value) min=(least) max=(most) step=(step) required;
                }
            }
        };
    let content = html! {
        p {
            "Seed " code { (picture.seed) } ": "
            a href={ "?" (query) } { "this picture again" } ", "
            a href={ "?" (query) "&format=text" } { "as text" } ", "
            a href={ "?" (query) "&format=png" } { "as PNG" } ", or "
            a href="?" { "another one" } "."
        }
        form method="get" {
            (number("width", &picture.width, picture::WIDTH.start(), picture::WIDTH.end()))
            (number("height", &picture.height, picture::HEIGHT.start(), picture::HEIGHT.end()))
            (number("seed", &picture.seed, &0, &u32::MAX))
            (number("scale", &picture.scale, picture::SCALE.start(), picture::SCALE.end()))
            (number("octaves", &picture.octaves, picture::OCTAVES.start(), picture::OCTAVES.end()))
            label {
                "format "
                select name="format" { @for (word, _) in FORMS { option { (word) } } }
            }
            button { "Draw" }
        }
    };
    // A character is about 0.6 times as wide as its font is high, so this fits the picture to the window; the smallest
    // size keeps a wide picture readable, to be scrolled.
    let style = format!("line-height:1;font-size:clamp(3px,calc(min(100vw - 2rem,58rem)/{}/0.6),1rem)", picture.width);
    let rest = html! { (content) (maud::PreEscaped(format!("<pre class=\"wide\" style=\"{style}\">"))) };
    page::opening("Perlin noise") + &rest.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::{ask, whole};
    use crate::message::{Method, Value};

    fn get(query: &'static str) -> Response {
        ask(perlin, Method::Get, "/perlin", Some(query), &[]).unwrap()
    }

    #[test]
    fn the_default_is_a_page_of_250_by_100_characters() {
        let response = ask(perlin, Method::Get, "/perlin", None, &[]).unwrap();
        assert_eq!(response.fields.find(FieldName::CacheControl), Some(&"no-store".into()));
        assert_eq!(response.validators.etag, None);
        let text = String::from_utf8(whole(response.body)).unwrap();
        let rows = text.split_once("rem)\">").unwrap().1.split_once("</pre>").unwrap().0;
        assert_eq!(rows.lines().count(), 100);
        assert!(rows.lines().all(|row| row.len() == 250));
        assert!(text.ends_with("</html>\n"));
        // The link with the seed leads to the same picture.
        let query = text.split("href=\"?").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        let again = whole(get(query.leak()).body);
        assert_eq!(String::from_utf8(again).unwrap(), text);
    }

    #[test]
    fn same_parameters_same_bytes_and_tag() {
        for format in ["html", "text", "png"] {
            let query = |seed: u32| &*format!("seed={seed}&width=70&height=20&format={format}").leak();
            let (one, two, other) = (get(query(7)), get(query(7)), get(query(8)));
            assert_eq!(one.validators, two.validators);
            assert!(one.validators.etag.unwrap().is_strong());
            assert_ne!(one.validators, other.validators);
            assert_ne!(one.validators, get("seed=7&width=70&height=21").validators);
            let one = whole(one.body);
            assert_eq!(one, whole(two.body));
            assert_ne!(one, whole(other.body));
        }
        assert_ne!(get("seed=1&format=text").validators, get("seed=1&format=png").validators);
        assert_eq!(get("seed=1").validators, get("scale=32.0&seed=1&width=250").validators);
    }

    #[test]
    fn a_length_that_is_told_is_true() {
        for query in
            ["seed=1&width=3&height=2&format=text", "seed=1&width=1&height=1", "format=text&width=4096&height=40"]
        {
            let response = get(query);
            let length = response.body.length().unwrap();
            assert_eq!(whole(response.body).len() as u64, length);
        }
    }

    #[test]
    fn a_png_has_the_size_that_was_asked_for() {
        let response = get("width=301&height=77&octaves=8&scale=3.5&seed=4294967295&format=png");
        assert_eq!(response.fields.find(FieldName::ContentType), Some(&Value::from("image/png")));
        let bytes = whole(response.body);
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (301, 77, png::ColorType::Grayscale));
        assert_eq!(pixels.len(), 301 * 77);
        assert!(pixels.iter().max() > pixels.iter().min());
        reader.finish().unwrap();
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for query in
            ["width=0", "height=4097", "octaves=9", "scale=0.5", "seed=-1", "format=gif", "colour=red", "seed=1&seed=2"]
        {
            let refusal = ask(perlin, Method::Get, "/perlin", Some(query), &[]).unwrap_err();
            assert_eq!(refusal.status, Status::BAD_REQUEST);
            let name = query.split('=').next().unwrap();
            assert!(refusal.detail.contains(name), "{}", refusal.detail);
        }
    }
}
