//! Text that comes from outside, made safe to be looked at. Owns: which characters never reach a
//! terminal as they are, and what stands there instead. Must not know: where texts are printed.
//!
//! Names of products, e-mails and metadata are whatever somebody typed in at Stripe. Printed raw, an
//! escape sequence could clear the screen or forge a line, and a bidirectional override could show
//! an id backwards.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character changes how its neighbours are shown, or is not shown itself: controls, marks
/// that turn the direction of writing, invisible separators and tags. Joiners stay; scripts and
/// emoji need them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with everything hidden written out, such as `\n` and `\u{202e}`, but for what `keep`
/// says is ours: it is given the rest of the text and says how many of its bytes stay.
pub fn escaped(text: &str, keep: impl Fn(&str) -> usize) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let kept = if is_hidden(c) { keep(rest) } else { c.len_utf8() };
        if kept == 0 {
            shown.extend(c.escape_default());
        }
        let (done, left) = rest.split_at(kept.max(c.len_utf8()));
        if kept > 0 {
            shown.push_str(done);
        }
        rest = left;
    }
    Cow::Owned(shown)
}

/// A text of JSON with everything hidden inside its strings written as `\uXXXX`, which means the same.
/// Line breaks and tabs stand between its values only, and stay.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    if !json.contains(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing into a text cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts in which half of the characters are hidden ones.
    pub(crate) fn nasty() -> impl Strategy<Value = String> {
        let hidden = prop::sample::select(vec![
            '\u{1b}',
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{7f}',
            '\u{9b}',
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
        ]);
        prop::collection::vec(prop_oneof![hidden, any::<char>(), Just('['), Just('m')], 0..40)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in nasty()) {
            let shown = escaped(&text, |_| 0);
            prop_assert!(!shown.contains(is_hidden), "{shown:?}");
        }

        #[test]
        fn json_means_the_same_and_shows_everything(text in nasty()) {
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let shown = escaped_json(&json);
            prop_assert!(!shown.contains(|c| is_hidden(c) && c != '\n'), "{shown:?}");
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), vec![text]);
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["Grüße aus Köln", "日本語", "שלום", "👩\u{200d}👩\u{200d}👧", "a\\nb"]
        {
            assert_eq!(escaped(text, |_| 0), text);
        }
        assert_eq!(escaped("a\u{1b}[2Jb\n\u{202e}c", |_| 0), "a\\u{1b}[2Jb\\n\\u{202e}c");
    }
}
