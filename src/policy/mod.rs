//! The rules: pure functions and state machines. Time and dice are arguments; nothing here is
//! async, logs, reads a clock or knows an actor.

pub mod backoff;
pub mod headers;
