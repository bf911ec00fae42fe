//! A value written as an upstream might: any white space, any escapes; and read for its scalars.

use serde_json::Value;

use super::Dice;

/// Writes the value; `space` of 100 places get white space, some characters are escaped.
pub fn render(dice: &mut Dice, value: &Value, space: usize) -> String {
    let mut out = String::new();
    write(dice, value, space, &mut out);
    out
}

fn write(dice: &mut Dice, value: &Value, space: usize, out: &mut String) {
    gap(dice, space, out);
    match value {
        Value::Object(map) => {
            out.push('{');
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                gap(dice, space, out);
                quote(dice, key, out);
                gap(dice, space, out);
                out.push(':');
                write(dice, value, space, out);
            }
            gap(dice, space, out);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(dice, item, space, out);
            }
            gap(dice, space, out);
            out.push(']');
        }
        Value::String(text) => quote(dice, text, out),
        other => out.push_str(&other.to_string()),
    }
    gap(dice, space, out);
}

fn gap(dice: &mut Dice, space: usize, out: &mut String) {
    if space > 0 && dice.chance(space) {
        let gap: &str = dice.pick(&[" ", "\n", "\t", "\r\n", "    "]);
        out.push_str(gap);
    }
}

fn quote(dice: &mut Dice, text: &str, out: &mut String) {
    if !dice.chance(8) {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    for c in text.chars() {
        let mut units = [0u16; 2];
        if c.is_control() || matches!(c, '"' | '\\') || dice.chance(30) {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

/// Every string and number of a text as it is written, keys too; and whether there is white space.
pub fn scalars(text: &str) -> (Vec<&str>, bool) {
    let bytes = text.as_bytes();
    let (mut out, mut space, mut at) = (Vec::new(), false, 0);
    while at < bytes.len() {
        let from = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                out.push(&text[from..at]);
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                while at < bytes.len()
                    && !matches!(bytes[at], b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
                {
                    at += 1;
                }
                out.push(&text[from..at]);
            }
            b' ' | b'\n' | b'\r' | b'\t' => {
                space = true;
                at += 1;
            }
            _ => at += 1,
        }
    }
    (out, space)
}
