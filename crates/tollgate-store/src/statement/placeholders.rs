//! Numbered parameters in a text for PostgreSQL. Owns: renumbering them where texts are joined.

/// The same text with every `$n` raised by `offset`.
pub(super) fn shifted(sql: &str, offset: usize) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut parts = sql.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        out.push('$');
        match number.parse::<usize>() {
            Ok(number) => out.push_str(&(number + offset).to_string()),
            Err(_) => out.push_str(number),
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn every_parameter_is_raised() {
        assert_eq!(shifted("SELECT $1, $12::text[] FROM t", 3), "SELECT $4, $15::text[] FROM t");
        assert_eq!(shifted("SELECT 1", 3), "SELECT 1");
    }
}
