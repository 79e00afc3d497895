//! Whole deliveries, from bytes to observations.

mod hostile;
mod observations;
mod ties;
