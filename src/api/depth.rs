//! How deep a JSON text nests. Looked at before it is parsed: parsers descend by recursion, and a
//! part that is passed on unread would take the depth along to whoever reads it.

/// Where `json` nests deeper than `max`, in bytes from its beginning. Text that is no JSON is for
/// the parser to refuse; here it is only never taken for shallower than a parser would.
pub(super) fn too_deep(json: &[u8], max: usize) -> Option<usize> {
    if json.len() <= max {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(json, at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the string ends that goes on at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_open_at_once() {
        assert_eq!(too_deep(b"[[],[],{\"a\":[1]}]", 3), None);
        assert_eq!(too_deep(b"[[],[],{\"a\":[1]}]", 2), Some(12));
        let deep = "[".repeat(1_000_000);
        assert_eq!(too_deep(deep.as_bytes(), 64), Some(64));
    }

    #[test]
    fn brackets_in_strings_are_text() {
        assert_eq!(too_deep(br#"{"a":"[[[[\"[[[","b":"\\"}"#, 1), None);
        assert_eq!(too_deep(br#"{"a":"\\",    "b":[]}"#, 1), Some(18));
        assert_eq!(too_deep(br#"["never ends \"#, 1), None);
    }
}
