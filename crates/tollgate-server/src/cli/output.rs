//! What commands print. Owns: text or JSON, colours, where errors go, and that nothing from outside
//! reaches a terminal raw. Must not know: commands.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::visible::{escaped, escaped_json};

/// Headings and names.
pub(super) const STRONG: Style = Style::new().bold();
/// What is good.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What is not good.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub(super) const NOTICE: Style = AnsiColor::Yellow.on_default();
/// What can be skipped.
pub(super) const FAINT: Style = Style::new().dimmed();

/// A text of one line between the codes of a style; the codes are taken out where the terminal or
/// `NO_COLOR` wants none.
pub(super) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{}{style:#}", one_line(&text.to_string()))
}

/// A text from outside as a part of a line: its line breaks are written out, as everything hidden is.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, own_code)
}

/// Lines of ours: everything hidden in them is written out but their ends and our own styles.
fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |rest| if rest.starts_with('\n') { 1 } else { own_code(rest) })
}

/// The length of the style's code a text begins with, if it is one that [`styled`] makes.
fn own_code(text: &str) -> usize {
    if !text.starts_with('\u{1b}') {
        return 0;
    }
    let own = [STRONG, GOOD, BAD, NOTICE, FAINT];
    let codes = own.iter().flat_map(|style| [style.to_string(), format!("{style:#}")]);
    let begun = codes.filter(|code| text.starts_with(code.as_str()));
    begun.map(|code| code.len()).max().unwrap_or(0)
}

/// Where a command prints to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads.
    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints the value for programs, or the text for people.
    pub(super) fn either(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            return print_json(value);
        }
        print_line(text());
        Ok(())
    }

    /// Prints why a command failed.
    pub(super) fn error(self, error: &anyhow::Error) {
        if self.json {
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            let value = serde_json::json!({"error": error.to_string(), "causes": causes});
            let value = value.to_string();
            let _ = writeln!(anstream::stderr().lock(), "{}", escaped_json(&value));
            return;
        }
        print_note(format_args!("{} {error:#}", styled(BAD, "error:")));
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    let _ = writeln!(anstream::stdout().lock(), "{}", escaped_json(&json));
    Ok(())
}

/// Prints a line for people to standard output. A reader that went away is no failure.
pub(super) fn print_line(text: impl Display) {
    let _ = writeln!(anstream::stdout().lock(), "{}", lines(&text.to_string()));
}

/// Prints a line for people to standard error: what is not the result itself.
pub(super) fn print_note(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{}", lines(&text.to_string()));
}

/// Prints bytes as they are, for a file or a program; a terminal is shown what is hidden in them.
pub(super) fn print_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if stdout.is_terminal() {
        let text = String::from_utf8_lossy(bytes);
        let kept = |rest: &str| usize::from(rest.starts_with(['\n', '\t']));
        let _ = stdout.write_all(escaped(&text, kept).as_bytes());
    } else {
        let _ = stdout.write_all(bytes);
    }
}

/// A table with left-aligned columns two spaces apart, the heading first.
pub(super) fn table(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let name = |name: &&str| match *name {
        "" => String::new(),
        name => styled(STRONG, name.to_uppercase()),
    };
    let heading = heading.iter().map(name).collect();
    let one_line = |row: Vec<String>| row.iter().map(|cell| one_line(cell).into_owned()).collect();
    let rows = rows.into_iter().map(one_line);
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let drawn = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, widest)| {
            let room = widest.saturating_sub(width(cell));
            format!("{cell}{}", " ".repeat(room))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    drawn.collect::<Vec<_>>().join("\n")
}

/// Characters a text takes, style codes left out.
fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).map(|part| part.chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::visible::is_hidden;

    /// Hidden characters in a text whose line ends and styles are taken out.
    fn hidden(text: &str) -> bool {
        anstream::adapter::strip_str(&lines(text))
            .any(|part| part.contains(|c| is_hidden(c) && c != '\n'))
    }

    proptest! {
        #[test]
        fn no_text_from_outside_is_printed_raw(
            name in "[\u{1b}\u{9b}\u{7f}\u{202e}\u{2066}\n\r\u{8}a-c\\[;0-9mJ]{0,40}"
        ) {
            prop_assert!(!hidden(&name));
            prop_assert!(!hidden(&styled(BAD, &name)));
            prop_assert!(!styled(BAD, &name).contains('\n'));
            let drawn = table(&["name", "id"], vec![vec![name, "1".to_owned()]]);
            prop_assert!(!hidden(&drawn));
            prop_assert_eq!(drawn.lines().count(), 2);
        }
    }

    #[test]
    fn our_own_styles_and_line_ends_stay() {
        let text = format!("{}\n{}", styled(STRONG, styled(GOOD, "a")), styled(FAINT, "b"));
        assert_eq!(lines(&text), text);
        assert_eq!(lines("\u{1b}[2J\u{1b}[8mx"), "\\u{1b}[2J\\u{1b}[8mx");
    }
}
