//! Which Stripe account a database belongs to. Owns: what is kept of it, and the rule by which a key
//! is admitted. Must not know: how Stripe is asked.
//!
//! A database is bound at its first contact with Stripe. To a key of another account, or of the
//! other mode, nothing the database knows exists; what such a key is answered must never be taken
//! for news.

use tollgate_store::{Db, StoreError, Tx, accounts, meta};
use tollgate_stripe::client::{KeyMismatch, KeyMode};

use crate::config::{Livemode, StripeConfig};

/// Where the binding is kept.
const NAME: &str = "stripe_account";

/// The account and mode a database belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Test or live.
    pub mode: KeyMode,
    /// `acct_…`; `None` while only restricted keys that could not name it have been used.
    pub account: Option<String>,
}

impl Binding {
    /// What a database belongs to; `None` before its first contact.
    pub async fn find(db: &Db) -> Result<Option<Self>, StoreError> {
        Ok(meta::find(db, NAME).await?.as_deref().and_then(Self::parse))
    }

    /// Binds a database that is not bound. Returns what it is bound to then: of several that come
    /// at the same time the first one stays.
    pub async fn claim(&self, db: &Db) -> Result<Self, StoreError> {
        let kept = meta::claim(db, NAME, &self.text()).await?;
        Ok(Self::parse(&kept).unwrap_or_else(|| self.clone()))
    }

    /// Binds a database whatever it was bound to before.
    pub async fn save(&self, db: &Db) -> Result<(), StoreError> {
        meta::save(db, NAME, &self.text()).await
    }

    fn text(&self) -> String {
        match &self.account {
            Some(account) => format!("{} {account}", self.mode.as_str()),
            None => self.mode.as_str().to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (mode, account) = match text.split_once(' ') {
            Some((mode, account)) => (mode, Some(account.to_owned())),
            None => (text, None),
        };
        let mode = [KeyMode::Test, KeyMode::Live].into_iter().find(|one| one.as_str() == mode)?;
        Some(Self { mode, account })
    }

    /// Whether a key of this mode can be the right one at all.
    pub fn check_mode(&self, found: KeyMode) -> Result<(), KeyMismatch> {
        if found == self.mode {
            return Ok(());
        }
        Err(KeyMismatch::Mode { found, known: self.mode })
    }
}

/// The mode of the first event of a database.
const FIRST_MODE: &str = "first_event_mode";

/// Keeps the mode of a database's first event, in a transaction. Returns the one that is kept.
pub async fn claim_first_mode(tx: &mut Tx, mode: Livemode) -> Result<Option<Livemode>, StoreError> {
    let kept = meta::claim_in(tx, FIRST_MODE, mode.as_str()).await?;
    Ok(Livemode::parse(&kept))
}

/// Keeps a mode whatever was kept before.
pub async fn save_first_mode(db: &Db, mode: Livemode) -> Result<(), StoreError> {
    meta::save(db, FIRST_MODE, mode.as_str()).await
}

/// The mode of a database's first event; `None` before it.
pub async fn first_mode(db: &Db) -> Result<Option<Livemode>, StoreError> {
    Ok(meta::find(db, FIRST_MODE).await?.and_then(|text| Livemode::parse(&text)))
}

/// Why a mode is not the one of a database.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The setting contradicts what the database holds.
    #[error(
        "stripe.mode is {set}, but this database holds {kept} mode data: {why}. Set stripe.mode (or \
         TOLLGATE__STRIPE__MODE) to {kept}, use another database for {set} mode, or, if the data is \
         to be kept in {set} mode from now on, run `tollgate setup rebind --yes`"
    )]
    Contrary {
        /// What is set.
        set: &'static str,
        /// What is kept.
        kept: &'static str,
        /// Since when it is kept, and where.
        why: &'static str,
    },
}

/// The mode a database holds data of, and where it is kept.
async fn kept_mode(db: &Db) -> Result<Option<(Livemode, &'static str)>, StoreError> {
    if let Some(binding) = Binding::find(db).await? {
        let why = "it is kept since an API key was first used with it (row stripe_account of the \
                   table meta)";
        return Ok(Some((livemode(binding.mode), why)));
    }
    let why = "it is kept since its first event (row first_event_mode of the table meta)";
    Ok(first_mode(db).await?.map(|mode| (mode, why)))
}

/// The world a key opens.
pub const fn livemode(mode: KeyMode) -> Livemode {
    match mode {
        KeyMode::Live => Livemode::Live,
        KeyMode::Test => Livemode::Test,
    }
}

/// Decides which mode's events are taken. A setting counts, and is refused where the database holds
/// data of the other mode. Without one it is the mode the database is bound to; before its first
/// contact the key's, where nothing is known that could be of the other one. A wrong key must not
/// have the right events thrown away.
pub async fn settle_mode(config: &mut StripeConfig, db: &Db) -> Result<(), ModeError> {
    if !config.mode_of_key {
        let Some(set) = config.mode else { return Ok(()) };
        return match kept_mode(db).await? {
            Some((kept, why)) if kept != set => {
                Err(ModeError::Contrary { set: set.as_str(), kept: kept.as_str(), why })
            }
            Some(_) | None => Ok(()),
        };
    }
    if let Some(binding) = Binding::find(db).await? {
        config.mode = Some(livemode(binding.mode));
    } else if !accounts::list(db, None, 1).await?.is_empty() {
        config.mode = None;
    }
    Ok(())
}

