//! The link a denial offers. Owns: the template of the upgrade URL and filling it in. Must not
//! know: which plan is to be offered.

use std::fmt::Write as _;

use super::{Catalog, Plan};
use crate::ids::AccountId;

const PLAN: &str = "{plan}";
const ACCOUNT: &str = "{account}";

impl Catalog {
    /// Where this account can get that plan: the template with both names percent-encoded. `None`
    /// while the template is a path and nobody said of which site.
    pub fn upgrade_link(&self, plan: &Plan, account: &AccountId) -> Option<String> {
        let absolute = !self.upgrade_url.starts_with('/');
        absolute.then(|| {
            self.upgrade_url
                .replace(PLAN, &percent_encoded(plan.id.as_str()))
                .replace(ACCOUNT, &percent_encoded(account.as_str()))
        })
    }

    /// The same catalog, with a template that is a path made one of a site: its address without a
    /// slash at the end.
    pub fn with_public_url(mut self, site: &str) -> Self {
        if !self.upgrade_url.starts_with('/') {
            return self;
        }
        self.upgrade_url = format!("{}{}", site.trim_end_matches('/'), self.upgrade_url);
        self.with_version()
    }

    /// The same catalog with another upgrade URL. A text without `{plan}` and `{account}` gets
    /// them appended as `tier=` and `account=`.
    ///
    /// Errors: what is wrong with the text.
    pub fn with_upgrade_url(mut self, text: &str) -> Result<Self, String> {
        check_template(text)?;
        text.clone_into(&mut self.upgrade_url);
        if !text.contains(PLAN) && !text.contains(ACCOUNT) {
            let join = if text.contains('?') { '&' } else { '?' };
            let _ = write!(self.upgrade_url, "{join}tier={PLAN}&account={ACCOUNT}");
        }
        Ok(self.with_version())
    }
}

/// Refuses what is no template: wrong beginning, white space, unknown placeholders.
pub(super) fn check_template(text: &str) -> Result<(), String> {
    let begins = ["https://", "http://", "/"].iter().any(|scheme| text.starts_with(scheme));
    if !begins || text.starts_with("//") {
        return Err("an upgrade URL begins with https://, http:// or a single /".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("an upgrade URL has no white space".to_owned());
    }
    if text.replace(PLAN, "").replace(ACCOUNT, "").contains(['{', '}']) {
        return Err(format!("an upgrade URL has no placeholders but {PLAN} and {ACCOUNT}"));
    }
    Ok(())
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::*;

    #[test]
    fn links_name_plan_and_account_without_breaking_the_url() {
        let catalog =
            builtin("sietch").unwrap().with_upgrade_url("https://a.example/up?x=1").unwrap();
        let account = AccountId::parse("team:42").unwrap();
        let (_, plan) = catalog.find_plan("premium").unwrap();
        assert_eq!(
            catalog.upgrade_link(plan, &account).unwrap(),
            "https://a.example/up?x=1&tier=premium&account=team%3A42"
        );
        let path = builtin("sietch").unwrap();
        assert_eq!(path.upgrade_link(plan, &account), None, "a path leads nowhere by itself");
        assert_eq!(
            path.with_public_url("https://b.example/").upgrade_link(plan, &account).unwrap(),
            "https://b.example/upgrade?tier=premium&account=team%3A42"
        );
        let same = catalog.clone().with_public_url("https://b.example");
        assert_eq!(same, catalog);
        assert_eq!(percent_encoded("a&b=ü"), "a%26b%3D%C3%BC");
    }

    #[test]
    fn templates_that_could_hurt_are_refused() {
        for bad in [
            "",
            "up",
            "javascript:alert(1)",
            "//evil.example",
            "https://a b",
            "/x?{tier}",
            "/x?{plan",
        ] {
            assert!(check_template(bad).is_err(), "{bad}");
        }
        for good in ["/upgrade", "https://a.example/{account}/{plan}"] {
            assert!(check_template(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn another_url_is_another_version() {
        let catalog = builtin("saas").unwrap();
        let before = catalog.version.clone();
        assert_ne!(catalog.with_upgrade_url("/elsewhere").unwrap().version, before);
    }
}
