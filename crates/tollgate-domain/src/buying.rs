//! Buying and changing. Owns: the rules of what may be bought, at which of Stripe's prices, when a
//! change takes effect, where a customer may be sent, and when a call whose outcome is unknown is
//! repeated. Must not know: how Stripe is called, what is kept where.

pub mod addon;
pub mod change;
pub mod managed;
pub mod offer;
pub mod redirect;
pub mod repeat;

pub use change::{ChangeTiming, Charge, TimingWish};
pub use managed::{Candidates, Managed, Unmanaged};
pub use offer::{KnownPrice, OfferRefusal, PlanWish};
pub use redirect::{RedirectRefusal, RedirectRule, RedirectRuleError, RedirectRules};
pub use repeat::NextCall;
