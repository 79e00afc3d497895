//! Routes under `/admin`, one file per noun. Owns: nothing but the list.

pub mod catalog;
pub mod duplicates;
pub mod email;
pub mod findings;
pub mod reconcile;
pub mod relink;
