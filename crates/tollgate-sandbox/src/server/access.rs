//! What keys open. Owns: which account a key belongs to, which connected accounts it reaches, and what
//! a restricted key may not read. Must not know: what a route does.
//!
//! Any test key opens the account that is served, as nothing in it is secret. A key that was given
//! another account opens that one instead, as a key taken from the wrong place does. Accounts that are
//! connected to the one that is served are reached by its keys, where a request names one in its
//! `Stripe-Account` header; their objects are theirs alone.

use std::collections::HashMap;

use crate::sandbox::{ApiReply, ApiRequest, Sandbox};

/// Accounts beside the one that is served, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    others: HashMap<String, Sandbox>,
    /// Accounts connected to the one that is served, by their ids.
    connected: HashMap<String, Sandbox>,
}

impl Accounts {
    /// From now on a key opens this account. A live key needs one: it never opens the account that is
    /// served.
    pub(crate) fn give(&mut self, key: &str, account: Sandbox) {
        self.others.insert(key.to_owned(), account);
    }

    /// The other account a key opens, at a time.
    pub(crate) fn of(&mut self, key: &str, now: i64) -> Option<&mut Sandbox> {
        let account = self.others.get_mut(key)?;
        account.advance_to(now);
        Some(account)
    }

    /// Connects an account to the one that is served.
    pub(crate) fn connect(&mut self, account: Sandbox) {
        self.connected.insert(account.account().to_owned(), account);
    }

    /// Ends a connection.
    pub(crate) fn disconnect(&mut self, account: &str) {
        self.connected.remove(account);
    }

    /// A connected account, at a time.
    pub(crate) fn connected(&mut self, account: &str, now: i64) -> Option<&mut Sandbox> {
        let account = self.connected.get_mut(account)?;
        account.advance_to(now);
        Some(account)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.others.contains_key(key)
    }
}

/// Stripe's refusal of a request for an account that is not connected to the key's.
pub(crate) fn closed(key: &str, account: &str) -> ApiReply {
    let shown: String = key.chars().take("sk_test_".len()).collect();
    let message = format!(
        "The provided key '{shown}***' does not have access to account '{account}' (or that account \
         does not exist). Application access may have been revoked."
    );
    ApiReply {
        status: 403,
        body: serde_json::json!({
            "error": {"type": "invalid_request_error", "code": "account_invalid", "message": message},
        }),
        request_id: "req_account_invalid".to_owned(),
        idempotent_replayed: false,
        should_retry: None,
    }
}

/// Stripe's refusal of what a restricted key may not do, if it is that: no restricted key may read
/// its account.
pub(crate) fn forbidden(key: &str, request: &ApiRequest, account: &str) -> Option<ApiReply> {
    let restricted = key.starts_with("rk_");
    let own = request.path == "/v1/account" || request.path.starts_with("/v1/accounts/");
    (restricted && own).then(|| {
        let shown: String = key.chars().take("rk_test_".len()).collect();
        let message = format!(
            "The provided key '{shown}***' does not have the required permissions for this endpoint \
             on account '{account}'. This is a restricted API key, but the required permissions are \
             not available for use by restricted keys."
        );
        ApiReply {
            status: 403,
            body: serde_json::json!({
                "error": {"type": "invalid_request_error", "message": message},
            }),
            request_id: "req_restricted".to_owned(),
            idempotent_replayed: false,
            should_retry: None,
        }
    })
}
