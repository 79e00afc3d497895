//! Writing `.env`. Owns: putting variables into its text and leaving everything else as it is.
//! Must not know: what a variable means.

/// The text with these variables set: in the line that sets one, where there is such a line, else
/// at the end. Comments, order and other lines stay. A value with a line break cannot be written
/// and is left out.
pub fn with_variables(text: &str, variables: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (name, value) in variables {
        if value.contains(['\n', '\r']) {
            continue;
        }
        let line = format!("{name}={}", quoted(value));
        let mut places = lines.iter_mut().filter(|line| sets(line, name));
        match places.next() {
            // The first line counts, so the others would only mislead.
            Some(first) => {
                *first = line;
                let mut seen = false;
                lines.retain(|line| !sets(line, name) || !std::mem::replace(&mut seen, true));
            }
            None => lines.push(line),
        }
    }
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Whether a line sets a variable.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim();
    let assignment = line.strip_prefix("export ").unwrap_or(line);
    assignment.split_once('=').is_some_and(|(found, _)| found.trim() == name)
}

/// A value as the reader takes it back.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.,:/@+=%".contains(&b));
    if plain {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::environment::Environment;
    use super::*;

    #[test]
    fn a_variable_is_set_in_its_line_and_nothing_else_moves() {
        let before = "# secrets\nA=1\n\nexport B = \"old\" # b\nC=3";
        let after = with_variables(before, &[("B", "new"), ("D", "4")]);
        assert_eq!(after, "# secrets\nA=1\n\nB=new\nC=3\nD=4\n");
        assert_eq!(with_variables(&after, &[("B", "new"), ("D", "4")]), after);
        assert_eq!(with_variables("A=1\nA=2\n", &[("A", "3")]), "A=3\n");
        assert_eq!(with_variables("# A=1\n", &[("A", "3")]), "# A=1\nA=3\n");
        assert_eq!(with_variables("", &[]), "");
        assert_eq!(with_variables("", &[("A", "b\nC=d")]), "");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "[^\\r\\n\\x00-\\x1f\\x7f-\\x9f\\u{85}\\u{2028}\\u{2029}]{0,60}") {
            let text = with_variables("X=1\n", &[("A", &value)]);
            let mut faults = Vec::new();
            let read = Environment::default().with_dotenv(Path::new(".env"), &text, &mut faults);
            prop_assert!(faults.is_empty(), "{text:?}");
            prop_assert_eq!(read.get("A"), Some(value.as_str()));
            prop_assert_eq!(read.get("X"), Some("1"));
        }
    }
}
