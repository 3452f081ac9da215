//! The rules: pure functions and state machines. Time and dice are arguments; nothing here is
//! async, logs, reads a clock or knows an actor.

pub mod backoff;
pub mod budget;
pub mod concurrency;
pub mod condition;
pub mod destination;
pub mod gate;
pub mod headers;
pub mod health;
pub mod host_state;
pub mod intake;
pub mod lanes;
pub mod learned;
pub mod overload;
pub mod pace;
pub mod prospect;
pub mod queue;
pub mod rate;
pub mod reopening;
pub mod saved;
pub mod slump;
pub mod verdict;
pub mod vitals;
pub mod why;
pub mod window;
