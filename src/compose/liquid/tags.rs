//! What each tag takes.

use super::cursor::Cursor;
use super::expression::{Condition, Expression};
use super::fault::Fault;
use super::nodes::{Branch, Case, Cycle, For, Node, Offset, When};
use super::parse::{Open, Parser};
use super::pieces::Tag;
use super::tokens::Kind;

/// Characters of a loop's name that a template can see.
const LOOP_NAME_MAX: usize = 200;

/// Values of one `cycle`, or of one `when`; far over what a person writes.
const VALUES_MAX: usize = 1000;

fn open<'s>(tag: &Tag<'s>, enders: &'static [&'static str]) -> Open<'s> {
    Open { name: tag.name, at: tag.at, group: tag.group, enders }
}

impl<'s> Parser<'s> {
    pub(super) fn conditional(&mut self, tag: Tag<'s>) -> Result<Node, Fault> {
        let (enders, after_else): (&[&str], &[&str]) = match tag.name {
            "if" => (&["elsif", "else", "endif"], &["endif"]),
            _ => (&["elsif", "else", "endunless"], &["endunless"]),
        };
        let mut wanted = tag.name == "if";
        let mut condition = Some(self.condition(&tag)?);
        let mut branches = Vec::new();
        loop {
            let enders = if condition.is_some() { enders } else { after_else };
            let (body, ender) = self.body(open(&tag, enders))?;
            branches.push(Branch { condition, wanted, body });
            wanted = true;
            condition = match ender.name {
                "elsif" => Some(self.condition(&ender)?),
                "else" => {
                    self.bare_else(&ender)?;
                    None
                }
                _ => {
                    self.cursor(&ender).finish()?;
                    self.settle(branches.iter_mut().map(|branch| &mut branch.body));
                    return Ok(Node::If(branches));
                }
            };
        }
    }

    fn condition(&mut self, tag: &Tag<'s>) -> Result<Condition, Fault> {
        let mut cursor = self.cursor(tag);
        let condition = cursor.condition()?;
        cursor.finish()?;
        Ok(condition)
    }

    fn bare_else(&mut self, tag: &Tag<'s>) -> Result<(), Fault> {
        let cursor = self.cursor(tag);
        match cursor.peek() {
            Some(Kind::Name("if")) => {
                Err(Fault::new(cursor.at(), "`else if` is not Liquid; write `elsif`"))
            }
            _ => cursor.finish(),
        }
    }

    pub(super) fn case(&mut self, tag: Tag<'s>) -> Result<Node, Fault> {
        const ENDERS: &[&str] = &["when", "else", "endcase"];
        let mut cursor = self.cursor(&tag);
        let subject = cursor.expression()?;
        cursor.finish()?;
        // What stands before the first `when` is never printed.
        let (_, mut ender) = self.body(open(&tag, ENDERS))?;
        let mut branches = Vec::new();
        while ender.name != "endcase" {
            let values = match ender.name {
                "when" => Some(self.when(&ender)?),
                _ => {
                    self.bare_else(&ender)?;
                    None
                }
            };
            let (body, next) = self.body(open(&tag, ENDERS))?;
            branches.push(When { values, body });
            ender = next;
        }
        self.cursor(&ender).finish()?;
        self.settle(branches.iter_mut().map(|branch| &mut branch.body));
        Ok(Node::Case(Box::new(Case { subject, branches, at: tag.at })))
    }

    fn when(&mut self, tag: &Tag<'s>) -> Result<Vec<Expression>, Fault> {
        let mut cursor = self.cursor(tag);
        let values = values(&mut cursor, |cursor| cursor.takes(",") || cursor.takes_word("or"))?;
        cursor.finish()?;
        Ok(values)
    }

    pub(super) fn each(&mut self, tag: Tag<'s>) -> Result<Node, Fault> {
        let mut each = self.each_head(&tag)?;
        let (body, ender) = self.body(open(&tag, &["else", "endfor"]))?;
        each.body = body;
        let last = match ender.name {
            "else" => {
                self.bare_else(&ender)?;
                let (otherwise, last) = self.body(open(&tag, &["endfor"]))?;
                each.otherwise = otherwise;
                last
            }
            _ => ender,
        };
        self.cursor(&last).finish()?;
        self.settle([&mut each.body, &mut each.otherwise].into_iter());
        Ok(Node::For(Box::new(each)))
    }

