//! Every relative link in Markdown leads to something in this repository.
//!
//! Owns link targets only; what the text says is for reviewers.

use crate::tidy::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(&["md"]) {
        for (index, line) in text.lines().enumerate() {
            for target in targets(line) {
                if !leads_somewhere(tree, path, target) {
                    findings.push(Finding::new(
                        path,
                        index + 1,
                        format!("link to nothing: {target}"),
                    ));
                }
            }
        }
    }
    findings
}

/// What stands between `](` and `)` on a line, without addresses elsewhere and anchors in the same file.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| {
            !target.contains("://")
                && !target.starts_with(['#', '<'])
                && !target.starts_with("mailto:")
        })
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return false;
                }
            }
            name => parts.push(name),
        }
    }
    parts.is_empty() || tree.contains(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    fn tree() -> Tree {
        let file = |path: &str| File { path: path.to_owned(), text: Some(String::new()) };
        Tree { files: vec![file("README.md"), file("docs/adr/0001-a.md")] }
    }

    #[test]
    fn links_resolve_from_the_file_they_stand_in() {
        assert!(leads_somewhere(&tree(), "docs/adr/0001-a.md", "../../README.md#top"));
        assert!(leads_somewhere(&tree(), "README.md", "docs/adr/"));
        assert!(!leads_somewhere(&tree(), "README.md", "docs/none.md"));
        assert!(!leads_somewhere(&tree(), "README.md", "../elsewhere.md"));
    }

    #[test]
    fn addresses_and_anchors_are_left_alone() {
        let line = "[a](https://stripe.com) [b](#here) [c](docs/adr/0001-a.md)";
        assert_eq!(targets(line).collect::<Vec<_>>(), ["docs/adr/0001-a.md"]);
    }
}
