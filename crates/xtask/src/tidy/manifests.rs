//! The walls between the crates, read from their manifests.
//!
//! Owns who may depend on whom. A crate exists where one of these lines needs a wall; ARCHITECTURE.md
//! explains them. Must not look at source code: what a manifest lacks, the code cannot use.

use std::str::FromStr as _;

use toml_edit::DocumentMut;

use crate::tidy::Finding;
use crate::tree::Tree;

/// What a crate may depend on.
struct Wall {
    package: &'static str,
    /// Crates of this workspace it may use.
    ours: &'static [&'static str],
    foreign: Foreign,
}

enum Foreign {
    /// Nothing else than these.
    Only(&'static [&'static str]),
    /// Anything but these.
    Not(&'static [&'static str]),
}

/// Speaking to a network, a database or a runtime.
const OUTSIDE: [&str; 9] =
    ["axum", "hyper", "hyper-util", "reqwest", "rusqlite", "socket2", "sqlx", "tokio", "tower"];

const WALLS: [Wall; 6] = [
    Wall {
        package: "tollgate-domain",
        ours: &[],
        foreign: Foreign::Only(&["jiff", "serde", "sha2", "thiserror", "toml_edit"]),
    },
    Wall {
        package: "tollgate-stripe",
        ours: &["tollgate-domain"],
        // It calls Stripe, but serves nobody and keeps nothing.
        foreign: Foreign::Not(&[
            "axum",
            "clap",
            "hyper",
            "hyper-util",
            "rusqlite",
            "socket2",
            "sqlx",
        ]),
    },
    Wall {
        package: "tollgate-store",
        ours: &["tollgate-domain"],
        foreign: Foreign::Not(&[
            "axum",
            "hyper",
            "hyper-util",
            "reqwest",
            "socket2",
            "tower",
            "clap",
        ]),
    },
    Wall {
        package: "tollgate-sandbox",
        ours: &["tollgate-domain", "tollgate-stripe"],
        // It serves Stripe's API and pages, but keeps nothing in a database and calls nobody's.
        foreign: Foreign::Not(&["clap", "reqwest", "rusqlite", "socket2", "sqlx"]),
    },
    Wall {
        package: "tollgate-server",
        ours: &["tollgate-domain", "tollgate-sandbox", "tollgate-store", "tollgate-stripe"],
        foreign: Foreign::Not(&["sqlx", "rusqlite", "async-stripe"]),
    },
    Wall {
        package: "xtask",
        ours: &["tollgate-domain", "tollgate-sandbox", "tollgate-stripe"],
        foreign: Foreign::Not(&OUTSIDE),
    },
];

/// Development dependencies obey a wall too, with the tools of testing on top.
const TEST_TOOLS: [&str; 3] = ["insta", "proptest", "tempfile"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(&["toml"]) {
        let folder = path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml"));
        if let Some(folder) = folder {
            findings.extend(faults(folder, text).into_iter().map(|why| Finding::new(path, 0, why)));
        }
    }
    findings
}

fn faults(folder: &str, manifest: &str) -> Vec<String> {
    let Ok(manifest) = DocumentMut::from_str(manifest) else {
        return vec!["is not TOML".to_owned()];
    };
    let package = manifest.get("package").and_then(|package| package.get("name")?.as_str());
    if package != Some(folder) {
        return vec![format!("folder and package have one name: `{folder}`")];
    }
    let Some(wall) = WALLS.iter().find(|wall| wall.package == folder) else {
        return vec![
            "a new crate needs a wall of its own: name it in xtask's manifests.rs".to_owned(),
        ];
    };
    let mut faults = Vec::new();
    if manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) != Some(true) {
        faults.push("takes no lints from the workspace: add [lints] workspace = true".to_owned());
    }
    for (table, tools) in [
        ("dependencies", &[][..]),
        ("build-dependencies", &[][..]),
        ("dev-dependencies", &TEST_TOOLS[..]),
    ] {
        let names = manifest.get(table).and_then(|table| table.as_table_like());
        for (name, _) in names.into_iter().flat_map(|table| table.iter()) {
            if !tools.contains(&name) && !wall.admits(name) {
                faults.push(format!("[{table}] {name}: a wall stands between the two"));
            }
        }
    }
    faults
}

impl Wall {
    fn admits(&self, name: &str) -> bool {
        if name == "xtask" || name.starts_with("tollgate-") {
            return self.ours.contains(&name);
        }
        match self.foreign {
            Foreign::Only(names) => names.contains(&name),
            Foreign::Not(names) => !names.contains(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::faults;

    fn manifest(package: &str, rest: &str) -> String {
        format!("[package]\nname = \"{package}\"\n[lints]\nworkspace = true\n{rest}")
    }

    #[test]
    fn the_domain_admits_its_five_crates_and_no_other() {
        let good = manifest("tollgate-domain", "[dependencies]\njiff.workspace = true\n");
        assert_eq!(faults("tollgate-domain", &good), Vec::<String>::new());
        let bad = manifest("tollgate-domain", "[dependencies]\nserde_json.workspace = true\n");
        assert_eq!(faults("tollgate-domain", &bad).len(), 1);
    }

    #[test]
    fn store_and_stripe_do_not_know_each_other() {
        let store =
            manifest("tollgate-store", "[dependencies]\ntollgate-stripe.workspace = true\n");
        assert_eq!(faults("tollgate-store", &store).len(), 1);
        let stripe =
            manifest("tollgate-stripe", "[dev-dependencies]\ntollgate-store.workspace = true\n");
        assert_eq!(faults("tollgate-stripe", &stripe).len(), 1);
    }

    #[test]
    fn sql_stays_in_the_store() {
        for (package, count) in
            [("tollgate-store", 0), ("tollgate-server", 1), ("tollgate-sandbox", 1)]
        {
            let text = manifest(package, "[dependencies]\nsqlx = \"0.9\"\n");
            assert_eq!(faults(package, &text).len(), count, "{package}");
        }
    }

    #[test]
    fn a_crate_without_a_wall_or_without_the_lints_is_found() {
        assert_eq!(faults("tollgate-new", &manifest("tollgate-new", "")).len(), 1);
        assert_eq!(faults("xtask", "[package]\nname = \"xtask\"\n").len(), 1);
        assert_eq!(faults("tollgate-store", &manifest("store", "")).len(), 1);
        assert_eq!(faults("xtask", "[package"), ["is not TOML"]);
    }
}
