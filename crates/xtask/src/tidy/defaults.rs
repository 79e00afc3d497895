//! Defaults that hide a failure. Owns: that nothing empty is stored or sent where something could not
//! be written as JSON. Must not know: what was to be written.

use crate::tidy::Finding;
use crate::tree::Tree;

/// What begins the writing of JSON. Spelled in two halves so that this file passes its own check.
const WRITES: &str = concat!("serde_json::", "to_");
/// What puts a default in place of a failure.
const DEFAULTS: [&str; 2] = [".unwrap_or_default()", ".unwrap_or("];

const INSTEAD: &str = "a failure to write JSON must not become an empty value: return the error";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let product = |path: &str| !path.contains("/tests/") && !path.ends_with("/tests.rs");
    let texts = tree.texts(&["rs"]).filter(|(path, _)| product(path));
    texts
        .flat_map(|(path, text)| {
            hidden(text).into_iter().map(move |line| Finding::new(path, line, INSTEAD))
        })
        .collect()
}

/// The lines on which JSON is written and its failure hidden.
fn hidden(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (at, _) in text.match_indices(WRITES) {
        let before = text.get(..at).unwrap_or_default();
        let after = text.get(at..).map(after_call).unwrap_or_default().trim_start();
        let dropped = before.trim_end().ends_with("let _ =");
        if dropped || DEFAULTS.iter().any(|default| after.starts_with(default)) {
            lines.push(before.lines().count().max(1));
        }
    }
    lines
}

/// What follows the call a text begins with.
fn after_call(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(at + 1..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_in_place_of_json_is_found() {
        for call in ["string(&a)", "vec(&f(a, b))", "value(x)"] {
            for default in ["unwrap_or_default()", "unwrap_or(Value::Null)"] {
                let text = format!("fn f() {{\n    {WRITES}{call}\n        .{default};\n}}\n");
                assert_eq!(hidden(&text), [2], "{text}");
            }
        }
        assert_eq!(hidden(&format!("let _ = {WRITES}writer(&mut out, &line);")), [1]);
    }

    #[test]
    fn an_error_that_is_passed_on_is_none() {
        for rest in ["string(&a)?;", "vec(&a).map_err(f)", "string(&a) // .unwrap_or_default()"] {
            assert!(hidden(&format!("{WRITES}{rest}")).is_empty(), "{rest}");
        }
    }
}
