//! A source taken apart: text, outputs and tags in their order. White space control, `raw`,
//! comments and the lines of `{% liquid %}` are settled here, so that the parser sees none of them.

use std::ops::Range;

use super::fault::Fault;
use super::known;
use super::tokens::{self, Closer, SPACE, Token, Words};

/// A part of a source.
#[derive(Debug)]
pub(super) enum Piece<'s> {
    /// Static text: a range of bytes.
    Text(Range<usize>),
    /// `{{ … }}`
    Output {
        /// Where `{{` is.
        at: usize,
        tokens: Vec<Token<'s>>,
        /// Where the words end.
        end: usize,
    },
    /// `{% name … %}`
    Tag(Tag<'s>),
}

/// A tag.
#[derive(Debug)]
pub(super) struct Tag<'s> {
    pub name: &'s str,
    /// Where the name is.
    pub at: usize,
    /// What follows the name.
    pub tokens: Vec<Token<'s>>,
    /// Where the words end.
    pub end: usize,
    /// 0, or which `{% liquid %}` it stands in: blocks do not reach out of it.
    pub group: usize,
}

/// Takes `source` apart.
pub(super) fn split(source: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut splitter = Splitter { source, at: 0, trims: false, groups: 0, pieces: Vec::new() };
    while splitter.at < source.len() {
        splitter.piece()?;
    }
    Ok(splitter.pieces)
}

struct Splitter<'s> {
    source: &'s str,
    at: usize,
    /// Whether what was closed last takes the white space after it.
    trims: bool,
    groups: usize,
    pieces: Vec<Piece<'s>>,
}

impl<'s> Splitter<'s> {
    fn piece(&mut self) -> Result<(), Fault> {
        let rest = &self.source[self.at..];
        let Some(open) = opener(rest) else {
            self.text(self.at..self.source.len(), false);
            self.at = self.source.len();
            return Ok(());
        };
        let open = self.at + open;
        let is_output = self.source[open..].starts_with("{{");
        let dash = self.dash(open, is_output);
        self.text(self.at..open, dash);
        let from = open + 2 + usize::from(dash);
        match is_output {
            true => {
                let words = tokens::read(self.source, from, open, Closer::Output)?;
                self.close(words.after, words.trims);
                let Words { tokens, end, .. } = words;
                self.pieces.push(Piece::Output { at: open, tokens, end });
                Ok(())
            }
            false => self.tag(open, from),
        }
    }

    /// Whether the opener has a dash. In `{{-5}}` it is the number's.
    fn dash(&self, open: usize, is_output: bool) -> bool {
        let rest = &self.source.as_bytes()[open + 2..];
        let digit = rest.get(1).is_some_and(u8::is_ascii_digit);
        rest.first() == Some(&b'-') && !(is_output && digit)
    }

    fn text(&mut self, range: Range<usize>, dash: bool) {
        let mut text = &self.source[range.clone()];
        let mut start = range.start;
        if self.trims {
            text = text.trim_start_matches(SPACE);
            start = range.end - text.len();
        }
        if dash {
            text = text.trim_end_matches(SPACE);
        }
        self.trims = false;
        if !text.is_empty() {
            self.pieces.push(Piece::Text(start..start + text.len()));
        }
    }

    fn close(&mut self, after: usize, trims: bool) {
        self.at = after;
        self.trims = trims;
    }

    fn tag(&mut self, open: usize, from: usize) -> Result<(), Fault> {
        let at = self.source.len() - self.source[from..].trim_start().len();
        let name = tag_name(&self.source[at..]);
        match name {
            "#" | "liquid" => {
                let Some(length) = self.source[at..].find("%}") else {
                    return Err(Fault::new(open, "`{%` is never closed; write `%}` after it"));
                };
                let trims = length > name.len() && self.source[..at + length].ends_with('-');
                let end = at + length - usize::from(trims);
                self.close(at + length + 2, trims);
                match name {
                    "#" => Ok(()),
                    _ => self.lines(at + name.len(), end),
                }
            }
            "raw" => {
                let start = self.empty_tag(at, "raw", open)?;
                let close = find_end(self.source, start, "raw", false)
                    .ok_or_else(|| never_ended(open, "raw"))?;
                self.text(start..close.at, close.dash);
                self.close(close.after, close.trims);
                Ok(())
            }
            "comment" => {
                let start = self.after_tag(at).ok_or_else(|| never_ended(open, "comment"))?;
                let close = find_end(self.source, start, "comment", true)
                    .ok_or_else(|| never_ended(open, "comment"))?;
                self.close(close.after, close.trims);
                Ok(())
            }
            _ => {
                known::check(name).map_err(|message| Fault::new(at, message))?;
                let words = tokens::read(self.source, at + name.len(), open, Closer::Tag)?;
                self.close(words.after, words.trims);
                self.push_tag(name, at, words, 0);
                Ok(())
            }
        }
    }

