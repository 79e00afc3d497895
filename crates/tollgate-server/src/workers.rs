//! Background work. Owns: the list of workers. None of them takes input: each looks at the
//! database for what is due.

mod daily;
pub mod episodes;
pub mod journals;
pub mod presence;
pub mod reconcile;
pub mod refetch;
pub mod retention;
pub mod retry;
pub mod schedule;
