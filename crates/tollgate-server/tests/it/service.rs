//! The service from outside: intake, reads, errors.

mod catalog_plan;
mod hostile;
mod intake;
mod reads;
mod refusals;
