//! Buying and changing against a Stripe that stands in: one customer and one pending purchase
//! whatever happens, and each refusal with its own code.

mod changes;
mod checkout;
mod duplicates;
mod existing;
mod others;
mod paid;
mod pending;
mod refusals;
pub(super) mod shop;
mod terms;
mod units;
