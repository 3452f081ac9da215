//! The tags that are known, and those of Liquid and Braze that are refused by name. Asked before a
//! tag's words are read, since the words of an unknown tag may be no Liquid.

use super::fault::shown;
use super::nearest::suggestion;

/// Tags that may stand in a template.
const TAGS: &[&str] = &[
    "abort_message",
    "assign",
    "break",
    "capture",
    "case",
    "comment",
    "continue",
    "cycle",
    "decrement",
    "echo",
    "else",
    "elsif",
    "endcapture",
    "endcase",
    "endcomment",
    "endfor",
    "endif",
    "endraw",
    "endunless",
    "for",
    "if",
    "increment",
    "liquid",
    "raw",
    "unless",
    "when",
];

/// Says what is wrong with the name of a tag.
pub(super) fn check(name: &str) -> Result<(), String> {
    if TAGS.contains(&name) {
        return Ok(());
    }
    if name.is_empty() {
        return Err("a tag needs a name, such as {% if … %}".into());
    }
    match refusal(name) {
        Some(why) => Err(format!("`{}` is not taken: {why}", shown(name))),
        None => {
            let near = suggestion(name, TAGS.iter().copied());
            Err(format!("`{}` is no tag{near}", shown(name)))
        }
    }
}

/// Why a tag of Liquid or Braze is not taken.
fn refusal(name: &str) -> Option<&'static str> {
    Some(match name {
        "connected_content" => {
            "rendering makes no request; give the values with the trigger or the event"
        }
        "content_blocks" => "there are none here; write the text into the template",
        "render" | "include" | "layout" | "block" | "extends" | "section" => {
            "a template stands alone; write the part into it"
        }
        "tablerow" | "endtablerow" => "it writes an HTML table, which no webhook has; use `for`",
        "ifchanged" | "endifchanged" => "remember the last value with `assign`",
        catalog if catalog.starts_with("catalog_") => {
            "there are no catalogs here; give the values with the trigger or the event"
        }
        _ => return None,
    })
}
