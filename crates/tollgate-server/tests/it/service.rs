//! The service from outside: intake, reads, errors.

mod hostile;
mod intake;
mod reads;
mod refusals;
