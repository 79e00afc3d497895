//! Drift. Owns: the classes of difference between what we know and what Stripe shows. Must not
//! know: how Stripe is asked, how a difference is repaired.

/// How a difference between our facts and Stripe's came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drift {
    /// Stripe made an event that never came.
    MissedEvent,
    /// All events came, and the order chosen among those of one second was not Stripe's.
    OutOfOrder,
    /// The object changed without any event that could have told of it.
    EditedInStripe,
    /// The catalog does not map a price that is sold; the catalog is to be mended, not the facts.
    UnknownPrice,
    /// We hold the event and did not do what it says: it failed, or a fact was altered.
    OurError,
}

impl Drift {
    /// All, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::MissedEvent,
        Self::OutOfOrder,
        Self::EditedInStripe,
        Self::UnknownPrice,
        Self::OurError,
    ];

    /// Name in reports, in the journal and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissedEvent => "missed_event",
            Self::OutOfOrder => "out_of_order",
            Self::EditedInStripe => "edited_in_stripe",
            Self::UnknownPrice => "unknown_price",
            Self::OurError => "our_error",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drift| drift.as_str() == text)
    }
}
