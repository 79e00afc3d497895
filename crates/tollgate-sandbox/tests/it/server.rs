//! The sandbox over HTTP. Owns: what a client and a webhook endpoint see of it. Must not know: how
//! it is put together.

mod api;
mod control;
mod deliveries;
mod faults;
mod pages;
mod strangers;
mod support;