    fn each_head(&mut self, tag: &Tag<'s>) -> Result<For, Fault> {
        const EXAMPLE: &str = "{% for item in list %}";
        let source = self.source();
        let mut cursor = self.cursor(tag);
        let (variable, name) = cursor.variable(EXAMPLE)?;
        if !cursor.takes_word("in") {
            return Err(cursor.fault(&format!("`in`, as in {EXAMPLE}")));
        }
        let from = cursor.at();
        let collection = cursor.expression()?;
        let written = source.get(from..cursor.at()).unwrap_or_default().trim();
        let name = format!("{name}-{written}");
        let (mut limit, mut offset, mut reversed) = (None, None, false);
        while let Some(kind) = cursor.peek() {
            let option = match kind {
                Kind::Symbol(",") => {
                    cursor.skip();
                    continue;
                }
                Kind::Name(option) => option,
                _ => return Err(cursor.fault("`limit:`, `offset:` or `reversed`")),
            };
            match option {
                "reversed" => {
                    cursor.skip();
                    reversed = true;
                }
                "limit" => {
                    cursor.skip();
                    cursor.expect(":", "after `limit`")?;
                    limit = Some(cursor.expression()?);
                }
                "offset" => {
                    cursor.skip();
                    cursor.expect(":", "after `offset`")?;
                    offset = Some(match cursor.takes_word("continue") {
                        true => Offset::Continue,
                        false => Offset::At(cursor.expression()?),
                    });
                }
                _ => return Err(cursor.fault("`limit:`, `offset:` or `reversed`")),
            }
        }
        let number = self.names.number(&name);
        // Copied each time the loop begins, so that a long one is cut.
        let name: Box<str> = name.chars().take(LOOP_NAME_MAX).collect();
        let (body, otherwise) = (Vec::new(), Vec::new());
        let at = tag.at;
        Ok(For { variable, name, number, collection, limit, offset, reversed, body, otherwise, at })
    }

    pub(super) fn capture(&mut self, tag: Tag<'s>) -> Result<Node, Fault> {
        let mut cursor = self.cursor(&tag);
        let name = match cursor.peek() {
            // The original takes the name in quotes, too.
            Some(Kind::Text(name)) => {
                cursor.skip();
                cursor.finish()?;
                self.names.number(name)
            }
            _ => {
                let (number, _) = cursor.variable("{% capture name %}")?;
                cursor.finish()?;
                number
            }
        };
        let (body, ender) = self.body(open(&tag, &["endcapture"]))?;
        self.cursor(&ender).finish()?;
        Ok(Node::Capture(name, body, tag.at))
    }

    pub(super) fn assign(&mut self, tag: &Tag<'s>) -> Result<Node, Fault> {
        let mut cursor = self.cursor(tag);
        let (name, _) = cursor.variable("{% assign name = value %}")?;
        cursor.expect("=", "after the name, as in {% assign name = value %}")?;
        let pipeline = cursor.pipeline()?;
        cursor.finish()?;
        Ok(Node::Assign(name, pipeline))
    }

    pub(super) fn cycle(&mut self, tag: &Tag<'s>) -> Result<Node, Fault> {
        let source = self.source();
        let mut cursor = self.cursor(tag);
        let from = cursor.at();
        let is_named = matches!(cursor.second(), Some(Kind::Symbol(":")));
        let group = match is_named {
            true => {
                let group = cursor.expression()?;
                cursor.expect(":", "after the group")?;
                Some(group)
            }
            false => None,
        };
        let values = values(&mut cursor, |cursor| cursor.takes(","))?;
        let written = source.get(from..cursor.at()).unwrap_or_default().trim();
        cursor.finish()?;
        let group = group.unwrap_or_else(|| Expression::Text(written.into()));
        Ok(Node::Cycle(Box::new(Cycle { group, values, at: tag.at })))
    }

    pub(super) fn count(&mut self, tag: &Tag<'s>, by: i64) -> Result<Node, Fault> {
        let mut cursor = self.cursor(tag);
        let (name, _) = cursor.variable("{% increment name %}")?;
        cursor.finish()?;
        Ok(Node::Count(name, by))
    }

    pub(super) fn abort(&mut self, tag: &Tag<'s>) -> Result<Node, Fault> {
        let mut cursor = self.cursor(tag);
        if cursor.peek().is_none() {
            return Ok(Node::Abort(None));
        }
        cursor.expect("(", "and the reason: {% abort_message(\"no address\") %}")?;
        let reason = match cursor.takes(")") {
            true => None,
            false => {
                let reason = cursor.pipeline()?;
                cursor.expect(")", "after the reason")?;
                Some(reason)
            }
        };
        cursor.finish()?;
        Ok(Node::Abort(reason))
    }
}

fn values<'t, 's>(
    cursor: &mut Cursor<'t, 's>,
    mut goes_on: impl FnMut(&mut Cursor<'t, 's>) -> bool,
) -> Result<Vec<Expression>, Fault> {
    let mut values = vec![cursor.expression()?];
    while goes_on(cursor) {
        if values.len() == VALUES_MAX {
            return Err(cursor.fault(&format!("at most {VALUES_MAX} values")));
        }
        values.push(cursor.expression()?);
    }
    Ok(values)
}
