//! Where we mean to differ from what is expected, and why.

use crate::corpus::Answer;

/// A case that we answer otherwise.
pub struct Difference {
    /// Its subject and its name.
    pub case: (&'static str, &'static str),
    /// What we make of it; nothing where we refuse.
    pub ours: Option<&'static str>,
    pub reason: &'static str,
}

impl Difference {
    pub fn answer(&self) -> Answer {
        self.ours.map_or(Answer::Refused, |output| Answer::Output(output.to_owned()))
    }
}

const fn differs(
    subject: &'static str,
    name: &'static str,
    ours: Option<&'static str>,
    reason: &'static str,
) -> Difference {
    Difference { case: (subject, name), ours, reason }
}

/// All of them. One that is no longer true fails the test, like one that is not listed.
pub const DIFFERENCES: &[Difference] = &[
    differs(
        "conditions",
        "keyword as a property",
        Some("1 2 3"),
        "after a dot a word is a name, also where it is an operator elsewhere",
    ),
    differs(
        "dates",
        "date of the command by %+",
        Some("Sun Mar  1 00:00:00 UTC 2026|Tue Nov 24 07:05:09 UTC 2026"),
        "Ruby documents it, and its code forgets it",
    ),
    differs(
        "errors",
        "assign without a value",
        None,
        "what assigns nothing is a slip, and is named",
    ),
    differs(
        "errors",
        "increment of nothing",
        None,
        "a counter without a name is a slip, and is named",
    ),
    differs(
        "errors",
        "junk after endif",
        None,
        "a condition behind an end is a slip, and is named",
    ),
    differs(
        "filters_array",
        "first of an object is a pair",
        Some(""),
        "JSON's objects have no order here, so that none of their fields is the first",
    ),
    differs(
        "filters_math",
        "nought with a sign",
        Some("0.0 0.0"),
        "decimals know one nought, and a reader of a body expects no other",
    ),
    differs("filters_string", "h is escape", None, "nobody documents the short name"),
    differs(
        "filters_string",
        "replace by a backslash and a digit",
        Some("a\\\\1c"),
        "Ruby takes a backslash in the replacement for its own; there is no pattern to refer to",
    ),
    differs(
        "loops",
        "limit with commas",
        Some("23"),
        "the other engines take it, and so does Shopify's when it is not strict",
    ),
    differs("loops", "tablerow", None, "it writes HTML's table, which no webhook has"),
    differs(
        "numbers",
        "underscores",
        Some("2"),
        "digits that Ruby's source code groups are not a number in JSON",
    ),
    differs(
        "variables",
        "increment leaves data alone",
        Some("07"),
        "the documentation keeps counters apart from variables",
    ),
    differs(
        "variables",
        "comment with a cut-off output",
        Some("ab"),
        "what stands in a comment does not matter; later versions of Shopify's agree",
    ),
    differs(
        "variables",
        "raw with dashes",
        Some("a b c"),
        "a dash trims wherever it stands, by the documentation",
    ),
    differs(
        "whitespace",
        "raw with dashes inside",
        Some("[a]"),
        "a dash trims wherever it stands, by the documentation",
    ),
];
