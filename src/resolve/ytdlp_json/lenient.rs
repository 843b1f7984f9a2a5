//! Deserializes fields that may be missing, of another type, or absurdly long: such a value is skipped while it is
//! parsed, without being stored.
//!
//! **Invariant:** what a value takes in memory is bounded by its type, not by the input.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Maximum length of a text that is kept, unless its type says otherwise. It is more than any use of a text permits, so
/// that a longer one, which is cut, is recognised as too long.
const MAX_TEXT: usize = 64 << 10;

/// A type of field. By default, a value of any kind is skipped.
pub(super) trait Field<'de>: Sized {
    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    fn from_number(_: f64) -> Option<Self> {
        None
    }

    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn from_object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Deserializes a field.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: Field<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(FieldVisitor(PhantomData))
}

/// A field, as the element of a list.
pub(super) struct Lenient<T>(pub(super) Option<T>);

impl<'de, T: Field<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lenient<T>, D::Error> {
        lenient(deserializer).map(Lenient)
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Field<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<T>, E> {
        Ok(T::from_bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<T>, E> {
        Ok(T::from_number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<T>, E> {
        Ok(T::from_number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<T>, E> {
        Ok(T::from_number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<T>, E> {
        Ok(T::from_text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Option<T>, A::Error> {
        T::from_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Option<T>, A::Error> {
        T::from_object(object)
    }
}

impl Field<'_> for bool {
    fn from_bool(value: bool) -> Option<bool> {
        Some(value)
    }
}

impl Field<'_> for f64 {
    fn from_number(value: f64) -> Option<f64> {
        Some(value)
    }
}

impl Field<'_> for String {
    fn from_text(text: &str) -> Option<String> {
        Some(text[..text.floor_char_boundary(MAX_TEXT)].to_owned())
    }
}

/// A text of at most `MAX` bytes; a longer one is cut.
pub(super) struct Text<const MAX: usize>(pub(super) String);

impl<const MAX: usize> Field<'_> for Text<MAX> {
    fn from_text(text: &str) -> Option<Text<MAX>> {
        Some(Text(text[..text.floor_char_boundary(MAX)].to_owned()))
    }
}

/// Whether a value is neither absent nor like `False` in Python. A number does not count.
pub(super) struct IsSet(pub(super) bool);

impl<'de> Field<'de> for IsSet {
    fn from_bool(value: bool) -> Option<IsSet> {
        Some(IsSet(value))
    }

    fn from_text(_: &str) -> Option<IsSet> {
        Some(IsSet(true))
    }

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<IsSet>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(IsSet(true)))
    }

    fn from_object<A: MapAccess<'de>>(mut object: A) -> Result<Option<IsSet>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(IsSet(true)))
    }
}

/// The first `MAX` elements of a list; further ones are skipped.
pub(super) struct First<T, const MAX: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Field<'de> for First<T, MAX> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<First<T, MAX>>, A::Error> {
        let mut first = Vec::new();
        while first.len() < MAX {
            let Some(element) = list.next_element()? else { return Ok(Some(First(first))) };
            first.push(element);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(First(first)))
    }
}

/// A list of at most `MAX` elements; a longer one counts as missing.
pub(super) struct AtMost<T, const MAX: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Field<'de> for AtMost<T, MAX> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<AtMost<T, MAX>>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MAX {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            elements.push(element);
        }
        Ok(Some(AtMost(elements)))
    }
}

/// The texts of an object with their names; of more than `MAX`, one more.
pub(super) struct Texts<const MAX: usize>(pub(super) Vec<(String, String)>);

impl<'de, const MAX: usize> Field<'de> for Texts<MAX> {
    fn from_object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Texts<MAX>>, A::Error> {
        let mut texts = Vec::new();
        while texts.len() <= MAX {
            let Some((name, value)) = object.next_entry::<Lenient<String>, Lenient<String>>()?
            else {
                return Ok(Some(Texts(texts)));
            };
            texts.extend(name.0.zip(value.0));
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Texts(texts)))
    }
}

/// Deserializes a struct whose fields are lenient.
pub(super) fn structure<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    object: A,
) -> Result<Option<T>, A::Error> {
    T::deserialize(MapAccessDeserializer::new(object)).map(Some)
}

/// Parses a value of which the text is known.
pub(super) fn parse<'j, T: Field<'j>>(json: &'j RawValue) -> Option<T> {
    serde_json::from_str::<Lenient<T>>(json.get()).ok()?.0
}
