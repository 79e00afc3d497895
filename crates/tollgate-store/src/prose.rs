//! Free text in a column. Owns: the escape that lets any text be stored and read back. Must not
//! know: which columns hold free text.
//!
//! PostgreSQL's text cannot hold NUL, and Stripe's JSON can (`\u0000`). A poisoned text must not
//! fail the batch it came with, so NUL is written as U+001A U+0030 ("␚0"), and U+001A itself, which
//! hardly any text holds, as U+001A U+0031 ("␚1").

use std::borrow::Cow;

const NUL: char = '\0';
const ESCAPE: char = '\u{1a}';

/// The text as it is stored.
pub(crate) fn to_column(text: &str) -> Cow<'_, str> {
    if !text.contains([NUL, ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            NUL => out.push_str("\u{1a}0"),
            ESCAPE => out.push_str("\u{1a}1"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// The text as it was. An escape that we never write is left as it is.
pub(crate) fn from_column(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\u{1a}0", "\0").replace("\u{1a}1", "\u{1a}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_none_is_stored_with_nul() {
        for text in
            ["", "plain", "\0", "\u{1a}", "\u{1a}0", "\u{1a}\0", "a\0b\u{1a}1", "\u{1a}\u{1a}0"]
        {
            let stored = to_column(text);
            assert!(!stored.contains('\0'));
            assert_eq!(from_column(&stored), text);
        }
    }
}
