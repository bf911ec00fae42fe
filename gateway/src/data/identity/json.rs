//! JSON of tokens and key sets, read strictly: UTF-8, one object, no key twice at any depth.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The key under which serde_json hands over a number with its digits as written.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one JSON object and nothing after it. `None` where it isn't one or says a key twice.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(map) if text.trim_start().starts_with('{') => Some(map),
        _ => None,
    }
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key == NUMBER && map.is_empty() {
                let digits: String = access.next_value()?;
                return digits
                    .parse::<Number>()
                    .map(Value::Number)
                    .map_err(Error::custom);
            }
            let value = access.next_value_seed(Strict)?;
            if map.insert(key, value).is_some() {
                return Err(Error::custom("a key twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_without_duplicate_keys_is_read() {
        let table: [(&[u8], bool); 16] = [
            (b"{}", true),
            (br#" {"a":1,"b":{"a":[1.5,true,null,"x"]}} "#, true),
            (br#"{"a":1,"a":1}"#, false),
            (br#"{"a":1,"\u0061":2}"#, false),
            (br#"{"a":{"b":1,"b":2}}"#, false),
            (br#"{"a":[{"b":1,"b":2}]}"#, false),
            (b"[]", false),
            (b"1", false),
            (b"\"{}\"", false),
            (b"", false),
            (b"{} {}", false),
            (b"{},", false),
            (b"{\"a\":\"\xff\"}", false),
            (b"\xef\xbb\xbf{}", false),
            (br#"{"a":"\ud800"}"#, false),
            (br#"{"a":NaN}"#, false),
        ];
        for (text, good) in table {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(object(text).is_some(), good, "{shown}");
        }
    }

    #[test]
    fn numbers_keep_their_form() {
        let map = object(br#"{"i":17,"f":17.0,"e":1e3,"n":-1,"h":99999999999999999999}"#).unwrap();
        assert_eq!(map["i"].as_i64(), Some(17));
        assert_eq!(map["f"].as_i64(), None);
        assert_eq!(map["e"].as_i64(), None);
        assert_eq!(map["n"].as_i64(), Some(-1));
        assert_eq!(map["h"].as_i64(), None);
    }
}
