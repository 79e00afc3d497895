//! The service from outside: intake, reads, errors.

mod intake;
mod reads;
mod refusals;
