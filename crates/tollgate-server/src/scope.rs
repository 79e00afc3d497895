//! Scopes. Owns: the rights a key can have. A key without scopes has no right at all.

/// One right of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Checks, entitlements, plans.
    Check,
    /// Track and reserve usage.
    Usage,
    /// Checkout, portal, subscription, badges, boosts, members.
    Billing,
    /// Live streams.
    Stream,
    /// Everything under `/admin`, reading and writing.
    Admin,
    /// Reading under `/admin`.
    AdminRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] =
        [Self::Check, Self::Usage, Self::Billing, Self::Stream, Self::Admin, Self::AdminRead];

    /// Its name in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Usage => "usage",
            Self::Billing => "billing",
            Self::Stream => "stream",
            Self::Admin => "admin",
            Self::AdminRead => "admin:read",
        }
    }

    /// Whether a key with this scope may do what needs another: who may change may look.
    pub const fn includes(self, needed: Self) -> bool {
        self as u8 == needed as u8 || matches!((self, needed), (Self::Admin, Self::AdminRead))
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}
