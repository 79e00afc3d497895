//! Where the two databases part. Owns: every fork, with its reason. Must not know: tables.
//!
//! A statement is one text with placeholders in braces; this is all that differs:
//!
//! | placeholder | PostgreSQL | SQLite | reason |
//! |---|---|---|---|
//! | `{rows:a text, b bigint}` | `r(a, b) AS (SELECT * FROM unnest($1::text[], …))` | `r(a, b) AS (VALUES (?, ?), …)` | a batch is one parameter per column where there are arrays, one per cell where there are none |
//! | `{lock}` | `FOR UPDATE` | nothing | the SQLite writer is alone |
//! | `{skip_locked}` | `FOR UPDATE SKIP LOCKED` | nothing | the same |
//! | `{json:a, b}` | `CAST(json_build_array(a, b) AS TEXT)` | `json_array(a, b)` | the function's name |
//! | `{field:x.a.b}` | `CAST(x AS JSON) #>> '{a,b}'` | `json_extract(x, '$.a.b')` | reading a JSON column in views |
//! | `{text}` | `TEXT COLLATE "C"` | `TEXT` | the same order in both, and in Rust: by bytes |
//! | `{bytes}` | `BYTEA` | `BLOB` | the type's name |
//! | `{identity}` | `BIGINT GENERATED …` | `INTEGER … AUTOINCREMENT` | neither knows the other's |
//! | `{clustered}` | nothing | `WITHOUT ROWID` | rows inside the key's tree, one tree less to write; only for short rows, since a longer one than a quarter of a page takes a page of its own |
//! | `{updated_in_place}` | `WITH (fillfactor = 70)` | nothing | room for new row versions on the same page |
//! | `{instant:x}` | `to_timestamp(…)` | `strftime(…)` | readable times in views |
//! | `{instant_field:x.a}` | both | both | a readable time inside a JSON column |
//! | `{by:index}` | nothing | `INDEXED BY index` | without figures about the data SQLite takes the primary key for as good as an index with more columns |
//! | `{postgres:…}` | the text | nothing | storage settings, advisory locks |

use std::fmt::Write as _;

/// Which database a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

/// Type of a column of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellType {
    Text,
    Bigint,
    Boolean,
    Bytea,
}

impl CellType {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "bigint" => Some(Self::Bigint),
            "boolean" => Some(Self::Boolean),
            "bytea" => Some(Self::Bytea),
            _ => None,
        }
    }

    const fn array(self) -> &'static str {
        match self {
            Self::Text => "text[]",
            Self::Bigint => "bigint[]",
            Self::Boolean => "boolean[]",
            Self::Bytea => "bytea[]",
        }
    }
}

/// What stands at a place of the parameter list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The scalar of this number, from 0.
    Scalar(usize),
    /// All values of the batch.
    Rows,
}

/// A statement's text for one database and one size of batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Slot>,
}

/// Expands a template for a batch of `rows` rows (a template without `{rows:…}` ignores it).
pub(crate) fn expand(template: &str, dialect: Dialect, rows: usize) -> Expanded {
    let scalars = scalar_count(template);
    let batch = template.contains("{rows:");
    let mut out =
        Expanded { sql: String::with_capacity(template.len() * 2), parameters: Vec::new() };
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        push_text(&mut out, before, dialect, batch);
        let end = after.find('}').unwrap_or(after.len().saturating_sub(1));
        let (placeholder, remaining) = after.split_at(end + 1);
        let inner = placeholder.trim_start_matches('{').trim_end_matches('}');
        push_placeholder(&mut out, inner, dialect, (scalars, rows));
        rest = remaining;
    }
    push_text(&mut out, rest, dialect, batch);
    if dialect == Dialect::Postgres || !batch {
        out.parameters = (0..scalars).map(Slot::Scalar).collect();
        if batch {
            out.parameters.push(Slot::Rows);
        }
    }
    out
}

/// The columns that a template's batch has; empty for a template without a batch.
pub(crate) fn batch_columns(template: &str) -> Vec<CellType> {
    template
        .split_once("{rows:")
        .and_then(|(_, after)| after.split_once('}'))
        .map(|(columns, _)| parse_columns(columns).into_iter().map(|(_, cell)| cell).collect())
        .unwrap_or_default()
}

fn parse_columns(columns: &str) -> Vec<(&str, CellType)> {
    columns
        .split(',')
        .filter_map(|column| {
            let (name, cell) = column.trim().split_once(' ')?;
            Some((name, CellType::parse(cell.trim())?))
        })
        .collect()
}

/// The greatest `$n` of a template.
pub(crate) fn scalar_count(template: &str) -> usize {
    template.split('$').skip(1).filter_map(|after| leading_number(after).0).max().unwrap_or(0)
}

fn leading_number(text: &str) -> (Option<usize>, &str) {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at(digits);
    (number.parse().ok(), rest)
}

/// Copies text. With a batch on SQLite every parameter is positional: SQLite finds a named one by
/// a walk over all names, which costs the square of the batch.
fn push_text(out: &mut Expanded, text: &str, dialect: Dialect, batch: bool) {
    if dialect == Dialect::Postgres || !batch {
        out.sql.push_str(text);
        return;
    }
    let mut parts = text.split('$');
    out.sql.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (number, rest) = leading_number(part);
        if let Some(number) = number {
            out.parameters.push(Slot::Scalar(number.saturating_sub(1)));
        }
        out.sql.push('?');
        out.sql.push_str(rest);
    }
}

