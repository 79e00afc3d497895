//! The guard of the way to Stripe. Owns: finding out whose key it is, looking for something we know,
//! and what is remembered of the outcome. Must not know: the rule (`binding`), what is called later.

use std::sync::{Arc, Mutex, PoisonError};

use tollgate_domain::Catalog;
use tollgate_domain::catalog::PRICE_ID_PREFIX;
use tollgate_store::{Db, StoreError, links, meta};
use tollgate_stripe::client::{
    AccountGuard, Admission, ApiPath, Form, KeyMismatch, Operation, StripeClient, StripeError,
};
use tollgate_stripe::shop::fetch_account_id;

use super::binding::{Binding, Proof, Verdict, judge};
use crate::billing::portal::CONFIGURATION;

/// Objects of a kind that are looked for, from either end of their order.
const SAMPLE: u32 = 5;
/// How often two that bind at the same time are told apart.
const ROUNDS_MAX: u32 = 3;

/// How the key stands, as far as it has been asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeyStanding {
    /// Stripe has not been asked yet, or did not answer.
    #[default]
    Unasked,
    /// It opens the account the data belongs to.
    Right(Binding),
    /// It does not; nothing is read from or written to Stripe.
    Wrong(KeyMismatch),
}

/// Keeps keys of other accounts and of the other mode from being used with a database.
#[derive(Debug, Clone)]
pub struct DatabaseGuard {
    db: Db,
    /// Prices the catalog names by id: they exist in the right account only.
    prices: Vec<String>,
    standing: Arc<Mutex<KeyStanding>>,
}

impl DatabaseGuard {
    /// A guard for a database.
    pub fn new(db: Db, catalog: &Catalog) -> Self {
        let named = catalog.prices.keys().filter(|name| name.starts_with(PRICE_ID_PREFIX));
        let prices = named.take(usize::try_from(SAMPLE).unwrap_or(1)).cloned().collect();
        Self { db, prices, standing: Arc::default() }
    }

    /// How the key stands.
    pub fn standing(&self) -> KeyStanding {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, standing: KeyStanding) {
        let before = std::mem::replace(
            &mut *self.standing.lock().unwrap_or_else(PoisonError::into_inner),
            standing.clone(),
        );
        match standing {
            KeyStanding::Wrong(why) => tracing::error!(
                code = why.code(),
                "{why}; nothing is read from or written to Stripe until then, checks go on"
            ),
            KeyStanding::Right(binding) if matches!(before, KeyStanding::Wrong(_)) => {
                tracing::info!(account = binding.account, "the API key is the right one again");
            }
            KeyStanding::Right(_) | KeyStanding::Unasked => {}
        }
    }

    async fn find_out(&self, client: &StripeClient) -> Result<(), StripeError> {
        for _ in 0..ROUNDS_MAX {
            let known = Binding::find(&self.db).await.map_err(|error| unchecked(&error))?;
            let mode = client.mode();
            if let Some(Err(why)) = known.as_ref().map(|known| known.check_mode(mode)) {
                return self.refuse(why);
            }
            let account = fetch_account_id(client).await?;
            let mut verdict = judge(known.as_ref(), mode, account.as_deref(), None);
            if verdict == Verdict::NeedsProof {
                let proof = self.seek_proof(client, account.is_none()).await?;
                verdict = judge(known.as_ref(), mode, account.as_deref(), Some(&proof));
            }
            match verdict {
                Verdict::Refused(why) => return self.refuse(why),
                Verdict::Bind(binding) if known.is_none() => {
                    if binding.claim(&self.db).await.map_err(|error| unchecked(&error))? != binding
                    {
                        // Somebody else bound it meanwhile: that counts.
                        continue;
                    }
                    self.note(KeyStanding::Right(binding));
                    return Ok(());
                }
                Verdict::Bind(binding) => {
                    binding.save(&self.db).await.map_err(|error| unchecked(&error))?;
                    self.note(KeyStanding::Right(binding));
                    return Ok(());
                }
                Verdict::Admitted => {
                    let binding = known.unwrap_or(Binding { mode, account });
                    self.note(KeyStanding::Right(binding));
                    return Ok(());
                }
                Verdict::NeedsProof => {}
            }
        }
        Err(StripeError::Unchecked { detail: "the binding changes all the time".to_owned() })
    }

    fn refuse(&self, why: KeyMismatch) -> Result<(), StripeError> {
        self.note(KeyStanding::Wrong(why.clone()));
        Err(StripeError::WrongKey { why })
    }

    /// Asks for objects we know until one is there. `weak` says that the account is not named, so
    /// that where nobody's objects are known yet the deployment's own are asked for.
    async fn seek_proof(&self, client: &StripeClient, weak: bool) -> Result<Proof, StripeError> {
        let mut asked = Vec::new();
        for id in self.known_objects(weak).await.map_err(|error| unchecked(&error))? {
            let Some((operation, path)) = place(&id) else { continue };
            match client.call(operation, &path, &Form::new(), None).await {
                Ok(_) => return Ok(Proof::Given),
                Err(error) if error.is_missing() => asked.push(id),
                // The key may not read objects of this kind: they prove nothing.
                Err(StripeError::Refused { refusal }) if refusal.is_forbidden() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(if asked.is_empty() { Proof::Nothing } else { Proof::Refuted(asked) })
    }

    async fn known_objects(&self, weak: bool) -> Result<Vec<String>, StoreError> {
        let mut known = Vec::new();
        for prefix in ["cus_", "sub_"] {
            let some = links::sample(&self.db, prefix, SAMPLE).await?;
            known.extend(some.iter().map(ToString::to_string));
        }
        if weak && known.is_empty() {
            known.extend(meta::find(&self.db, CONFIGURATION).await?);
            known.extend(self.prices.iter().cloned());
        }
        Ok(known)
    }
}

impl AccountGuard for DatabaseGuard {
    fn admit<'a>(&'a self, client: &'a StripeClient) -> Admission<'a> {
        Box::pin(self.find_out(client))
    }
}

fn unchecked(error: &StoreError) -> StripeError {
    StripeError::Unchecked { detail: error.to_string() }
}

fn place(id: &str) -> Option<(Operation, ApiPath)> {
    let kinds = [
        ("cus_", "customers.retrieve", "/v1/customers"),
        ("sub_", "subscriptions.retrieve", "/v1/subscriptions"),
        ("bpc_", "billing_portal.configurations.retrieve", "/v1/billing_portal/configurations"),
        (PRICE_ID_PREFIX, "prices.retrieve", "/v1/prices"),
    ];
    let (_, name, path) = kinds.into_iter().find(|(prefix, _, _)| id.starts_with(prefix))?;
    Some((Operation::get(name), ApiPath::new(path).id(id)))
}
