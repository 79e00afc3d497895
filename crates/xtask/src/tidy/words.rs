//! Words and names that must not appear: open ends without an issue, secrets, paths of someone's
//! machine, tests that are switched off, modules named after nothing.
//!
//! Owns the tables below. Each needle is spelled in two halves so that this file passes its own check.

use crate::tidy::Finding;
use crate::tree::Tree;

const TEXTS: [&str; 16] = [
    "rs", "md", "toml", "sql", "sh", "json", "yml", "yaml", "py", "mjs", "js", "html", "css",
    "txt", "service", "conf",
];

/// Open ends: fine with an issue number behind them, `(#12)`.
const OPEN_ENDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// (needle, what to do instead), searched in every text file.
const EVERYWHERE: [(&str, &str); 2] = [
    (concat!("/ro", "ot/"), "a path of one machine; make it relative or a setting"),
    (concat!("/ho", "me/"), "a path of one machine; make it relative or a setting"),
];

/// (needle, what to do instead), searched in Rust files.
const IN_RUST: [(&str, &str); 5] = [
    (concat!("#[ign", "ore"), "no test is switched off: mend it or delete it"),
    (concat!("#[should_", "panic"), "assert on the error value instead"),
    (concat!("fn te", "st_"), "a test's name is a sentence"),
    (concat!("thread::", "sleep"), "wait on a condition instead"),
    (concat!("#[al", "low("), "use #[expect(lint, reason = \"...\")]"),
];

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "helpers", "helper", "common", "manager", "service", "misc"];

/// Secrets of Stripe in live mode. Made-up ones in tests continue with the product's name.
const LIVE_SECRETS: [&str; 2] = [concat!("sk_", "live_"), concat!("rk_", "live_")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(&TEXTS) {
        findings.extend(by_line(path, text, |line| everywhere(line).collect()));
    }
    for (path, text) in tree.texts(&["rs"]) {
        findings.extend(by_line(path, text, |line| in_rust(line).collect()));
        findings.extend(named_after_nothing(path).map(|why| Finding::new(path, 0, why)));
    }
    findings
}

fn by_line(path: &str, text: &str, faults: impl Fn(&str) -> Vec<String>) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| faults(line).into_iter().map(move |why| (index + 1, why)))
        .map(|(line, why)| Finding::new(path, line, why))
        .collect()
}

fn everywhere(line: &str) -> impl Iterator<Item = String> {
    let open = OPEN_ENDS
        .iter()
        .filter(|word| has_open_end(line, word))
        .map(|word| format!("`{word}` without an issue number: write `{word}(#12): ...`"));
    let secret = LIVE_SECRETS
        .iter()
        .filter(|prefix| has_live_secret(line, prefix))
        .map(|prefix| format!("looks like a real `{prefix}` key"));
    let words = EVERYWHERE
        .iter()
        .filter(|(needle, _)| line.contains(needle))
        .map(|(needle, instead)| format!("`{needle}`: {instead}"));
    open.chain(secret).chain(words)
}

fn in_rust(line: &str) -> impl Iterator<Item = String> {
    IN_RUST
        .iter()
        .filter(|(needle, _)| line.contains(needle))
        .map(|(needle, instead)| format!("`{needle}`: {instead}"))
}

fn has_open_end(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let rest = line.get(at + word.len()..).unwrap_or_default();
        let number = rest.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
        !number.is_some_and(|(digits, _)| {
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

fn has_live_secret(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let rest = line.get(at + prefix.len()..).unwrap_or_default();
        let token = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        token >= 8 && !rest.starts_with("tollgate")
    })
}

fn named_after_nothing(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == "mod.rs" {
        return Some(format!("name it {folder}.rs: this tree has no mod.rs"));
    }
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    // A suite may be named after what it tests as a whole, such as the service.
    let product = !path.contains("/tests/");
    (product && EMPTY_NAMES.contains(&stem))
        .then(|| format!("`{stem}` says nothing about what is inside"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_end_needs_an_issue_number() {
        let word = OPEN_ENDS[0];
        assert!(has_open_end(&format!("// {word}: later"), word));
        assert!(has_open_end(&format!("// {word}(#): later"), word));
        assert!(has_open_end(&format!("// {word}(#12): now {word}"), word));
        assert!(!has_open_end(&format!("// {word}(#12): later"), word));
    }

    #[test]
    fn a_live_key_is_found_and_a_made_up_one_passes() {
        let prefix = LIVE_SECRETS[0];
        assert!(has_live_secret(&format!("key = \"{prefix}51Habcdefgh\""), prefix));
        assert!(!has_live_secret(&format!("key = \"{prefix}tollgate0000\""), prefix));
        assert!(!has_live_secret(&format!("keys that start with {prefix}..."), prefix));
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        assert!(named_after_nothing("crates/a/src/mod.rs").is_some());
        assert!(named_after_nothing("crates/a/src/helpers.rs").is_some());
        assert_eq!(named_after_nothing("crates/a/src/inbox.rs"), None);
        assert_eq!(named_after_nothing("crates/a/tests/it/service.rs"), None);
    }

    #[test]
    fn rust_words_are_found_in_lines() {
        for (needle, _) in IN_RUST {
            assert_eq!(in_rust(&format!("    {needle}")).count(), 1);
        }
        assert_eq!(in_rust("#[expect(clippy::panic, reason = \"a test\")]").count(), 0);
    }
}
