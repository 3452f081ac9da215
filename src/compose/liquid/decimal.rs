//! Numbers as Liquid reckons with them: whole numbers exactly, fractions in decimal. `0.1 + 0.2` is
//! 0.3 and `4.35 × 100` is 435.0, as in the original (which uses BigDecimal); prices depend on it.

use super::value::Value;

/// Digits after the point that are reckoned with exactly. Beyond, `f64` does it.
const SCALE_MAX: u32 = 24;

/// Digits after the point that a quotient is reckoned to: all that an `i128` has room for.
const QUOTIENT_SCALE_MAX: u32 = 38;
/// A quotient of as many digits is told apart from all others that a float can be: it has 17.
const TELLING: u128 = 1_000_000_000_000_000_000;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Whole.
    Int(i64),
    /// With a fraction.
    Float(f64),
}

/// `units / 10^scale`.
#[derive(Clone, Copy)]
struct Decimal {
    units: i128,
    scale: u32,
}

/// What two numbers may be put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// a + b
    Plus,
    /// a − b
    Minus,
    /// a × b
    Times,
    /// a ÷ b; whole numbers round down
    Divide,
    /// the rest of it, with the sign of b
    Modulo,
}

/// How to lose a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the nearest, halves away from zero.
    Nearest,
    /// Up.
    Ceiling,
    /// Down.
    Floor,
}

impl Number {
    /// The number that a filter takes a value for: a text counts by the digits that it begins with,
    /// anything else is 0.
    pub fn of(value: &Value<'_>) -> Result<Number, String> {
        match value {
            Value::Int(number) => Ok(Number::Int(*number)),
            // Its neighbours could not be told apart as floats, and it is most likely an id.
            Value::Large(_) => Err(too_large()),
            Value::Float(number) => Ok(Number::Float(*number)),
            Value::Text(text, _) => of_text(text),
            _ => Ok(Number::Int(0)),
        }
    }

    /// As a value.
    pub fn value<'a>(self) -> Value<'a> {
        match self {
            Number::Int(number) => Value::Int(number),
            Number::Float(number) => Value::Float(number),
        }
    }

    /// As a float.
    pub fn float(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    /// The smaller or larger of two; itself where they are equal.
    pub fn bounded(self, other: Number, larger: bool) -> Number {
        let (left, right) = (self.float(), other.float());
        // Equal ones may be written differently: 0 and 0.0.
        match if larger { left < right } else { right < left } {
            true => other,
            false => self,
        }
    }

    /// Without its sign.
    pub fn abs(self) -> Result<Number, String> {
        match self {
            Number::Int(number) => number.checked_abs().map(Number::Int).ok_or_else(too_large),
            Number::Float(number) => Ok(Number::Float(number.abs())),
        }
    }

    /// Rounds to `places` after the point (before it where negative). To 0 places and fewer it
    /// becomes a whole number.
    pub fn round(self, rounding: Rounding, places: i64) -> Result<Number, String> {
        let number = match self {
            Number::Int(_) if places >= 0 => return Ok(self),
            Number::Int(number) => Decimal { units: number.into(), scale: 0 },
            Number::Float(number) if places > i64::from(SCALE_MAX) => {
                return Ok(Number::Float(number));
            }
            Number::Float(number) => match Decimal::of(number) {
                Some(decimal) => decimal,
                // Too large or too small to have a fraction that matters.
                None if number.abs() < 1.0 => Decimal { units: 0, scale: 0 },
                None => return Err(too_large()),
            },
        };
        let Some(rounded) = number.rounded(rounding, places) else { return Ok(Number::Int(0)) };
        match places > 0 {
            true => Ok(Number::Float(rounded.float())),
            false => rounded.whole().map(Number::Int).ok_or_else(too_large),
        }
    }

    /// Reckons. Overflow and division by zero are errors.
    pub fn apply(self, operation: Operation, other: Number) -> Result<Number, String> {
        match (self, other) {
            (Number::Int(left), Number::Int(right)) => whole(left, operation, right),
            (left, right) => fraction(left, operation, right),
        }
    }
}

fn whole(left: i64, operation: Operation, right: i64) -> Result<Number, String> {
    let result = match operation {
        Operation::Plus => left.checked_add(right),
        Operation::Minus => left.checked_sub(right),
        Operation::Times => left.checked_mul(right),
        Operation::Divide | Operation::Modulo if right == 0 => return Err(by_zero()),
        Operation::Divide => {
            let uneven = left.checked_rem(right).is_some_and(|rest| rest != 0);
            let down = i64::from(uneven && (left < 0) != (right < 0));
            left.checked_div(right).and_then(|quotient| quotient.checked_sub(down))
        }
        Operation::Modulo => match left.checked_rem(right) {
            Some(rest) if rest != 0 && (rest < 0) != (right < 0) => Some(rest + right),
            Some(rest) => Some(rest),
            None => Some(0),
        },
    };
    result.map(Number::Int).ok_or_else(too_large)
}

fn fraction(left: Number, operation: Operation, right: Number) -> Result<Number, String> {
    if right.float() == 0.0 && matches!(operation, Operation::Divide | Operation::Modulo) {
        return Err(by_zero());
    }
    let exact = left.decimal().zip(right.decimal()).and_then(|(left, right)| match operation {
        Operation::Plus => left
            .aligned(right)
            .and_then(|(a, b, scale)| Some(Decimal { units: a.checked_add(b)?, scale })),
        Operation::Minus => left
            .aligned(right)
            .and_then(|(a, b, scale)| Some(Decimal { units: a.checked_sub(b)?, scale })),
        Operation::Times => Some(Decimal {
            units: left.units.checked_mul(right.units)?,
            scale: left.scale + right.scale,
        }),
        Operation::Modulo => left.aligned(right).and_then(|(a, b, scale)| {
            let rest = a.checked_rem(b)?;
            let units = if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest };
            Some(Decimal { units, scale })
        }),
        Operation::Divide => left.over(right),
    });
    let result = exact.map_or_else(
        || {
            let (left, right) = (left.float(), right.float());
            match operation {
                Operation::Plus => left + right,
                Operation::Minus => left - right,
                Operation::Times => left * right,
                Operation::Divide => left / right,
                Operation::Modulo => left - right * (left / right).floor(),
            }
        },
        Decimal::float,
    );
    match result.is_finite() {
        true => Ok(Number::Float(result)),
        false => Err(too_large()),
    }
}

