//! Tollgate speaks Stripe here: bytes come in, observations go out. Owns: webhook signatures, the
//! event envelope and Stripe's objects in every shape since 2017. Must not know: storage, HTTP
//! routes, who the owner of an object turns out to be, what a price buys.
//!
//! An object that was asked for instead of delivered takes the same way from [`fetched`] on.
//!
//! The way of a delivery: [`signature::verify`] over the raw bytes, [`event::parse`], then
//! [`observe`](fn@observe). All three are pure; the time enters as an argument. The only part that
//! talks to a network is [`client`], and what is made with it, such as [`shop`].
#![deny(missing_docs)]

pub mod client;
pub mod event;
pub mod fetched;
mod field;
mod object;
mod observe;
mod owner;
pub mod shop;
pub mod signature;
pub mod thin;

pub use client::{ClientOptions, Fetched, StripeClient, StripeError};
pub use event::{Envelope, Parsed};
pub use observe::{EVENT_TYPES, ObserveError, Observed, event_kind, observe};
pub use signature::{SignatureError, SigningSecret, Verified, sign, verify};
pub use thin::ThinEvent;

#[cfg(test)]
mod tests;
