//! How the database is reached. Owns: its address, shown without the password, and the options of
//! connections. Must not know: what is kept there.

use tollgate_store::{DbOptions, Pooling};

/// How the database is connected to.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Most connections at once.
    pub connections_max: u32,
    /// What a connection to PostgreSQL is.
    pub pooling: Pooling,
    /// PostgreSQL itself, where `database_url` leads to a pooler.
    pub listen_url: Option<DatabaseUrl>,
}

impl DatabaseConfig {
    /// The same for the store.
    pub fn options(&self) -> DbOptions {
        DbOptions {
            connections_max: self.connections_max,
            pooling: self.pooling,
            listen_url: self.listen_url.as_ref().map(|url| url.expose().to_owned()),
            ..DbOptions::default()
        }
    }
}

/// A database address; shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes a text that has been checked.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The whole address, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it names SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl std::fmt::Display for DatabaseUrl {
    /// The address with stars for passwords, which may stand before the host and in the query.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, query) = match self.0.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (self.0.as_str(), None),
        };
        let secret_part = address.split_once("://").and_then(|(scheme, rest)| {
            let (user_info, host) = rest.rsplit_once('@')?;
            let (user, _) = user_info.split_once(':')?;
            Some((scheme, user, host))
        });
        match secret_part {
            Some((scheme, user, host)) => write!(f, "{scheme}://{user}:****@{host}")?,
            None => f.write_str(address)?,
        }
        let parts = query.into_iter().flat_map(|query| query.split('&'));
        for (place, part) in parts.enumerate() {
            f.write_str(if place == 0 { "?" } else { "&" })?;
            match part.split_once('=') {
                Some((name, _)) if is_secret(name) => write!(f, "{name}=****")?,
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Whether a parameter of an address is not to be shown, however its name is written.
fn is_secret(name: &str) -> bool {
    name.to_ascii_lowercase().contains("password") || name.contains('%')
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_address_is_shown_without_its_password() {
        let shown = |text: &str| DatabaseUrl::new(text.to_owned()).to_string();
        assert_eq!(shown("postgres://u:p@ss@db:5432/t"), "postgres://u:****@db:5432/t");
        assert_eq!(shown("postgres://db/t"), "postgres://db/t");
        assert_eq!(shown("postgres://u@db/t"), "postgres://u@db/t");
        for (text, expected) in [
            ("postgres://db/t?user=u&password=s@cret", "postgres://db/t?user=u&password=****"),
            (
                "postgres://u:p@db/t?sslmode=require&PASSWORD=s",
                "postgres://u:****@db/t?sslmode=require&PASSWORD=****",
            ),
            ("postgres://db/t?p%61ssword=s", "postgres://db/t?p%61ssword=****"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown("sqlite:.tollgate/tollgate.db"), "sqlite:.tollgate/tollgate.db");
    }
}
