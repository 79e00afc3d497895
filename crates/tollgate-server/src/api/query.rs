//! Query strings. Owns: reading them strictly. Must not know: routes.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use super::error::{ApiError, FieldError};

/// The names under which the origin systems send the account.
pub const ACCOUNT_NAMES: [&str; 4] = ["accountId", "communityId", "tenantId", "userId"];

/// The parameters of one request; every one must be asked for, or the request is refused.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Query {
    /// Reads a query string.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { pairs, errors: Vec::new() }
    }

    /// Takes one parameter out; given twice is a fault.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let place = self.pairs.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.pairs.remove(place);
        if self.pairs.iter().any(|(known, _)| known == name) {
            self.errors.push(FieldError::new(name, "is given more than once"));
            self.pairs.retain(|(known, _)| known != name);
        }
        Some(value)
    }

    /// Takes the account out, under any of its names; it must be there.
    pub fn account(&mut self) -> Option<AccountId> {
        if !ACCOUNT_NAMES.iter().any(|name| self.pairs.iter().any(|(known, _)| known == name)) {
            self.errors.push(FieldError::new("accountId", "is missing"));
            return None;
        }
        self.optional_account()
    }

    /// Takes the account out, under any of its names, where it is there.
    pub fn optional_account(&mut self) -> Option<AccountId> {
        let mut found: Option<(&str, String)> = None;
        for name in ACCOUNT_NAMES {
            if let Some(value) = self.text(name) {
                if found.is_some() {
                    self.errors.push(FieldError::new(name, "names the account a second time"));
                }
                found = Some((name, value));
            }
        }
        let (name, value) = found?;
        match AccountId::parse(&value) {
            Ok(account) => Some(account),
            Err(error) => {
                self.errors.push(FieldError::new(name, error.to_string()));
                None
            }
        }
    }

    /// Takes an instant out.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        let value = self.text(name)?;
        match Timestamp::parse(&value) {
            Ok(at) => Some(at),
            Err(error) => {
                self.errors.push(FieldError::new(name, error.to_string()));
                None
            }
        }
    }

    /// Takes a whole number out.
    pub fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.text(name)?;
        let number = value.parse().ok();
        if number.is_none() {
            self.errors.push(FieldError::new(name, "must be a whole number"));
        }
        number
    }

    /// Takes a flag out; absent is false.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                self.errors.push(FieldError::new(name, "must be true, false, 1 or 0"));
                false
            }
        }
    }

    /// Refuses the request when anything was wrong or anything is left that nobody asked for.
    pub fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in &self.pairs {
            self.errors.push(FieldError::new(name.clone(), "is not a parameter of this route"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::InvalidRequest(self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let mut query = Query::parse(Some("tenantId=a%20b&at=now&explain=yes&colour=red&at=x"));
        assert!(query.account().is_none());
        query.time("at");
        query.flag("explain");
        let Err(ApiError::InvalidRequest(errors)) = query.finish() else { panic!("accepted") };
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["tenantId", "at", "at", "explain", "colour"]);
    }
}
