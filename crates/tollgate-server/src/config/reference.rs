//! The reference page of the configuration. Owns: `docs/configuration.md`, made from the table of
//! settings. Must not know: values.

use std::fmt::Write as _;

use super::settings::{Kind, SECTIONS, SETTINGS, Setting};

const HEAD: &str = "<!-- Made by `tollgate docs config`; change crates/tollgate-server/src/config/settings.rs instead. -->

# Configuration

Tollgate runs with no configuration at all: SQLite in `./.tollgate/tollgate.db`, the catalog
`sietch`, listening on `127.0.0.1:8080`. `tollgate init` writes files to begin with,
`tollgate config check` finds every fault at once, `tollgate config show` prints what is in force
and where it came from, secrets masked.

## Where values come from

Later wins:

1. the defaults below
2. `tollgate.toml` in the working directory, or the file of `--config`
3. `.env` in the working directory (`NAME=value` lines; values are taken as they stand, so JSON needs no quoting)
4. the environment; a variable of Tollgate's own (`TOLLGATE__SECTION__NAME`) wins over another name of the same setting
5. flags of the command line

Unknown settings and unknown `TOLLGATE__…` variables are refused. Names of the origin systems that
this version does nothing with, or that mean nothing here (`STRIPE_PRICE_ID_…`, `ADMIN_API_KEYS`),
are named once at start and by `tollgate config check`, with what to use instead. Flags are `true`, `false`, `1` or
`0` and nothing else. A blank variable counts as not set, except for Stripe's secrets, where it is
refused. Placeholders of example files (`changeme`, `whsec_xxx`, `sk_test_...`, `your_…`) are
refused. A secret, or the address of a database, can be in a file of its own: `NAME_FILE` names it for the variable
`NAME` (`STRIPE_SECRET_KEY_FILE`, `TOLLGATE__DATABASE__URL_FILE`), as systemd's and containers' secrets are given. The file holds
one line of at most 16 KiB; the line's end is left out. It is read at the start and at every reload. Both `NAME` and `NAME_FILE` are
refused, and so is a file that is missing or empty; one that others can read is told of, except below systemd's
`CREDENTIALS_DIRECTORY`.

Relative paths start at the working directory, those in a file at that file's directory;
`sqlite:` paths start at the working directory always.
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (section, about) in SECTIONS {
        let acts = |setting: &&Setting| setting.used && setting.section() == *section;
        let mut settings = SETTINGS.iter().filter(acts).peekable();
        if settings.peek().is_none() {
            continue;
        }
        let _ = write!(page, "\n## {section}\n\n{about}\n");
        for setting in settings {
            write_setting(&mut page, setting);
        }
    }
    page
}

fn write_setting(page: &mut String, setting: &Setting) {
    let _ = write!(page, "\n### `{}`\n\n{}\n\n", setting.key, setting.doc);
    let _ = writeln!(page, "- Holds: {}", kind(setting.kind));
    let default = match setting.default {
        "" => "not set".to_owned(),
        text => format!("`{text}`"),
    };
    let _ = writeln!(page, "- Default: {default}");
    let names = setting.names.iter().map(|name| (*name).to_owned());
    let variables: Vec<String> =
        std::iter::once(setting.variable()).chain(names).map(|name| format!("`{name}`")).collect();
    let file = if setting.takes_file() { "; each also as `NAME_FILE`" } else { "" };
    let _ = writeln!(page, "- Variables: {}{file}", variables.join(", "));
}

fn either(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Rate => "a whole number from 1, or `none`".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Address => "an IP address with a port".to_owned(),
        Kind::AddressOr(words) => {
            format!("an IP address with a port, or {}", either(words))
        }
        Kind::Choice(words) => either(words),
        Kind::Text => "text".to_owned(),
        Kind::Origins => "a list of web origins; in a variable separated by commas".to_owned(),
        Kind::LogFilter => "a level, or directives separated by commas".to_owned(),
        Kind::Ranges => "a list of address ranges; in a variable separated by commas".to_owned(),
        Kind::StripeAccounts => "a list of `acct_…`; in a variable separated by commas".to_owned(),
        Kind::Redirects => {
            "a list of origins, perhaps with a path; in a variable separated by commas".to_owned()
        }
        Kind::Contacts => {
            "a list of `mailto:`, `https:` or `tel:` addresses; in a variable separated by commas"
                .to_owned()
        }
        Kind::Url(schemes) => {
            let schemes: Vec<String> =
                schemes.iter().map(|scheme| format!("`{scheme}:`")).collect();
            format!("an address beginning with {}", schemes.join(" or "))
        }
        Kind::Secret(_) => "a secret".to_owned(),
        Kind::WebhookSecrets => "one secret or several".to_owned(),
        Kind::PriceMap => "a table, JSON, or a list of pairs".to_owned(),
    }
}
