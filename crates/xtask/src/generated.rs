//! Files that the product describes itself in: the API, the command line, the settings, the errors.
//!
//! Owns which file is printed by which hidden command of the binary, and where in a file the printed part
//! goes. To add one: teach `tollgate docs` to print it and name it in [`GENERATED`]. Must not know
//! what is printed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// One file and the argument of `tollgate docs` that prints it.
struct Generated {
    path: &'static str,
    what: &'static str,
}

const GENERATED: [Generated; 4] = [
    Generated { path: "docs/openapi.json", what: "openapi" },
    Generated { path: "docs/cli.md", what: "cli" },
    Generated { path: "docs/configuration.md", what: "config" },
    Generated { path: "docs/errors.md", what: "errors" },
];

/// In a file that people write too, what is printed stands between these lines.
const BEGIN: &str = "<!-- generated: `cargo run -p xtask -- generate` -->";
const END: &str = "<!-- end of the generated part -->";

/// Renews every file, or with `check` fails when one is not current.
///
/// # Errors
/// When the binary fails, a file cannot be read or written, or `check` finds one that is not current.
pub(crate) fn run(root: &Path, binary: &Path, check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for file in &GENERATED {
        let path = root.join(file.path);
        let current = std::fs::read_to_string(&path).unwrap_or_default();
        let renewed = renew(&current, &print(binary, file.what)?).context(file.path)?;
        if renewed == current {
            continue;
        }
        if check {
            stale.push(file.path);
        } else {
            std::fs::write(&path, renewed).context(file.path)?;
            println!("renewed {}", file.path);
        }
    }
    // Counted by ./test.
    println!("generated: {} passed, {} failed", GENERATED.len() - stale.len(), stale.len());
    if !stale.is_empty() {
        bail!("not current: {}; run `cargo run -p xtask -- generate`", stale.join(", "));
    }
    Ok(())
}

fn print(binary: &Path, what: &str) -> anyhow::Result<String> {
    let output = Command::new(binary)
        .args(["docs", what])
        .env_clear()
        .output()
        .with_context(|| format!("starting {}: build it first", binary.display()))?;
    if !output.status.success() {
        bail!("`tollgate docs {what}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`tollgate docs {what}`"))
}

/// The file with its generated part replaced; the whole file where it has no marks.
fn renew(current: &str, printed: &str) -> anyhow::Result<String> {
    let printed = printed.trim_end();
    match (current.split_once(BEGIN), current.rsplit_once(END)) {
        (None, None) => Ok(format!("{printed}\n")),
        (Some((before, _)), Some((begun, after))) if begun.contains(BEGIN) => {
            Ok(format!("{before}{BEGIN}\n\n{printed}\n\n{END}{after}"))
        }
        _ => bail!("the marks of the generated part do not match"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_marks_is_replaced_and_a_marked_part_leaves_the_rest() {
        assert_eq!(renew("old", "new\n\n").unwrap(), "new\n");
        let marked = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nEnd.\n");
        let renewed = renew(&marked, "new\n").unwrap();
        assert_eq!(renewed, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nEnd.\n"));
        assert_eq!(renew(&renewed, "new\n").unwrap(), renewed, "a second run changes nothing");
    }

    #[test]
    fn marks_that_do_not_match_are_refused() {
        assert!(renew(BEGIN, "new").is_err());
        assert!(renew(END, "new").is_err());
        assert!(renew(&format!("{END}\n{BEGIN}\n"), "new").is_err());
    }
}
