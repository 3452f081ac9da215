//! From pieces to the tree: blocks and their ends. What a tag takes is read in `tags.rs`.

use super::cursor::{Cursor, NESTING_MAX, too_deep};
use super::fault::Fault;
use super::names::Names;
use super::nodes::{Node, is_blank, strip};
use super::pieces::{self, Piece, Tag};

/// Bytes of a source. A body is at most 1 MiB by default, and one that large is no composition.
pub(super) const SOURCE_MAX: usize = 512 << 10;
/// A parsed source.
#[derive(Debug)]
pub(super) struct Program {
    pub source: String,
    pub nodes: Vec<Node>,
    pub names: Names,
    /// The number of `forloop`.
    pub forloop: usize,
}

/// Parses a source.
pub(super) fn parse(source: &str) -> Result<Program, Fault> {
    if source.len() > SOURCE_MAX {
        let message =
            format!("the template is {} bytes; at most {SOURCE_MAX} are taken", source.len());
        return Err(Fault::new(0, message));
    }
    let pieces = pieces::split(source)?;
    let mut parser =
        Parser { source, pieces: pieces.into_iter(), names: Names::default(), depth: 0 };
    let nodes = match parser.block(None)? {
        (nodes, None) => nodes,
        (_, Some(tag)) => return Err(parser.stray(&tag, None)),
    };
    let mut names = parser.names;
    let forloop = names.number("forloop");
    Ok(Program { source: source.to_owned(), nodes, names, forloop })
}

/// The tag that opened a block, for errors about its end.
#[derive(Clone, Copy)]
pub(super) struct Open<'s> {
    /// `if`, `for`, …
    pub name: &'s str,
    /// Where it is.
    pub at: usize,
    /// Which `{% liquid %}` it stands in.
    pub group: usize,
    /// The tags that may end one of its bodies.
    pub enders: &'static [&'static str],
}

/// Turns pieces into nodes.
pub(super) struct Parser<'s> {
    source: &'s str,
    pieces: std::vec::IntoIter<Piece<'s>>,
    pub names: Names,
    depth: usize,
}

impl<'s> Parser<'s> {
    /// The source.
    pub fn source(&self) -> &'s str {
        self.source
    }

    /// A cursor over the words of a tag.
    pub fn cursor<'t>(&'t mut self, tag: &'t Tag<'s>) -> Cursor<'t, 's> {
        Cursor::new(&tag.tokens, tag.end, &mut self.names)
    }

    /// The nodes up to the tag that ends them: one of those that `open` names, or the source's end.
    fn block(&mut self, open: Option<Open<'s>>) -> Result<(Vec<Node>, Option<Tag<'s>>), Fault> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(range) => nodes.push(Node::Text(range)),
                Piece::Output { at, tokens, end } => {
                    if tokens.is_empty() {
                        return Err(Fault::new(at, "`{{ }}` is empty; write a variable into it"));
                    }
                    let mut cursor = Cursor::new(&tokens, end, &mut self.names);
                    nodes.push(Node::Output(cursor.pipeline()?));
                    cursor.finish()?;
                }
                Piece::Tag(tag) if ends(&tag, open) => return Ok((nodes, Some(tag))),
                Piece::Tag(tag) => nodes.push(self.tag(tag, open)?),
            }
        }
        match open {
            None => Ok((nodes, None)),
            Some(open) => {
                let message = format!("`{0}` is never ended; write `{{% end{0} %}}`", open.name);
                Err(Fault::new(open.at, message))
            }
        }
    }

    /// A body of `open`, and the tag that ended it.
    pub fn body(&mut self, open: Open<'s>) -> Result<(Vec<Node>, Tag<'s>), Fault> {
        if self.depth == NESTING_MAX {
            return Err(too_deep(open.at));
        }
        self.depth += 1;
        let (nodes, ender) = self.block(Some(open))?;
        self.depth -= 1;
        match ender {
            Some(tag) => Ok((nodes, tag)),
            None => Err(Fault::new(open.at, "is never ended")),
        }
    }

    /// Leaves the white space of blank bodies out, as the original does.
    pub fn settle<'n>(&self, bodies: impl Iterator<Item = &'n mut Vec<Node>>) {
        let mut bodies: Vec<&mut Vec<Node>> = bodies.collect();
        if bodies.iter().all(|body| is_blank(body, self.source)) {
            bodies.iter_mut().for_each(|body| strip(body));
        }
    }

    fn tag(&mut self, tag: Tag<'s>, open: Option<Open<'s>>) -> Result<Node, Fault> {
        match tag.name {
            "if" | "unless" => self.conditional(tag),
            "case" => self.case(tag),
            "for" => self.each(tag),
            "capture" => self.capture(tag),
            "assign" => self.assign(&tag),
            "cycle" => self.cycle(&tag),
            "increment" => self.count(&tag, 1),
            "decrement" => self.count(&tag, -1),
            "abort_message" => self.abort(&tag),
            "echo" => {
                let mut cursor = self.cursor(&tag);
                let pipeline = cursor.pipeline()?;
                cursor.finish()?;
                Ok(Node::Output(pipeline))
            }
            "break" | "continue" => {
                self.cursor(&tag).finish()?;
                Ok(if tag.name == "break" { Node::Break } else { Node::Continue })
            }
            _ => Err(self.stray(&tag, open)),
        }
    }

    /// Says why a tag cannot stand where it does.
    fn stray(&self, tag: &Tag<'_>, open: Option<Open<'_>>) -> Fault {
        let name = tag.name;
        let message = match open {
            None => format!("`{name}` has no tag before it that it belongs to"),
            Some(open) => {
                let line = self.source[..open.at].matches('\n').count() + 1;
                let opened = open.name;
                match open.enders.contains(&name) {
                    true => format!(
                        "`{opened}` of line {line} must end where it began: in the same `liquid` \
                         tag, or outside of any"
                    ),
                    false => format!(
                        "`{name}` does not belong here; `{opened}` of line {line} is open, end it \
                         with `{{% end{opened} %}}`"
                    ),
                }
            }
        };
        Fault::new(tag.at, message)
    }
}

fn ends(tag: &Tag<'_>, open: Option<Open<'_>>) -> bool {
    open.is_some_and(|open| open.group == tag.group && open.enders.contains(&tag.name))
}