fn push_placeholder(
    out: &mut Expanded,
    inner: &str,
    dialect: Dialect,
    (scalars, rows): (usize, usize),
) {
    let postgres = dialect == Dialect::Postgres;
    let (name, argument) = inner.split_once(':').unwrap_or((inner, ""));
    match name {
        "rows" => {
            let columns = parse_columns(argument);
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            let _ = write!(out.sql, "r({}) AS (", names.join(", "));
            if postgres {
                push_unnest(&mut out.sql, &columns, scalars);
            } else {
                push_values(&mut out.sql, columns.len(), rows);
                out.parameters.push(Slot::Rows);
            }
            out.sql.push(')');
        }
        "json" if postgres => {
            let _ = write!(out.sql, "CAST(json_build_array({argument}) AS TEXT)");
        }
        "json" => {
            let _ = write!(out.sql, "json_array({argument})");
        }
        "field" => out.sql.push_str(&json_field(argument, postgres)),
        "instant_field" if postgres => {
            let field = json_field(argument, postgres);
            let _ = write!(out.sql, "to_timestamp(CAST({field} AS BIGINT) / 1000.0)");
        }
        "instant_field" => {
            let field = json_field(argument, postgres);
            let _ =
                write!(out.sql, "strftime('%Y-%m-%dT%H:%M:%fZ', {field} / 1000.0, 'unixepoch')");
        }
        "instant" if postgres => {
            let _ = write!(out.sql, "to_timestamp({argument} / 1000.0)");
        }
        "instant" => {
            let _ =
                write!(out.sql, "strftime('%Y-%m-%dT%H:%M:%fZ', {argument} / 1000.0, 'unixepoch')");
        }
        "by" if postgres => {}
        "by" => {
            let _ = write!(out.sql, "INDEXED BY {argument}");
        }
        "postgres" => out.sql.push_str(pick(postgres, argument, "")),
        other => out.sql.push_str(word(other, postgres)),
    }
}

/// A value inside a JSON column, `column.path.to.it`.
fn json_field(argument: &str, postgres: bool) -> String {
    let (column, path) = argument.split_once('.').unwrap_or((argument, ""));
    if postgres {
        format!("(CAST({column} AS JSON) #>> '{{{}}}')", path.replace('.', ","))
    } else {
        format!("json_extract({column}, '$.{path}')")
    }
}

const fn pick<'a>(postgres: bool, on_postgres: &'a str, on_sqlite: &'a str) -> &'a str {
    if postgres { on_postgres } else { on_sqlite }
}

fn word(name: &str, postgres: bool) -> &'static str {
    match name {
        "lock" => pick(postgres, "FOR UPDATE", ""),
        "skip_locked" => pick(postgres, "FOR UPDATE SKIP LOCKED", ""),
        "text" => pick(postgres, "TEXT COLLATE \"C\"", "TEXT"),
        "bytes" => pick(postgres, "BYTEA", "BLOB"),
        "identity" => pick(
            postgres,
            "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "INTEGER PRIMARY KEY AUTOINCREMENT",
        ),
        "clustered" => pick(postgres, "", "WITHOUT ROWID"),
        "updated_in_place" => pick(postgres, "WITH (fillfactor = 70)", ""),
        // An unknown word stays as a syntax error for the test that prepares every statement.
        _ => "{unknown placeholder}",
    }
}

fn push_unnest(sql: &mut String, columns: &[(&str, CellType)], scalars: usize) {
    sql.push_str("SELECT * FROM unnest(");
    for (index, (_, cell)) in columns.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}${}::{}", scalars + index + 1, cell.array());
    }
    sql.push(')');
}

fn push_values(sql: &mut String, columns: usize, rows: usize) {
    let row = format!("({})", vec!["?"; columns].join(", "));
    sql.push_str("VALUES ");
    sql.push_str(&vec![row.as_str(); rows].join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str =
        "WITH {rows:a text, b bigint} SELECT {json:r.a, r.b}, $2 FROM r WHERE b < $1 {lock}";

    #[test]
    fn a_batch_is_arrays_on_postgres() {
        let expanded = expand(TEMPLATE, Dialect::Postgres, 7);
        assert_eq!(
            expanded.sql,
            "WITH r(a, b) AS (SELECT * FROM unnest($3::text[], $4::bigint[])) SELECT \
             CAST(json_build_array(r.a, r.b) AS TEXT), $2 FROM r WHERE b < $1 FOR UPDATE"
        );
        assert_eq!(expanded.parameters, [Slot::Scalar(0), Slot::Scalar(1), Slot::Rows]);
    }

    #[test]
    fn a_batch_is_positional_values_on_sqlite() {
        let expanded = expand(TEMPLATE, Dialect::Sqlite, 2);
        assert_eq!(
            expanded.sql,
            "WITH r(a, b) AS (VALUES (?, ?), (?, ?)) SELECT json_array(r.a, r.b), ? FROM r WHERE b < ? "
        );
        assert_eq!(expanded.parameters, [Slot::Rows, Slot::Scalar(1), Slot::Scalar(0)]);
    }

    #[test]
    fn without_a_batch_parameters_keep_their_numbers() {
        let expanded = expand("SELECT $1, $2, $1", Dialect::Sqlite, 1);
        assert_eq!(expanded.sql, "SELECT $1, $2, $1");
        assert_eq!(expanded.parameters, [Slot::Scalar(0), Slot::Scalar(1)]);
        assert_eq!(batch_columns(TEMPLATE), [CellType::Text, CellType::Bigint]);
    }
}
