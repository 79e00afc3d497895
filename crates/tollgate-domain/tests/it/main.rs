//! Laws of the domain, checked from outside: only what the crate publishes is used here.

#![cfg(test)]

mod convergence;
mod pitfalls;
mod story;
mod world;
