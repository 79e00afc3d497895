//! Real processes under load and trouble: killed, doubled, cut off from their database. What was
//! acknowledged must be there, once, and the facts must be those of an untroubled run.

mod away;
mod cluster;
mod commits;
mod full;
mod instances;
mod kills;
mod metrics_listener;
pub(crate) mod pooler;
mod process;
mod proxy;
mod reload;
mod revoked;
mod secrecy;
mod sender;
mod table;
mod unit;
