//! Secrets that come from files. Owns: the variables `NAME_FILE`, what may stand in such a file, and that
//! nothing of it is told. Must not know: what a setting means.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::fault::{Fault, Origin, Trouble};
use super::load::open_to_others;
use super::settings::{Kind, SETTINGS, Setting};

/// What a variable that names a file ends in.
pub(super) const SUFFIX: &str = "_FILE";
/// Most bytes of such a file. A webhook secret has 38, and there may be several.
pub const SECRET_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Where systemd puts credentials; it guards them by itself.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Every variable that takes a file's text, with the setting it is of.
pub(super) fn variables() -> impl Iterator<Item = (&'static Setting, String)> {
    SETTINGS.iter().filter(|setting| setting.takes_file()).flat_map(|setting| {
        let names = setting.names.iter().map(|name| (*name).to_owned());
        names.chain([setting.variable()]).map(move |name| (setting, name))
    })
}

/// The environment with the texts of the files it names, each under the variable without `_FILE`.
pub(super) fn read(
    mut environment: Environment,
    directory: &Path,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Environment {
    let credentials = environment.get(CREDENTIALS_DIRECTORY).filter(|folder| !folder.is_empty());
    let credentials = credentials.map(PathBuf::from);
    for (setting, name) in variables() {
        let names_file = format!("{name}{SUFFIX}");
        let Some((path, origin)) = environment.find(&names_file) else { continue };
        if path.trim().is_empty() {
            continue;
        }
        let by_process = matches!(origin, Origin::Variable(_));
        let path = directory.join(path.trim());
        let (fault_origin, origin) = (
            origin.clone(),
            Origin::SecretFile { variable: names_file.clone(), path: path.clone(), by_process },
        );
        // A blank one counts as not set, but for a secret, where it is more likely a mistake than a wish.
        let is_secret = matches!(setting.kind, Kind::Secret(_) | Kind::WebhookSecrets);
        let plain = environment.find(&name);
        let plain = plain.filter(|(text, _)| is_secret || !text.trim().is_empty());
        match plain.map(|(_, origin)| matches!(origin, Origin::Variable(_))) {
            // What the process says goes before `.env`, whichever way it is said.
            Some(plain_by_process) if plain_by_process && !by_process => continue,
            Some(plain_by_process) if plain_by_process == by_process => {
                faults.push(Fault::new(fault_origin, setting.key, both_set(&name, &names_file)));
                continue;
            }
            Some(_) | None => {}
        }
        match text_of(&path) {
            Ok(text) => {
                let guarded = credentials.as_ref().is_some_and(|folder| path.starts_with(folder));
                if let Some(mode) = open_to_others(&path).filter(|_| !guarded) {
                    let what = format!("the file is readable by others (mode {mode:03o})");
                    let mend = format!("chmod 600 {}", path.display());
                    warnings.push(Fault::new(
                        origin.clone(),
                        setting.key,
                        Trouble::new(what, mend),
                    ));
                }
                environment.insert(name, text, origin);
            }
            Err(trouble) => faults.push(Fault::new(origin, setting.key, trouble)),
        }
    }
    environment
}

fn both_set(name: &str, names_file: &str) -> Trouble {
    Trouble::new(
        format!("{name} and {names_file} are both set"),
        "keep one of them: the secret itself, or the file it is in",
    )
}

/// The one line of a file. What is wrong is told without anything that is in it.
fn text_of(path: &Path) -> Result<String, Trouble> {
    let unreadable = |error: std::io::Error| {
        let what = format!("the file cannot be read: {error}");
        Trouble::new(what, "check the path, and that this user may read it")
    };
    // A pipe would keep the start waiting for somebody who writes.
    let is_file = std::fs::metadata(path).map_err(unreadable)?.is_file();
    if !is_file {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > SECRET_FILE_BYTES_MAX) {
        return Err(Trouble::new(
            format!("the file has more than {SECRET_FILE_BYTES_MAX} bytes"),
            "name a file with the secret alone in it",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Trouble::new("the file is no text (UTF-8)", "put the secret into it as text, on one line")
    })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err(Trouble::new(
            "the file is empty",
            "put the secret into it, or take the variable away",
        ));
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err(Trouble::new(
            "the file has more than one line",
            "put the secret into it on one line, several separated by commas",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        text_of(&path).unwrap_err().what
    }

    fn text(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        text_of(&path).unwrap()
    }

    #[test]
    fn a_line_is_taken_without_its_end() {
        for file in ["sk_test_tollgate", "sk_test_tollgate\n", "sk_test_tollgate\r\n"] {
            assert_eq!(text(file.as_bytes()), "sk_test_tollgate");
        }
        let most = usize::try_from(SECRET_FILE_BYTES_MAX).unwrap();
        assert_eq!(text("x".repeat(most).as_bytes()).len(), most);
    }

    #[test]
    fn what_is_no_line_of_text_is_told_without_what_is_in_it() {
        assert!(trouble(b"").contains("is empty"));
        assert!(trouble(b" \n\n").contains("is empty"));
        assert!(trouble(b"private\nprivate\n").contains("more than one line"));
        assert!(trouble(b"private\0private").contains("more than one line"));
        assert!(trouble(b"private\xff").contains("no text"));
        let most = usize::try_from(SECRET_FILE_BYTES_MAX).unwrap();
        assert!(trouble("x".repeat(most + 1).as_bytes()).contains("more than 16384 bytes"));
        assert!(!trouble(b"private\nprivate").contains("private"));
        let missing = text_of(Path::new("nowhere/secret")).unwrap_err();
        assert!(missing.what.contains("cannot be read"), "{}", missing.what);
        assert!(text_of(Path::new("/")).unwrap_err().what.contains("cannot be read"));
    }
}
