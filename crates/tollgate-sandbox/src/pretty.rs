//! Printing JSON. Owns: the look of Stripe's bodies: two spaces, `id` and `object` first, then by
//! name; an empty array is `[`, a blank line and `]`. Must not know: what it prints.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Prints a value as Stripe prints bodies.
pub(crate) fn print(value: &Value) -> String {
    let mut out = String::with_capacity(8 * 1024);
    write_value(&mut out, value, 0);
    out
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) => write_object(out, fields, depth),
        Value::Array(elements) => write_array(out, elements, depth),
        Value::String(text) => write_text(out, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{value}");
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let _ = write!(out, "{}", Value::String(text.to_owned()));
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

fn write_object(out: &mut String, fields: &Map<String, Value>, depth: usize) {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
    sorted.sort_by_key(|(name, _)| (place(name), name.as_str()));
    out.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(out, depth + 1);
        write_text(out, name);
        out.push_str(": ");
        write_value(out, value, depth + 1);
    }
    new_line(out, depth);
    out.push('}');
}

fn place(name: &str) -> u8 {
    match name {
        "id" => 0,
        "object" => 1,
        _ => 2,
    }
}

fn write_array(out: &mut String, elements: &[Value], depth: usize) {
    out.push('[');
    if elements.is_empty() {
        out.push('\n');
    }
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(out, depth + 1);
        write_value(out, element, depth + 1);
    }
    new_line(out, depth);
    out.push(']');
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_look_like_stripes() {
        let value = json!({"b": [], "object": "x", "a": {"z": [1, "é\n"]}, "id": "i", "m": {}});
        let expected = "{\n  \"id\": \"i\",\n  \"object\": \"x\",\n  \"a\": {\n    \"z\": [\n      1,\n      \
                        \"é\\n\"\n    ]\n  },\n  \"b\": [\n\n  ],\n  \"m\": {\n  }\n}";
        assert_eq!(print(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(expected).unwrap(), value);
    }
}
