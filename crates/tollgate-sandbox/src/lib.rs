//! The sandbox stands in for Stripe: realistic events, in every API version, of stories that are
//! told to the byte the same for the same options. No input or output, no clock; randomness only
//! from seeds. All but [`server`], which puts a sandbox on the network.
//!
#![deny(missing_docs)]

pub mod delivery;
pub mod demo;
pub mod event;
mod id;
pub mod load;
mod object;
pub mod offer;
pub mod overrides;
mod pretty;
pub mod sandbox;
pub mod scenario;
pub mod server;
pub mod single;
mod suggestion;
mod thin;
mod time;
pub mod version;
mod world;

pub use event::{Happening, StripeEvent};
pub use offer::{sandbox_price_id, sandbox_price_map};
pub use overrides::{Override, OverrideError};
pub use sandbox::{Sandbox, SandboxOptions, Settings};
pub use scenario::{Scenario, ScenarioError, ScenarioOptions};
pub use thin::EventForm;
pub use version::ApiVersion;
