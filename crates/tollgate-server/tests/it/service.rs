//! The service from outside: intake, reads, errors.

mod billing;
mod catalog_plan;
mod fetched;
mod findings;
mod hostile;
mod intake;
mod reads;
mod reconcile;
mod refusals;
