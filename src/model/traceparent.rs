//! The trace that a trigger belongs to, as the header `traceparent` names it (W3C Trace Context).
//! What is none is not passed on; ids of nothing but zeros and version `ff` are forbidden there.

use std::fmt;

/// Characters of the header: version, trace, span and flags in hexadecimal, with dashes between.
const LENGTH: usize = 55;
/// The flag that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// A trace and the span in it under which something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The whole trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// Whether whoever began the trace records it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the header. A later version is read by the parts that the first one has, and no text
    /// beyond them is taken.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_dash = |place: usize| matches!(place, 2 | 35 | 52);
        let fits = |(place, byte): (usize, u8)| match is_dash(place) {
            true => byte == b'-',
            false => hex(byte),
        };
        if text.len() != LENGTH || !text.bytes().enumerate().all(fits) || text.starts_with("ff") {
            return None;
        }
        let trace = u128::from_str_radix(&text[3..35], 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(&text[36..52], 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(&text[53..], 16).ok()?;
        Some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }

    /// The same trace, under another span of it; `span` is not 0.
    pub fn under(self, span: u64) -> Self {
        Self { span, ..self }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        write!(formatter, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let parent = TraceParent::parse(HEADER).expect("a header");
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), HEADER);
        let child = parent.under(0x1f);
        assert_eq!(TraceParent::parse(&child.to_string()), Some(child));
        assert!(child.to_string().ends_with("-000000000000001f-01"), "{child}");
    }

    #[test]
    fn unknown_flags_and_later_versions_are_read_by_what_is_known() {
        let later = HEADER.replacen("00-", "cc-", 1).replace("-01", "-fe");
        let parent = TraceParent::parse(&later).expect("a header");
        assert!(!parent.sampled);
        assert!(parent.to_string().starts_with("00-0af7"));
    }

    #[test]
    fn what_the_standard_forbids_is_no_header() {
        for bad in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00--af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "+0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319ü-b7ad6b716920333-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
