//! How a value is read: from one string or number, with words that say what would be right, so that the TOML reader
//! can add the line and the column.
//! Process: supervisor. Trusts: the operator.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value that is written as one string or number.
pub(super) trait Scalar: Sized {
    /// What would be right: it ends a sentence.
    const EXPECTED: &'static str;

    /// Reads the value; the error says what would be right.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the value from a number without quotes; `None` where a string is wanted.
    fn from_integer(_number: u64) -> Option<Self> {
        None
    }
}

/// Reads a `Scalar` wherever TOML has a string or a number.
pub(super) struct ScalarVisitor<T>(PhantomData<T>);

impl<T> ScalarVisitor<T> {
    pub(super) const NEW: Self = Self(PhantomData);
}

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        let value = u64::try_from(number).ok().and_then(T::from_integer);
        value.ok_or_else(|| E::custom(format!("{number} is not possible here; write {}", T::EXPECTED)))
    }
}

/// `Deserialize` for types that are `Scalar`.
macro_rules! scalars {
    ($($name:ty),*) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::config::scalar::ScalarVisitor::<$name>::NEW)
            }
        }
    )*};
}
pub(super) use scalars;

/// A list; a single value may stand without brackets.
pub(super) struct Many<T>(Vec<T>);

impl<T: Into<U>, U> From<Many<T>> for Vec<U> {
    fn from(many: Many<T>) -> Self {
        many.0.into_iter().map(Into::into).collect()
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar + Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(words, "a list, each of it {}", T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Many<T>, E> {
        T::from_text(text).map(|value| Many(vec![value])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Many<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Many(values))
    }
}

impl<'de, T: Scalar + Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

/// The value that a word stands for.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value);
    found.ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("{text:?} is not known here; write one of {}", known.join(", "))
    })
}
