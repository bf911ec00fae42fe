//! JSON in, strictly: what two readers could understand in two ways is refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::act::Fault;

/// Reads a body; a name that comes twice in one object is an error.
pub(crate) fn read(body: &[u8]) -> Result<Value, Fault> {
    let bad = |text| move |_| Fault::bad("structure", text);
    let value = serde_json::from_slice(body).map_err(bad("the body isn't JSON"))?;
    serde_json::from_slice::<Once>(body).map_err(bad("the body has a name twice in an object"))?;
    Ok(value)
}

/// JSON without a name that comes twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, _)) = fields.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(de::Error::custom("a name comes twice"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_once() {
        for text in [
            r#"{"a":1.50,"b":[{"a":-1e400},{"a":null}],"c":true,"d":"a"}"#,
            "[]",
            "1",
        ] {
            assert_eq!(
                read(text.as_bytes()).unwrap().to_string(),
                text.replace("e4", "e+4")
            );
        }
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"[{"b":{"a":1,"\u0061":2}}]"#,
            "{",
            "",
            "{} {}",
            "\u{feff}{}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
