//! Where nobody may make us go, by any way in: hostile spellings of URLs, and what was stored under
//! other settings. The real binary, with a name server and a proxy of the test's own.

mod lists;
#[path = "../names/mod.rs"]
mod names;
#[path = "../process/mod.rs"]
mod process;
mod spellings;
mod trap;
mod ways;