/// Whether what the database knows exists in the account a key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// One of the objects does.
    Given,
    /// None of those asked for does.
    Refuted(Vec<String>),
    /// There is nothing to be asked for, or the key may not ask for it.
    Nothing,
}

/// What is to be done with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the right one, and the binding stays.
    Admitted,
    /// It is the right one; from now on the binding is this.
    Bind(Binding),
    /// Objects have to be asked for first.
    NeedsProof,
    /// It is not the right one.
    Refused(KeyMismatch),
}

/// Judges a key by what the database is bound to, the account the key opens where that can be told,
/// and a proof where one was sought.
pub fn judge(
    known: Option<&Binding>,
    mode: KeyMode,
    account: Option<&str>,
    proof: Option<&Proof>,
) -> Verdict {
    if let Some(Err(why)) = known.map(|known| known.check_mode(mode)) {
        return Verdict::Refused(why);
    }
    let bound = known.and_then(|known| known.account.as_deref());
    if let (Some(bound), Some(found)) = (bound, account) {
        if bound == found {
            return Verdict::Admitted;
        }
        let (found, known) = (found.to_owned(), bound.to_owned());
        return Verdict::Refused(KeyMismatch::Account { found, known });
    }
    match proof {
        None => Verdict::NeedsProof,
        Some(Proof::Refuted(asked)) => {
            Verdict::Refused(KeyMismatch::Unproven { asked: asked.clone() })
        }
        // An account is known and the key neither names one nor shows anything of it.
        Some(Proof::Nothing) if bound.is_some() => {
            Verdict::Refused(KeyMismatch::Unproven { asked: vec!["nothing to ask for".to_owned()] })
        }
        Some(Proof::Given | Proof::Nothing) => {
            let account = account.or(bound).map(str::to_owned);
            let binding = Binding { mode, account };
            if known == Some(&binding) { Verdict::Admitted } else { Verdict::Bind(binding) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(mode: KeyMode, account: Option<&str>) -> Binding {
        Binding { mode, account: account.map(str::to_owned) }
    }

    #[test]
    fn a_binding_is_kept_as_text() {
        for one in [
            bound(KeyMode::Live, Some("acct_1")),
            bound(KeyMode::Test, Some("acct_1")),
            bound(KeyMode::Live, None),
        ] {
            assert_eq!(Binding::parse(&one.text()), Some(one));
        }
        assert_eq!(Binding::parse("acct_1"), None);
    }

    #[test]
    fn a_key_is_judged_by_mode_then_account_then_objects() {
        use KeyMode::{Live, Test};
        let live = bound(Live, Some("acct_1"));
        let unnamed = bound(Live, None);
        let refuted = Proof::Refuted(vec!["cus_1".to_owned()]);
        let code = |verdict: Verdict| match verdict {
            Verdict::Admitted => "admitted".to_owned(),
            Verdict::Bind(binding) => format!("bind {}", binding.text()),
            Verdict::NeedsProof => "needs proof".to_owned(),
            Verdict::Refused(why) => why.code().to_owned(),
        };
        for (known, mode, account, proof, expected) in [
            // Bound: mode and account decide.
            (Some(&live), Test, Some("acct_1"), None, "stripe_wrong_mode"),
            (Some(&live), Live, Some("acct_1"), None, "admitted"),
            (Some(&live), Live, Some("acct_2"), Some(&Proof::Given), "stripe_wrong_account"),
            // A key that cannot name its account has to show something we know.
            (Some(&live), Live, None, None, "needs proof"),
            (Some(&live), Live, None, Some(&Proof::Given), "admitted"),
            (Some(&live), Live, None, Some(&refuted), "stripe_account_unproven"),
            (Some(&live), Live, None, Some(&Proof::Nothing), "stripe_account_unproven"),
            // First contact: what is known already must exist there.
            (None, Live, Some("acct_1"), None, "needs proof"),
            (None, Live, Some("acct_1"), Some(&Proof::Given), "bind live acct_1"),
            (None, Live, Some("acct_1"), Some(&Proof::Nothing), "bind live acct_1"),
            (None, Test, Some("acct_1"), Some(&refuted), "stripe_account_unproven"),
            (None, Live, None, Some(&Proof::Nothing), "bind live"),
            // A key that can name the account names it for good.
            (Some(&unnamed), Live, None, Some(&Proof::Nothing), "admitted"),
            (Some(&unnamed), Live, Some("acct_1"), Some(&Proof::Given), "bind live acct_1"),
            (Some(&unnamed), Live, Some("acct_2"), Some(&refuted), "stripe_account_unproven"),
        ] {
            let verdict = judge(known, mode, account, proof);
            assert_eq!(code(verdict), expected, "{known:?} {mode:?} {account:?} {proof:?}");
        }
    }
}
