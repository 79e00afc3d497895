//! The environment as one map. Owns: the only reading of process variables, the `.env` format. Must
//! not know: what a variable means.

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::{Fault, Origin, Trouble};

/// Variables with where each came from. Tests build one by hand; nothing else asks the process.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, (String, Origin)>,
}

impl Environment {
    /// The variables of this process. Those that are not UTF-8 are no setting of ours and left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Adds the variables of a `.env` text where the environment has none of that name.
    pub fn with_dotenv(mut self, path: &Path, text: &str, faults: &mut Vec<Fault>) -> Self {
        for (line, source) in (1_usize..).zip(text.lines()) {
            match parse_line(source) {
                Ok(None) => {}
                Ok(Some((name, value))) => {
                    let origin =
                        Origin::DotEnv { path: path.to_path_buf(), line, name: name.clone() };
                    self.variables.entry(name).or_insert((value, origin));
                }
                Err(trouble) => {
                    let origin = Origin::File { path: path.to_path_buf(), line: Some(line) };
                    faults.push(Fault::new(origin, "", trouble));
                }
            }
        }
        self
    }

    /// Sets a variable to a text from elsewhere.
    pub(super) fn insert(&mut self, name: String, text: String, origin: Origin) {
        self.variables.insert(name, (text, origin));
    }

    /// A variable's text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|(value, _)| value.as_str())
    }

    /// A variable's text and where it came from.
    pub fn find(&self, name: &str) -> Option<(&str, &Origin)> {
        self.variables.get(name).map(|(value, origin)| (value.as_str(), origin))
    }

    /// Every variable whose name begins with a prefix.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, (value, origin))| (name.as_str(), value.as_str(), origin))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let with_origin =
            |(name, value): (String, String)| (name.clone(), (value, Origin::Variable(name)));
        Self { variables: variables.into_iter().map(with_origin).collect() }
    }
}

/// One line of a `.env` file. Values are taken as they stand (JSON needs no quoting, `$` is a
/// character like any other); quotes around the whole value are taken off, ` #` begins a comment.
fn parse_line(line: &str) -> Result<Option<(String, String)>, Trouble> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let assignment = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = assignment.split_once('=') else {
        return Err(Trouble::new(
            "this line is no NAME=value",
            "write NAME=value, or # before a comment",
        ));
    };
    let name = name.trim();
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !named {
        return Err(Trouble::new(
            "the name of this variable is no name",
            "use letters, digits and underscores before the =",
        ));
    }
    Ok(Some((name.to_owned(), parse_value(value.trim())?)))
}

fn parse_value(value: &str) -> Result<String, Trouble> {
    for quote in ['"', '\''] {
        let Some(rest) = value.strip_prefix(quote) else { continue };
        let Some((inner, after)) = rest.rsplit_once(quote) else {
            return Err(Trouble::new(
                "a quote is opened and not closed",
                "close it on the same line",
            ));
        };
        let after = after.trim();
        if after.is_empty() || after.starts_with('#') {
            let plain = quote == '\'';
            return Ok(if plain { inner.to_owned() } else { unescape(inner) });
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    Ok(value.get(..end).unwrap_or(value).trim_end().to_owned())
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some(escaped)) => plain.push(escaped),
            (other, _) => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Environment, Vec<Fault>) {
        let mut faults = Vec::new();
        let environment = Environment::default().with_dotenv(Path::new(".env"), text, &mut faults);
        (environment, faults)
    }

    #[test]
    fn values_are_taken_as_they_stand() {
        let cases = [
            ("A=b", "b"),
            ("export A = b c ", "b c"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=\"b # c\" # d", "b # c"),
            (r#"A="b\"c\nd""#, "b\"c\nd"),
            (r"A='b\n$HOME'", r"b\n$HOME"),
            (r#"A={"premium": ["price_1", "price_2"]}"#, r#"{"premium": ["price_1", "price_2"]}"#),
            ("A=", ""),
            ("A=b=c", "b=c"),
        ];
        for (line, value) in cases {
            let (environment, faults) = read(line);
            assert_eq!((environment.get("A"), faults.len()), (Some(value), 0), "{line}");
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_a_fault_with_its_number() {
        let (environment, faults) = read("# fine\n\nA=1\njust text\nB C=2\nD=\"open");
        assert_eq!(environment.get("A"), Some("1"));
        let places: Vec<String> = faults.iter().map(|fault| fault.origin.to_string()).collect();
        assert_eq!(places, [".env:4", ".env:5", ".env:6"]);
    }

    #[test]
    fn the_process_wins_over_the_file() {
        let process: Environment = [("A".to_owned(), "process".to_owned())].into_iter().collect();
        let mut faults = Vec::new();
        let environment = process.with_dotenv(Path::new(".env"), "A=file\nB=file", &mut faults);
        assert_eq!((environment.get("A"), environment.get("B")), (Some("process"), Some("file")));
        assert_eq!(environment.find("B").unwrap().1.to_string(), ".env:2 (B)");
    }
}
