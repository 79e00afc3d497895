//! The lock file as it stands passes; with a crate of a known fault in it, it does not.

use jiff::ToSpan as _;

use super::*;
use crate::tree::root;

/// A version everybody could have had, and its advisory.
const FAULTY: &str = "\n[[package]]\nname = \"time\"\nversion = \"0.2.22\"\nsource = \
                      \"registry+https://github.com/rust-lang/crates.io-index\"\n";
const ADVISORY: &str = "RUSTSEC-2020-0071";

/// A copy of this workspace's files with something added to each.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn with(lock: &str, deny: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, added) in [("Cargo.lock", lock), ("deny.toml", deny)] {
            let text = std::fs::read_to_string(root().join(name)).unwrap();
            std::fs::write(folder.path().join(name), text + added).unwrap();
        }
        Self { folder }
    }

    fn check(&self, today: Date) -> anyhow::Result<()> {
        let file = |name: &str| self.folder.path().join(name);
        check(&ours(), &file("Cargo.lock"), &file("deny.toml"), today)
    }
}

fn ours() -> Snapshot {
    Snapshot::read(&std::fs::read_to_string(root().join(SNAPSHOT)).unwrap()).unwrap()
}

#[test]
fn no_crate_of_the_lock_file_has_a_known_fault() {
    Copy::with("", "").check(ours().as_of).unwrap();
}

#[test]
fn a_crate_with_a_known_fault_fails_the_check() {
    let error = Copy::with(FAULTY, "").check(ours().as_of).unwrap_err().to_string();
    assert!(error.starts_with("known faults: 1 "), "{error}");
    let lock = lockfile::read(&format!("version = 4\n{FAULTY}")).unwrap();
    let snapshot = ours();
    let found = faults(&snapshot, &lock, &[]).unwrap();
    let told = describe(found[0].0, found[0].1);
    assert!(told.contains(ADVISORY) && told.contains(">= 0.2.23"), "{told}");
}

#[test]
fn the_fixed_version_and_a_crate_of_ours_with_the_name_pass() {
    let fixed = FAULTY.replace("0.2.22", "0.2.23");
    let ours_by_name = "\n[[package]]\nname = \"time\"\nversion = \"0.2.22\"\n";
    for lock in [fixed.as_str(), ours_by_name] {
        Copy::with(lock, "").check(ours().as_of).unwrap();
    }
}

#[test]
fn what_was_accepted_with_a_reason_passes() {
    let accepted =
        |list: &str| accepted_ids(&format!("[advisories]\nignore = [{list}]\n")).unwrap();
    let both = accepted("\"RUSTSEC-1\", { id = \"RUSTSEC-2\", reason = \"never called\" }");
    assert_eq!(both, ["RUSTSEC-1", "RUSTSEC-2"]);
    let lock = lockfile::read(&format!("version = 4\n{FAULTY}")).unwrap();
    assert_eq!(faults(&ours(), &lock, &[ADVISORY.to_owned()]).unwrap(), []);
    assert_eq!(accepted_ids("[licenses]\n").unwrap(), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_says_too_little_by_its_age_takes_no_place_of_the_live_database() {
    let folder = tempfile::tempdir().unwrap();
    let on = |days: i32| {
        let into = folder.path().join(days.to_string());
        super::export(&ours(), &into, ours().as_of + days.days())
    };
    on(REFUSE_AFTER_DAYS).unwrap();
    let error = on(REFUSE_AFTER_DAYS + 1).unwrap_err().to_string();
    assert!(error.contains("renew it"), "{error}");
    // What is known of the lock file is checked at any age, and complained of.
    Copy::with("", "").check(ours().as_of + (WARN_AFTER_DAYS + 1).days()).unwrap();
    Copy::with("", "").check(ours().as_of + (2 * REFUSE_AFTER_DAYS).days()).unwrap();
}
