//! Who an object says it belongs to. Owns: the names under which applications write their ids into
//! Stripe's metadata. Must not know: whether such an account exists, or whether it may claim.
//!
//! The names are a fixed point of the product: other people's checkout code relies on them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use tollgate_domain::OwnerClaim;
use tollgate_domain::ids::{AccountId, MemberId, PlanId};
use tollgate_domain::payment::PurchaseKind;

use crate::field::{Field, Text, Value, read_map};

/// Names of the account, the most telling first.
const ACCOUNT_NAMES: [&str; 8] = [
    "account_id",
    "accountId",
    "community_id",
    "communityId",
    "tenant_id",
    "tenantId",
    "user_id",
    "userId",
];
/// Names of the member.
const MEMBER_NAMES: [&str; 2] = ["member_id", "memberId"];
/// Name of the kind of purchase.
const KIND_NAME: &str = "type";
/// Names of the plan a grant is meant for; the price has to confirm it.
const PLAN_NAMES: [&str; 5] = ["plan", "plan_id", "planId", "entitlementLevel", "tier"];

/// The entries of an object's `metadata` that mean something to us. Anything else in it, and a
/// `metadata` of any other form, is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata<'a> {
    accounts: [Option<Cow<'a, str>>; ACCOUNT_NAMES.len()],
    members: [Option<Cow<'a, str>>; MEMBER_NAMES.len()],
    plans: [Option<Cow<'a, str>>; PLAN_NAMES.len()],
    kind: Option<Cow<'a, str>>,
}

impl<'a> Metadata<'a> {
    fn place(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let at = |names: &[&str]| names.iter().position(|known| *known == name);
        if let Some(index) = at(&ACCOUNT_NAMES) {
            return self.accounts.get_mut(index);
        }
        if let Some(index) = at(&MEMBER_NAMES) {
            return self.members.get_mut(index);
        }
        if let Some(index) = at(&PLAN_NAMES) {
            return self.plans.get_mut(index);
        }
        (name == KIND_NAME).then_some(&mut self.kind)
    }

    /// The owner named: the first name whose value can be an account id. A value that cannot be
    /// one (with spaces, too long, `null` as a text) is told of when no other can; a member without
    /// an account is no claim.
    pub(crate) fn named(&self) -> Named {
        if let Some(account) = first(&self.accounts, |text| AccountId::parse(text).ok()) {
            return Named::account(account, self.member());
        }
        let meant = |(name, text): (&&'static str, &Option<Cow<'_, str>>)| {
            text.as_deref().is_some_and(|text| !text.is_empty()).then_some(*name)
        };
        Named { claim: None, invalid: ACCOUNT_NAMES.iter().zip(&self.accounts).find_map(meant) }
    }

    /// The member named.
    pub(crate) fn member(&self) -> Option<MemberId> {
        first(&self.members, |text| MemberId::parse(text).ok())
    }

    /// What a checkout session with this metadata sells. One without a kind that names a plan is a
    /// grant of it: so applications wrote it that knew no other kind.
    pub(crate) fn purchase_kind(&self) -> PurchaseKind {
        let claimed = first(&self.plans, |text| PlanId::parse(&text.to_ascii_lowercase()).ok());
        match self.kind.as_deref() {
            Some("badge_purchase") => PurchaseKind::Badge,
            Some("community_boost") => PurchaseKind::Boost,
            Some("grant") => PurchaseKind::Grant { claimed },
            None if claimed.is_some() => PurchaseKind::Grant { claimed },
            Some(_) | None => PurchaseKind::Other,
        }
    }
}

/// Whom an object names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The owner.
    pub(crate) claim: Option<OwnerClaim>,
    /// Where it names one that cannot be one.
    pub(crate) invalid: Option<&'static str>,
}

impl Named {
    /// An account, and a member where one is named.
    pub(crate) fn account(account: AccountId, member: Option<MemberId>) -> Self {
        Self { claim: Some(OwnerClaim { account, member, edited: false }), invalid: None }
    }

    /// This one, or another where this one names nobody.
    pub(crate) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.claim.is_some() {
            return self;
        }
        let other = other();
        match other.claim {
            Some(_) => other,
            None => Self { claim: None, invalid: self.invalid.or(other.invalid) },
        }
    }
}

fn first<T>(texts: &[Option<Cow<'_, str>>], read: impl Fn(&str) -> Option<T>) -> Option<T> {
    texts.iter().flatten().find_map(|text| read(text))
}

impl<'de: 'a, 'a> Value<'de> for Metadata<'a> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        read_map(map).map(Some)
    }
}

impl<'de> Deserialize<'de> for Metadata<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata<'de>, A::Error> {
        let mut metadata = Metadata::default();
        while let Some(name) = map.next_key::<Field<Text<'de>>>()? {
            let place = name.given().and_then(|name| metadata.place(name.as_str()));
            match place {
                Some(place) => {
                    if let Field::Given(Text(text)) = map.next_value()? {
                        *place = Some(text);
                    }
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(metadata)
    }
}
