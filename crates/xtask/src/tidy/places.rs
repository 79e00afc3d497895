//! What may be done in one place only. Owns: the table of such calls and their places. Must not know:
//! why a place needs them.

use crate::tidy::Finding;
use crate::tree::Tree;

/// A call that only some files may make.
struct Rule {
    /// Spelled in two halves so that this file passes its own check.
    call: &'static str,
    /// Where the rule holds.
    under: &'static str,
    /// Files, or folders, that may.
    but_in: &'static [&'static str],
    /// What to do instead.
    instead: &'static str,
}

const RULES: [Rule; 2] = [
    Rule {
        call: concat!("tokio::sp", "awn("),
        under: "crates/tollgate-server/src/",
        but_in: &["supervisor.rs", "bench"],
        instead: "start it through the supervisor, so that its end is seen",
    },
    Rule {
        call: concat!(".comm", "it()"),
        under: "crates/tollgate-server/src/",
        but_in: &["intake.rs", "workers/journals.rs", "bench"],
        instead: "commit through Intake::commit, which drops the accounts from the cache whatever \
                  the outcome is",
    },
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(&["rs"]) {
        for rule in RULES.iter().filter(|rule| rule.holds_in(path)) {
            let lines = (1_usize..).zip(text.lines()).filter(|(_, line)| line.contains(rule.call));
            let message = || format!("`{}`: {}", rule.call, rule.instead);
            findings.extend(lines.map(|(line, _)| Finding::new(path, line, message())));
        }
    }
    findings
}

impl Rule {
    fn holds_in(&self, path: &str) -> bool {
        let Some(inside) = path.strip_prefix(self.under) else { return false };
        let within = |place: &str| {
            let rest = inside.strip_prefix(place);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
        };
        !self.but_in.iter().any(|place| within(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    #[test]
    fn a_call_outside_of_its_place_is_found() {
        let text = format!("//! A file.\nlet a = {}b);\n", RULES[0].call);
        let file = |path: &str| File { path: path.to_owned(), text: Some(text.clone()) };
        let files = [
            "crates/tollgate-server/src/feed.rs",
            "crates/tollgate-server/src/supervisor.rs",
            "crates/tollgate-server/src/bench.rs",
            "crates/tollgate-server/src/bench/load.rs",
            "crates/tollgate-server/src/benches.rs",
            "crates/tollgate-sandbox/src/server.rs",
        ];
        let findings = check(&Tree { files: files.map(file).into() });
        let found: Vec<_> = findings.iter().map(|one| (one.path.as_str(), one.line)).collect();
        let at = |name| (name, 2);
        assert_eq!(
            found,
            [at("crates/tollgate-server/src/feed.rs"), at("crates/tollgate-server/src/benches.rs")]
        );
    }
}
