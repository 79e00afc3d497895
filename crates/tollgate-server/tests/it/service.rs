//! The service from outside: intake, reads, errors.

mod billing;
mod bound_keys;
mod catalog_plan;
mod checkouts_of_nobody;
mod connected;
mod contradictions;
mod emails;
mod envelopes;
mod every_finding;
mod evidence;
mod fetched;
mod findings;
mod hostile;
mod intake;
mod loads;
mod metering;
mod modes;
mod owners;
mod poison;
mod reads;
mod reconcile;
mod refusals;
mod sold;
mod supervision;
mod thin;
mod wrong_key;
