//! The codes of findings. Owns: their names, what each means and what to do about it. Must not know:
//! when a finding is open.

use crate::codec::text_form;

/// What kind of matter it is; the stable codes of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingCode {
    /// A live subscription grants nothing, because the catalog does not know its prices.
    PriceUnknown,
    /// A paid purchase grants nothing, because neither price nor amount confirms what it claims.
    PurchaseUnconfirmed,
    /// An object names an owner that cannot be an account id.
    ClaimInvalid,
    /// An object names another account than the one it is linked to.
    ClaimContradicts,
    /// Something was paid that sells nothing of the catalog and reaches no account.
    ForeignPaid,
    /// Something of the catalog was paid, and nothing says for which account.
    OwnerUnknown,
    /// The paid period or the trial of a subscription ended, and no news came.
    StaleSubscription,
    /// What the last events say of a subscription is contradictory or incomplete and Stripe was not
    /// asked, or its status is unknown.
    SubscriptionUnclear,
    /// Two live subscriptions give plans to one account.
    DuplicateSubscription,
    /// Events of the other mode (test or live) arrive.
    OtherMode,
    /// Thin events arrive, and without an API key their objects cannot be read.
    ThinWithoutKey,
    /// Something was bought through Billing v2, which is not read.
    BillingV2,
    /// An event could not be processed and is retried no more.
    EventDead,
    /// The journal of an account is not what was written.
    JournalBroken,
    /// Something that was sold names a plan the catalog has no more.
    GrantLostByCatalog,
}

impl FindingCode {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::PriceUnknown,
        Self::PurchaseUnconfirmed,
        Self::ClaimInvalid,
        Self::ClaimContradicts,
        Self::ForeignPaid,
        Self::OwnerUnknown,
        Self::StaleSubscription,
        Self::SubscriptionUnclear,
        Self::DuplicateSubscription,
        Self::OtherMode,
        Self::ThinWithoutKey,
        Self::BillingV2,
        Self::EventDead,
        Self::JournalBroken,
        Self::GrantLostByCatalog,
    ];

    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PriceUnknown => "price_unknown",
            Self::PurchaseUnconfirmed => "purchase_unconfirmed",
            Self::ClaimInvalid => "claim_invalid",
            Self::ClaimContradicts => "claim_contradicts",
            Self::ForeignPaid => "foreign_paid",
            Self::OwnerUnknown => "owner_unknown",
            Self::StaleSubscription => "stale_subscription",
            Self::SubscriptionUnclear => "subscription_unclear",
            Self::DuplicateSubscription => "duplicate_subscription",
            Self::OtherMode => "other_mode",
            Self::ThinWithoutKey => "thin_without_key",
            Self::BillingV2 => "billing_v2",
            Self::EventDead => "event_dead",
            Self::JournalBroken => "journal_broken",
            Self::GrantLostByCatalog => "grant_lost_by_catalog",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.into_iter().find(|code| code.as_str() == text);
        found.ok_or_else(|| UnknownCode { text: text.chars().take(80).collect() })
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::PriceUnknown => {
                "A live subscription grants nothing: the catalog does not know its price."
            }
            Self::PurchaseUnconfirmed => {
                "A paid purchase grants nothing: neither its price nor its amount confirms it."
            }
            Self::ClaimInvalid => {
                "The metadata of an object names something that is not an account id."
            }
            Self::ClaimContradicts => {
                "The metadata of an object names another account than the one it belongs to."
            }
            Self::ForeignPaid => {
                "Something was paid that sells nothing of the catalog and belongs to no account."
            }
            Self::OwnerUnknown => {
                "Something that is sold here was paid or runs, and nothing says for which account."
            }
            Self::StaleSubscription => {
                "The paid period or the trial of a subscription ended more than 72 hours ago, and no \
                 news came."
            }
            Self::SubscriptionUnclear => {
                "What is known of a subscription is contradictory, incomplete or nothing at all, and \
                 Stripe has not been asked; or its status is unknown."
            }
            Self::DuplicateSubscription => "Two live subscriptions give plans to one account.",
            Self::OtherMode => "Stripe events of the other mode (test or live) arrive.",
            Self::ThinWithoutKey => {
                "Thin events arrive, but without an API key their objects cannot be read."
            }
            Self::BillingV2 => {
                "Something was bought through Stripe Billing v2, which is not read yet."
            }
            Self::EventDead => "A Stripe event could not be processed and is retried no more.",
            Self::JournalBroken => "The journal of an account is not what was written.",
            Self::GrantLostByCatalog => {
                "Something that was sold names a plan that is no longer in the catalog."
            }
        }
    }

    /// What to do about it, in a sentence.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::PriceUnknown => {
                "Map the price or its product to a plan: stripe_prices or stripe_products in the \
                 catalog, or STRIPE_PRODUCT_PRICE_MAP."
            }
            Self::PurchaseUnconfirmed => "Map the price to the plan, or refund the payment.",
            Self::ClaimInvalid => {
                "Correct account_id in the object's metadata at Stripe, or use `tollgate relink`."
            }
            Self::ClaimContradicts => {
                "If the metadata is right, move the object with `tollgate relink`; else correct it, or \
                 relink the object to the account that has it."
            }
            Self::ForeignPaid => {
                "If it is yours, map its price in the catalog or set account_id in its metadata; \
                 else ignore it."
            }
            Self::OwnerUnknown => {
                "Give it to its account: `tollgate relink OBJECT --to ACCOUNT --reason TEXT`."
            }
            Self::StaleSubscription => {
                "Check the webhook endpoint, or set STRIPE_SECRET_KEY so that Stripe can be asked."
            }
            Self::SubscriptionUnclear => {
                "Set STRIPE_SECRET_KEY so that Stripe can be asked, or wait for the next event; a status \
                 that is unknown needs a newer version."
            }
            Self::DuplicateSubscription => {
                "Cancel one of them: `tollgate duplicates` shows which, and what a refund would be."
            }
            Self::OtherMode => "Send only events of one mode to this server: one server for each.",
            Self::ThinWithoutKey => "Set STRIPE_SECRET_KEY, or send snapshot events.",
            Self::BillingV2 => "Sell through subscriptions.",
            Self::EventDead => {
                "`tollgate events show ID` says why; mend that and run `tollgate events replay ID`, or let \
                 go of it: `tollgate events discard ID --reason TEXT`."
            }
            Self::JournalBroken => {
                "Someone changed rows of the database: compare with a backup, and change credentials."
            }
            Self::GrantLostByCatalog => "Put the plan back into the catalog.",
        }
    }

    /// Whether it follows from an account's facts and the catalog alone.
    pub(super) const fn is_derived(self) -> bool {
        matches!(
            self,
            Self::PriceUnknown
                | Self::PurchaseUnconfirmed
                | Self::ClaimContradicts
                | Self::StaleSubscription
                | Self::SubscriptionUnclear
                | Self::DuplicateSubscription
                | Self::GrantLostByCatalog
        )
    }
}

text_form!(FindingCode, FindingCode::parse);

/// The text is not the code of a finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the code of a finding")]
pub struct UnknownCode {
    /// The text, cut to 80 characters.
    pub text: String,
}
