//! Reading expressions from the words of an output or tag.

use super::expression::{
    Call, Comparison, Condition, Expression, Head, Join, Path, Pipeline, Step, Term,
};
use super::fault::Fault;
use super::filters;
use super::names::Names;
use super::scope::Root;
use super::tokens::{Kind, Token};

/// Blocks inside one another, and brackets in one expression. Rendering recurses that deep, and
/// dropping too; both together take a small part of a thread's 2 MiB.
pub(super) const NESTING_MAX: usize = 64;

/// Reads expressions from the words of one output or tag.
pub(super) struct Cursor<'t, 's> {
    tokens: &'t [Token<'s>],
    index: usize,
    /// Where the words end.
    end: usize,
    /// Brackets that are open.
    depth: usize,
    names: &'t mut Names,
}

impl<'t, 's> Cursor<'t, 's> {
    /// Reads from the first of `tokens`, which end at byte `end`.
    pub fn new(tokens: &'t [Token<'s>], end: usize, names: &'t mut Names) -> Self {
        Self { tokens, index: 0, end, depth: 0, names }
    }

    /// The next word.
    pub fn peek(&self) -> Option<Kind<'s>> {
        self.tokens.get(self.index).map(|token| token.kind)
    }

    /// The word after the next one.
    pub fn second(&self) -> Option<Kind<'s>> {
        self.tokens.get(self.index + 1).map(|token| token.kind)
    }

    /// Where the next word is.
    pub fn at(&self) -> usize {
        self.tokens.get(self.index).map_or(self.end, |token| token.at)
    }

    /// Goes past the next word.
    pub fn skip(&mut self) {
        self.index += 1;
    }

    /// Goes past `symbol` where it is next.
    pub fn takes(&mut self, symbol: &str) -> bool {
        let found =
            self.peek().is_some_and(|kind| matches!(kind, Kind::Symbol(found) if found == symbol));
        self.index += usize::from(found);
        found
    }

    /// Goes past the word `word` where it is next.
    pub fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Name(name)) if name == word);
        self.index += usize::from(found);
        found
    }

    /// Goes past `symbol`, or says that it should stand here.
    pub fn expect(&mut self, symbol: &str, what: &str) -> Result<(), Fault> {
        match self.takes(symbol) {
            true => Ok(()),
            false => Err(self.fault(&format!("`{symbol}` {what}"))),
        }
    }

    /// A name for a variable of the template.
    pub fn variable(&mut self, example: &str) -> Result<(usize, &'s str), Fault> {
        match self.peek() {
            Some(Kind::Name(name)) => {
                self.skip();
                Ok((self.names.number(name), name))
            }
            _ => Err(self.fault(&format!("a name, as in {example}"))),
        }
    }

    /// Says that nothing may follow.
    pub fn finish(&self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(Kind::Symbol("|")) => {
                let message = "no filter is taken here; {% assign %} its result first";
                Err(Fault::new(self.at(), message))
            }
            Some(Kind::Symbol("(")) | Some(Kind::Symbol(")")) => {
                let message = "Liquid has no parentheses but for ranges (1..5); nest the tags";
                Err(Fault::new(self.at(), message))
            }
            Some(kind) => {
                Err(Fault::new(self.at(), format!("{} is not expected here", described(kind))))
            }
        }
    }

    /// A fault at the next word: something else was expected.
    pub fn fault(&self, expected: &str) -> Fault {
        let found = match self.peek() {
            Some(kind) => format!(", not {}", described(kind)),
            None => String::new(),
        };
        Fault::new(self.at(), format!("expected {expected}{found}"))
    }

    /// An expression with its filters.
    pub fn pipeline(&mut self) -> Result<Pipeline, Fault> {
        let at = self.at();
        let head = self.expression()?;
        let mut filters = Vec::new();
        while self.takes("|") {
            filters.push(self.filter()?);
        }
        Ok(Pipeline { head, filters, at })
    }

    fn filter(&mut self) -> Result<Call, Fault> {
        let at = self.at();
        let Some(Kind::Name(name)) = self.peek() else {
            return Err(self.fault("the name of a filter"));
        };
        self.skip();
        let filter = filters::find(name).map_err(|message| Fault::new(at, message))?;
        let mut call = Call { filter, arguments: Vec::new(), allow_false: None, at };
        if self.takes(":") {
            self.arguments(&mut call)?;
        }
        filter.check(call.arguments.len()).map_err(|message| Fault::new(at, message))?;
        Ok(call)
    }

    fn arguments(&mut self, call: &mut Call) -> Result<(), Fault> {
        loop {
            match (self.peek(), self.second()) {
                (Some(Kind::Name(name)), Some(Kind::Symbol(":"))) => {
                    if (call.filter.name, name) != ("default", "allow_false") {
                        let message = format!("`{}` has no `{name}:`", call.filter.name);
                        return Err(Fault::new(self.at(), message));
                    }
                    self.skip();
                    self.skip();
                    call.allow_false = Some(self.expression()?);
                }
                _ => call.arguments.push(self.expression()?),
            }
            // A comma at the end is common, and the original takes it.
            if !self.takes(",") || self.at_end() {
                return Ok(());
            }
        }
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::Symbol("|" | "}}" | ")")))
    }

    /// A value.
    pub fn expression(&mut self) -> Result<Expression, Fault> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(too_deep(self.at()));
        }
        let expression = self.value();
        self.depth -= 1;
        expression
    }

    fn value(&mut self) -> Result<Expression, Fault> {
        let at = self.at();
        let literal = match self.peek() {
            Some(Kind::Int(number)) => Expression::Int(number),
            Some(Kind::Float(number)) => Expression::Float(number),
            Some(Kind::Text(text)) => Expression::Text(text.into()),
            Some(Kind::Profile(name)) => {
                self.skip();
                return self.path(Head::Profile(name.into()), at);
            }
            Some(Kind::Name(name)) => match self.literal(name) {
                Some(literal) => literal,
                None => {
                    self.skip();
                    if name == "content_blocks" {
                        return Err(Fault::new(at, CONTENT_BLOCKS));
                    }
                    let head = Head::Name(self.names.number(name), Root::named(name));
                    return self.path(head, at);
                }
            },
            Some(Kind::Symbol("(")) => return self.range(),
            Some(Kind::Symbol("[")) => {
                self.skip();
                let head = Head::Computed(self.expression()?);
                self.expect("]", "after it")?;
                return self.path(head, at);
            }
            Some(Kind::Symbol("{{")) => {
                self.skip();
                let pipeline = self.pipeline()?;
                self.expect("}}", "at the end of the nested output")?;
                return Ok(Expression::Nested(Box::new(pipeline)));
            }
            _ => return Err(self.fault("a variable or a value")),
        };
        self.skip();
        Ok(literal)
    }

    /// The words with a meaning of their own, unless they are the head of a path.
    fn literal(&self, name: &str) -> Option<Expression> {
        if matches!(self.second(), Some(Kind::Symbol("." | "["))) {
            return None;
        }
        Some(match name {
            "nil" | "null" => Expression::Nil,
            "true" => Expression::Bool(true),
            "false" => Expression::Bool(false),
            "empty" => Expression::Empty,
            "blank" => Expression::Blank,
            _ => return None,
        })
    }

    fn range(&mut self) -> Result<Expression, Fault> {
        let at = self.at();
        self.skip();
        let first = self.expression()?;
        if !self.takes("..") {
            let message = "Liquid has no parentheses but for ranges (1..5); nest the tags";
            return Err(Fault::new(at, message));
        }
        let last = self.expression()?;
        self.expect(")", "at the end of the range")?;
        Ok(Expression::Range(Box::new((first, last))))
    }

    fn path(&mut self, head: Head, at: usize) -> Result<Expression, Fault> {
        let mut steps = Vec::new();
        loop {
            if self.takes(".") {
                let key = match self.peek() {
                    Some(Kind::Name(key) | Kind::Profile(key)) => key,
                    Some(Kind::Int(number)) => {
                        return Err(self.fault(&format!("a name; write [{number}]")));
                    }
                    _ => return Err(self.fault("a name after the dot")),
                };
                self.skip();
                steps.push(Step::Key(key.into()));
            } else if self.takes("[") {
                let key = self.expression()?;
                self.expect("]", "after it")?;
                steps.push(match key {
                    Expression::Text(key) => Step::Key(key),
                    other => Step::Index(other),
                });
            } else {
                return Ok(Expression::Path(Box::new(Path { head, steps, at })));
            }
        }
    }

    /// Comparisons joined by `and` and `or`.
    pub fn condition(&mut self) -> Result<Condition, Fault> {
        let mut condition = Condition { terms: vec![self.term()?], joins: Vec::new() };
        loop {
            let join = match self.peek() {
                Some(Kind::Name("and")) => Join::And,
                Some(Kind::Name("or")) => Join::Or,
                _ => return Ok(condition),
            };
            self.skip();
            condition.joins.push(join);
            condition.terms.push(self.term()?);
        }
    }

    fn term(&mut self) -> Result<Term, Fault> {
        let at = self.at();
        let left = self.expression()?;
        let comparison = match self.peek() {
            Some(Kind::Symbol("==")) => Comparison::Equal,
            Some(Kind::Symbol("!=" | "<>")) => Comparison::Unequal,
            Some(Kind::Symbol("<")) => Comparison::Less,
            Some(Kind::Symbol("<=")) => Comparison::AtMost,
            Some(Kind::Symbol(">")) => Comparison::Greater,
            Some(Kind::Symbol(">=")) => Comparison::AtLeast,
            Some(Kind::Name("contains")) => Comparison::Contains,
            Some(Kind::Symbol("=")) => {
                return Err(Fault::new(self.at(), "`=` compares nothing; write `==`"));
            }
            _ => return Ok(Term { left, compared: None, at }),
        };
        self.skip();
        let right = self.expression()?;
        Ok(Term { left, compared: Some((comparison, right)), at })
    }
}

/// Why content blocks are not taken.
pub(super) const CONTENT_BLOCKS: &str =
    "`content_blocks` are not kept here; write their text into the template";

/// Why a template is given up that nests without end.
pub(super) fn too_deep(at: usize) -> Fault {
    Fault::new(at, format!("more than {NESTING_MAX} blocks or brackets inside one another"))
}

fn described(kind: Kind<'_>) -> String {
    match kind {
        Kind::Name(name) => format!("`{}`", super::fault::shown(name)),
        Kind::Profile(name) => format!("`${{{}}}`", super::fault::shown(name)),
        Kind::Text(_) => "a text".into(),
        Kind::Int(number) => format!("`{number}`"),
        Kind::Float(number) => format!("`{number}`"),
        Kind::Symbol(symbol) => format!("`{symbol}`"),
    }
}
