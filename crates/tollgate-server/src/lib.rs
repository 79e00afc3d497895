//! Tollgate talks here: HTTP, workers, configuration, command line.

pub mod acts;
pub mod api;
pub mod app;
pub mod apply;
pub mod backoff;
pub mod bench;
pub mod billing;
pub mod cache;
pub mod catalog_sync;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
mod envelope;
pub mod feed;
pub mod freshness;
pub mod intake;
pub mod keys;
pub mod listener;
pub mod metrics;
pub mod reconcile;
pub mod run;
pub mod scope;
pub mod stripe;
pub mod telemetry;
pub mod what_if;
pub mod workers;