impl Number {
    fn decimal(self) -> Option<Decimal> {
        match self {
            Number::Int(number) => Some(Decimal { units: number.into(), scale: 0 }),
            Number::Float(number) => Decimal::of(number),
        }
    }
}

impl Decimal {
    /// The shortest decimal that reads back as `number`, which is what its author wrote.
    fn of(number: f64) -> Option<Self> {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
        let units: i128 = digits.parse().ok()?;
        let places = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let scale = i32::try_from(places).ok()? - exponent;
        match u32::try_from(scale) {
            Ok(scale) => (scale <= SCALE_MAX).then_some(Self { units, scale }),
            Err(_) => {
                let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
                Some(Self { units: units.checked_mul(factor)?, scale: 0 })
            }
        }
    }

    /// The quotient, to as many digits as there is room for. `None` where those are fewer than a float
    /// can tell.
    fn over(self, other: Self) -> Option<Self> {
        let Self { mut units, mut scale } = self;
        while let Some(raised) = units.checked_mul(10).filter(|_| scale < QUOTIENT_SCALE_MAX) {
            (units, scale) = (raised, scale + 1);
        }
        let quotient = units.checked_div(other.units)?;
        let tells = quotient.unsigned_abs() >= TELLING || units % other.units == 0;
        let scale = scale.checked_sub(other.scale)?;
        tells.then_some(Self { units: quotient, scale })
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let raise =
            |number: Self| number.units.checked_mul(10_i128.checked_pow(scale - number.scale)?);
        Some((raise(self)?, raise(other)?, scale))
    }

    fn float(self) -> f64 {
        format!("{}e-{}", self.units, self.scale).parse().unwrap_or(f64::NAN)
    }

    fn whole(self) -> Option<i64> {
        let units = self.units.checked_div(10_i128.checked_pow(self.scale)?)?;
        i64::try_from(units).ok()
    }

    /// `None` where it rounds to nothing.
    fn rounded(self, rounding: Rounding, places: i64) -> Option<Self> {
        let drop = i64::from(self.scale).saturating_sub(places);
        let Ok(drop) = u32::try_from(drop.max(0)) else { return None };
        let unit = 10_i128.checked_pow(drop)?;
        let (floor, rest) = (self.units.div_euclid(unit), self.units.rem_euclid(unit));
        let up = match rounding {
            Rounding::Floor => false,
            Rounding::Ceiling => rest > 0,
            Rounding::Nearest if self.units < 0 => rest > unit - rest,
            Rounding::Nearest => rest > 0 && rest >= unit - rest,
        };
        let units = (floor + i128::from(up)).checked_mul(unit)?;
        Some(Self { units, scale: self.scale })
    }
}

/// `\A-?\d+\.\d+\z` is a fraction; else the whole number that the text begins with.
fn of_text(text: &str) -> Result<Number, String> {
    let text = text.trim();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let before = digits(unsigned);
    if let Some((whole, fraction)) = unsigned.split_once('.')
        && before > 0
        && before == whole.len()
        && !fraction.is_empty()
        && digits(fraction) == fraction.len()
    {
        let number: f64 = text.parse().map_err(|_| too_large())?;
        return match number.is_finite() {
            true => Ok(Number::Float(number)),
            false => Err(too_large()),
        };
    }
    match before {
        0 => Ok(Number::Int(0)),
        _ => format!("{sign}{}", &unsigned[..before])
            .parse()
            .map(Number::Int)
            .map_err(|_| too_large()),
    }
}

fn too_large() -> String {
    "the number is too large; whole numbers go up to 9223372036854775807".into()
}

fn by_zero() -> String {
    "divided by 0".into()
}
