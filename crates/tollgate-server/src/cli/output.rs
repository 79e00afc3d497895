//! What commands print. Owns: text or JSON, colours, where errors go. Must not know: commands.

use std::fmt::Display;
use std::io::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

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

/// Text between the codes of a style; the codes are taken out where the terminal or `NO_COLOR`
/// wants none.
pub(super) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
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
            let _ = writeln!(anstream::stderr().lock(), "{value}");
            return;
        }
        print_note(format_args!("{} {error:#}", styled(BAD, "error:")));
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a line for people to standard output. A reader that went away is no failure.
pub(super) fn print_line(text: impl Display) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

/// Prints a line for people to standard error: what is not the result itself.
pub(super) fn print_note(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints bytes as they are.
pub(super) fn print_bytes(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// A table with left-aligned columns two spaces apart, the heading first.
pub(super) fn table(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let name = |name: &&str| match *name {
        "" => String::new(),
        name => styled(STRONG, name.to_uppercase()),
    };
    let heading = heading.iter().map(name).collect();
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