    fn push_tag(&mut self, name: &'s str, at: usize, words: Words<'s>, group: usize) {
        let Words { tokens, end, .. } = words;
        self.pieces.push(Piece::Tag(Tag { name, at, tokens, end, group }));
    }

    /// Reads the end of a tag that has nothing but its name, and its dash.
    fn empty_tag(&mut self, at: usize, name: &str, open: usize) -> Result<usize, Fault> {
        let words = tokens::read(self.source, at + name.len(), open, Closer::Tag)?;
        match words.tokens.first() {
            Some(token) => {
                Err(Fault::new(token.at, format!("`{name}` takes nothing; write `{{% {name} %}}`")))
            }
            None => {
                self.trims = words.trims;
                Ok(words.after)
            }
        }
    }

    /// The byte after the tag that has its name at `at`, whatever it holds.
    fn after_tag(&self, at: usize) -> Option<usize> {
        self.source[at..].find("%}").map(|length| at + length + 2)
    }

    /// The lines of `{% liquid %}`, each a tag.
    fn lines(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        self.groups += 1;
        let mut start = from;
        let mut comments: Vec<usize> = Vec::new();
        for line in self.source[from..to].split('\n') {
            let end = start + line.len();
            let at = end - line.trim_start().len();
            let name = tag_name(&self.source[at..end]);
            match name {
                "comment" => comments.push(at),
                "endcomment" if comments.pop().is_some() => {}
                _ if !comments.is_empty() => {}
                "" if line.trim().is_empty() => {}
                "#" => {}
                "liquid" | "raw" => {
                    let message = format!("`{name}` does not stand inside `liquid`");
                    return Err(Fault::new(at, message));
                }
                _ => {
                    known::check(name).map_err(|message| Fault::new(at, message))?;
                    let line = &self.source[..end];
                    let words = tokens::read(line, at + name.len(), at, Closer::Line)?;
                    self.push_tag(name, at, words, self.groups);
                }
            }
            start = end + 1;
        }
        comments.first().map_or(Ok(()), |at| Err(never_ended(*at, "comment")))
    }
}

/// The first `{{` or `{%`.
fn opener(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = text[from..].find('{') {
        let at = from + found;
        if matches!(bytes.get(at + 1), Some(b'{' | b'%')) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn tag_name(text: &str) -> &str {
    if text.starts_with('#') {
        return &text[..1];
    }
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    &text[..text.find(|letter| !is_letter(letter)).unwrap_or(text.len())]
}

fn never_ended(at: usize, name: &str) -> Fault {
    Fault::new(at, format!("`{name}` is never ended; write `{{% end{name} %}}`"))
}

/// Where a verbatim block ends.
struct End {
    at: usize,
    dash: bool,
    after: usize,
    trims: bool,
}

/// Finds `{% endNAME %}` from byte `from`. A comment may hold further comments, and `raw` blocks
/// whose words do not count.
fn find_end(source: &str, from: usize, name: &str, nests: bool) -> Option<End> {
    let mut depth = 0_usize;
    let mut at = from;
    // A `raw` that never ends is looked for once, or long comments would take quadratic time.
    let mut raws = nests;
    while let Some(found) = source[at..].find("{%") {
        let open = at + found;
        let inside = &source[open + 2..];
        let dash = inside.starts_with('-');
        let words = inside[usize::from(dash)..].trim_start();
        let start = source.len() - words.len();
        let word = tag_name(words);
        at = open + 2;
        if word == name && nests {
            depth += 1;
        } else if word == "raw" && raws {
            let end = find_end(source, start, "raw", false);
            raws = end.is_some();
            at = end.map_or(at, |end| end.after);
        } else if word.strip_prefix("end") == Some(name) {
            let rest = words[word.len()..].trim_start();
            let trims = rest.starts_with('-');
            let closed = rest[usize::from(trims)..].starts_with("%}");
            if closed && depth == 0 {
                let after = source.len() - rest.len() + usize::from(trims) + 2;
                return Some(End { at: open, dash, after, trims });
            }
            depth = depth.saturating_sub(usize::from(closed));
        }
    }
    None
}
