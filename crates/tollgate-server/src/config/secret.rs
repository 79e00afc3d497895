//! Secrets in memory. Owns: that a secret is never printed whole. Must not know: which secrets exist.

use std::fmt;

/// A secret text. Prints as [`mask`] shows it; [`Secret::expose`] is the only way to the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

/// First two characters, stars, last four; all stars up to a length of four. Of texts shorter than
/// ten the tail shown is shorter too, so that something always stays hidden.
pub fn mask(text: &str) -> String {
    let count = text.chars().count();
    if count <= 4 {
        return "*".repeat(count);
    }
    let tail_count = 4.min(count.saturating_sub(2) / 2);
    let hidden = count.saturating_sub(2).saturating_sub(tail_count);
    let head: String = text.chars().take(2).collect();
    let tail: String = text.chars().skip(count.saturating_sub(tail_count)).collect();
    format!("{head}{}{tail}", "*".repeat(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_show_two_and_four_and_never_everything() {
        assert_eq!(mask(""), "");
        assert_eq!(mask("abcd"), "****");
        assert_eq!(mask("abcde"), "ab**e");
        assert_eq!(mask("abcdef"), "ab**ef");
        assert_eq!(mask("abcdefghij"), "ab****ghij");
        assert_eq!(mask("whsec_0123456789"), "wh**********6789");
        assert_eq!(mask("grüße!"), "gr**e!");
    }

    #[test]
    fn debug_and_display_never_show_the_text() {
        let secret = Secret::new("whsec_tollgate_very_secret");
        assert_eq!(format!("{secret:?} {secret}").matches("very").count(), 0);
        assert_eq!(secret.expose(), "whsec_tollgate_very_secret");
    }
}
