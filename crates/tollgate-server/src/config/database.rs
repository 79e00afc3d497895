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
    /// The address with stars for the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret_part = self.0.split_once("://").and_then(|(scheme, rest)| {
            let (user_info, host) = rest.rsplit_once('@')?;
            let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
            Some((scheme, user, host))
        });
        match secret_part {
            Some((scheme, user, host)) => write!(f, "{scheme}://{user}:****@{host}"),
            None => f.write_str(&self.0),
        }
    }
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
        assert_eq!(shown("sqlite:.tollgate/tollgate.db"), "sqlite:.tollgate/tollgate.db");
    }
}
