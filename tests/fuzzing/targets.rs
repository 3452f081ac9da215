//! What is fed with hostile input, and what must hold then. Each function takes any bytes and
//! panics where a promise is broken.

mod doors;
pub mod kept;
pub mod rules;
mod texts;

/// A function that judges an input.
pub type Target = fn(&[u8]);

/// All targets; each has a folder of kept inputs in `tests/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("trigger", doors::trigger),
    ("ndjson", doors::ndjson),
    ("url", doors::url),
    ("idempotency_key", doors::idempotency_key),
    ("limit_headers", rules::limit_headers),
    ("answer_head", rules::answer_head),
    ("config", rules::config),
    ("saved_state", kept::saved_state),
    ("attempt_record", kept::attempt_record),
    ("head_record", kept::head_record),
    ("liquid", texts::liquid),
    ("webhook_template", texts::webhook_template),
];
