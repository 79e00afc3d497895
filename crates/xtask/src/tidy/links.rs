//! Every relative link in Markdown leads to something in this repository, and a link that names a
//! function of a Rust file (`[`name`](path.rs)`, a test that shows a promise) names one it has.
//!
//! Owns links only; what the text around them says is for reviewers.

use std::path::Path;

use crate::tidy::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(&["md"]) {
        for (index, line) in text.lines().enumerate() {
            for (text, target) in links(line) {
                if let Some(fault) = fault(tree, path, text, target) {
                    findings.push(Finding::new(path, index + 1, fault));
                }
            }
        }
    }
    findings
}

/// (text, target) of the links of a line, without addresses elsewhere and anchors in the same file.
fn links(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.match_indices("](")
        .filter_map(|(at, _)| {
            let text = line.get(..at)?.rsplit('[').next()?;
            let target = line.get(at + 2..)?.split(')').next()?;
            Some((text, target))
        })
        .filter(|(_, target)| {
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            !elsewhere && !target.starts_with(['#', '<'])
        })
}

fn fault(tree: &Tree, from: &str, text: &str, target: &str) -> Option<String> {
    let Some(path) = resolve(from, target) else {
        return Some(format!("link out of the repository: {target}"));
    };
    if !path.is_empty() && !tree.contains(&path) {
        return Some(format!("link to nothing: {target}"));
    }
    let name = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'))?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let source =
        tree.text(&path).filter(|_| Path::new(&path).extension().is_some_and(|e| e == "rs"))?;
    (!source.contains(&format!("fn {name}("))).then(|| format!("{target} has no function {name}"))
}

/// The path from the root that a link means; `None` when it climbs out.
fn resolve(from: &str, target: &str) -> Option<String> {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    fn tree() -> Tree {
        let file =
            |path: &str, text: &str| File { path: path.to_owned(), text: Some(text.to_owned()) };
        Tree {
            files: vec![
                file("README.md", ""),
                file("docs/adr/0001-a.md", ""),
                file("src/a.rs", "fn it_holds() {}"),
            ],
        }
    }

    #[test]
    fn links_resolve_from_the_file_they_stand_in() {
        let fine = |from, target| fault(&tree(), from, "text", target).is_none();
        assert!(fine("docs/adr/0001-a.md", "../../README.md#top"));
        assert!(fine("README.md", "docs/adr/"));
        assert!(!fine("README.md", "docs/none.md"));
        assert!(!fine("README.md", "../elsewhere.md"));
    }

    #[test]
    fn a_function_named_by_a_link_exists() {
        assert_eq!(fault(&tree(), "README.md", "`it_holds`", "src/a.rs"), None);
        assert!(fault(&tree(), "README.md", "`it_is_gone`", "src/a.rs").is_some());
        assert_eq!(fault(&tree(), "README.md", "the rules", "src/a.rs"), None);
        assert_eq!(fault(&tree(), "README.md", "`src/a.rs`", "src/a.rs"), None);
    }

    #[test]
    fn addresses_and_anchors_are_left_alone() {
        let line = "[a](https://stripe.com) [b](#here) [`c`](docs/adr/0001-a.md)";
        assert_eq!(links(line).collect::<Vec<_>>(), [("`c`", "docs/adr/0001-a.md")]);
    }
}
