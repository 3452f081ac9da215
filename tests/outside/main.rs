//! The real binary beside what others wrote: a browser, a checker of API documents. Each
//! takes a minute or two and mostly waits, so that they are one binary, whose tests run side by
//! side. (The rate limiters are not among them: they are timed.)

mod browser;
#[path = "../names/mod.rs"]
mod names;
mod openapi;
#[path = "../process/mod.rs"]
mod process;
