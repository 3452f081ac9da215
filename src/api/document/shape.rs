//! Schemas put together by hand, for what is read by hand: a small vocabulary over the builder types
//! of `utoipa`. A shape carries the named schemas that it refers to, so that none is forgotten.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, AnyOfBuilder, Array, Object, OneOfBuilder, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{Number, ToSchema};

/// A schema, and the named ones that it needs.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) schema: RefOr<Schema>,
    pub(super) needs: BTreeMap<String, RefOr<Schema>>,
}

/// Of a type that is serialised or deserialised itself.
pub(super) fn of<T: ToSchema>() -> Shape {
    let mut needs = Vec::new();
    T::schemas(&mut needs);
    needs.push((T::name().into_owned(), T::schema()));
    let schema = Ref::from_schema_name(T::name()).into();
    Shape { schema, needs: needs.into_iter().collect() }
}

/// A schema that is described elsewhere, for one that refers to itself.
pub(super) fn reference(name: &str) -> Shape {
    Shape { schema: Ref::from_schema_name(name).into(), needs: BTreeMap::new() }
}

fn plain(kind: Type) -> Shape {
    object_of(Object::with_type(kind))
}

fn object_of(object: Object) -> Shape {
    Shape { schema: RefOr::T(Schema::Object(object)), needs: BTreeMap::new() }
}

/// Any string.
pub(super) fn text() -> Shape {
    plain(Type::String)
}

/// A string of `min` to `max` characters.
pub(super) fn line(min: usize, max: usize) -> Shape {
    text().with(|object| (object.min_length, object.max_length) = (Some(min), Some(max)))
}

/// A string that fits a regular expression.
pub(super) fn pattern(pattern: &str) -> Shape {
    text().with(|object| object.pattern = Some(pattern.into()))
}

/// One of these words.
pub(super) fn words(words: &[&str]) -> Shape {
    text().with(|object| {
        object.enum_values = Some(words.iter().map(|word| Value::from(*word)).collect());
    })
}

/// A whole number from `min` on.
pub(super) fn whole(min: usize) -> Shape {
    plain(Type::Integer).with(|object| object.minimum = Some(Number::UInt(min)))
}

/// A whole number from `min` to `max`.
pub(super) fn within(min: usize, max: usize) -> Shape {
    whole(min).with(|object| object.maximum = Some(Number::UInt(max)))
}

/// Any number.
pub(super) fn number() -> Shape {
    plain(Type::Number)
}

/// `true` or `false`.
pub(super) fn flag() -> Shape {
    plain(Type::Boolean)
}

/// Any JSON value.
pub(super) fn anything() -> Shape {
    object_of(Object::with_type(SchemaType::AnyValue))
}

/// An object with any members.
pub(super) fn members() -> Shape {
    plain(Type::Object)
}

/// An object whose members all have one shape.
pub(super) fn map(value: Shape) -> Shape {
    let schema = Some(Box::new(AdditionalProperties::RefOr(value.schema)));
    let map = members().with(|object| object.additional_properties = schema);
    Shape { needs: value.needs, ..map }
}

/// A list.
pub(super) fn list(item: Shape) -> Shape {
    let schema = RefOr::T(Schema::Array(Array::new(item.schema)));
    Shape { schema, needs: item.needs }
}

/// A list of `min` to `max` items.
pub(super) fn list_of(item: Shape, min: usize, max: usize) -> Shape {
    let mut shape = list(item);
    if let RefOr::T(Schema::Array(array)) = &mut shape.schema {
        (array.min_items, array.max_items) = (Some(min), Some(max));
    }
    shape
}

/// An object with these members, and perhaps others: what is answered. A `?` after a name says that
/// it may be absent.
pub(super) fn object<const N: usize>(fields: [(&str, Shape); N]) -> Shape {
    let mut shape = members();
    for (name, field) in fields {
        shape.needs.extend(field.needs);
        let name = match name.strip_suffix('?') {
            Some(name) => name,
            None => {
                shape = shape.with(|object| object.required.push(name.into()));
                name
            }
        };
        shape = shape.with(|object| {
            object.properties.insert(name.into(), field.schema);
        });
    }
    shape
}

/// An object with these members and no others: what is taken. A `?` after a name says that it may
/// be absent or `null`, a `~` that it may be absent but not `null`.
pub(super) fn closed<const N: usize>(fields: [(&str, Shape); N]) -> Shape {
    let fields = fields.map(|(name, field)| match name.strip_suffix('~') {
        Some(name) => (format!("{name}?"), field),
        None if name.ends_with('?') => (name.to_owned(), field.or_null()),
        None => (name.to_owned(), field),
    });
    let fields: [(&str, Shape); N] =
        std::array::from_fn(|place| (fields[place].0.as_str(), fields[place].1.clone()));
    let none = Some(Box::new(AdditionalProperties::FreeForm(false)));
    object(fields).with(|object| object.additional_properties = none)
}

/// Exactly one of these.
pub(super) fn one_of<const N: usize>(shapes: [Shape; N]) -> Shape {
    let mut builder = OneOfBuilder::new();
    let mut needs = BTreeMap::new();
    for shape in shapes {
        builder = builder.item(shape.schema);
        needs.extend(shape.needs);
    }
    Shape { schema: builder.into(), needs }
}

/// One or more of these.
pub(super) fn any_of<const N: usize>(shapes: [Shape; N]) -> Shape {
    let mut builder = AnyOfBuilder::new();
    let mut needs = BTreeMap::new();
    for shape in shapes {
        builder = builder.item(shape.schema);
        needs.extend(shape.needs);
    }
    Shape { schema: builder.into(), needs }
}

/// All of these at once.
pub(super) fn all_of<const N: usize>(shapes: [Shape; N]) -> Shape {
    let mut builder = AllOfBuilder::new();
    let mut needs = BTreeMap::new();
    for shape in shapes {
        builder = builder.item(shape.schema);
        needs.extend(shape.needs);
    }
    Shape { schema: builder.into(), needs }
}

/// A page of a list.
pub(super) fn page(row: Shape) -> Shape {
    let next = text().or_null();
    object([
        ("data", list(row)),
        ("next", next.says("To be given as `after` for the following page; `null` at the end.")),
    ])
}

impl Shape {
    fn with(mut self, change: impl FnOnce(&mut Object)) -> Self {
        if let RefOr::T(Schema::Object(object)) = &mut self.schema {
            change(object);
        }
        self
    }

    /// Says what it means.
    pub(super) fn says(mut self, description: &str) -> Self {
        let said = Some(description.to_owned());
        match &mut self.schema {
            RefOr::Ref(reference) => reference.description = description.to_owned(),
            RefOr::T(Schema::Object(object)) => object.description = said,
            RefOr::T(Schema::Array(array)) => array.description = said,
            RefOr::T(Schema::OneOf(of)) => of.description = said,
            RefOr::T(Schema::AnyOf(of)) => of.description = said,
            RefOr::T(Schema::AllOf(of)) => of.description = said,
            RefOr::T(_) => {}
        }
        self
    }

    /// Names a format.
    pub(super) fn format(self, format: &str) -> Self {
        self.with(|object| object.format = Some(SchemaFormat::Custom(format.into())))
    }

    /// Has at least one member, at most `max`.
    pub(super) fn sized(self, min: usize, max: usize) -> Self {
        self.with(|object| {
            (object.min_properties, object.max_properties) = (Some(min), Some(max));
        })
    }

    /// Whose names all fit `names`.
    pub(super) fn named_like(self, names: Shape) -> Self {
        match names.schema {
            RefOr::T(names) => self.with(|object| object.property_names = Some(Box::new(names))),
            RefOr::Ref(_) => self,
        }
    }

    /// More than `min`, at most `max`.
    pub(super) fn above(self, min: f64, max: f64) -> Self {
        self.with(|object| {
            object.exclusive_minimum = Some(Number::Float(min));
            object.maximum = Some(Number::Float(max));
        })
    }

    /// Gives an example.
    pub(super) fn such_as(self, example: impl Into<Value>) -> Self {
        let example = example.into();
        self.with(|object| object.examples = vec![example])
    }

    /// Says what holds when it is left out.
    pub(super) fn otherwise(self, default: impl Into<Value>) -> Self {
        let default = default.into();
        self.with(|object| object.default = Some(default))
    }

    /// An object with one more member.
    pub(super) fn also(mut self, name: &str, field: Shape, required: bool) -> Self {
        self.needs.extend(field.needs);
        self.with(|object| {
            object.properties.insert(name.into(), field.schema);
            if required {
                object.required.push(name.into());
            }
        })
    }

    /// An object without this member.
    pub(super) fn without(self, name: &str) -> Self {
        self.with(|object| drop(object.properties.remove(name)))
    }

    /// A closed object in which a member of another name may be `null`: as if it were left out.
    pub(super) fn or_nulls(self) -> Self {
        let null = AdditionalProperties::RefOr(plain(Type::Null).schema);
        self.with(|object| object.additional_properties = Some(Box::new(null)))
    }

    /// Nothing but this value.
    pub(super) fn only(self, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.with(|object| object.enum_values = Some(vec![value]))
    }

    /// Or `null`.
    pub(super) fn or_null(self) -> Self {
        match self.schema {
            RefOr::T(Schema::Object(mut object)) => {
                if let SchemaType::Type(kind) = object.schema_type.clone() {
                    object.schema_type = SchemaType::Array(vec![kind, Type::Null]);
                }
                if let Some(values) = &mut object.enum_values {
                    values.push(Value::Null);
                }
                Self { schema: RefOr::T(Schema::Object(object)), needs: self.needs }
            }
            RefOr::T(Schema::Array(mut array)) => {
                array.schema_type = SchemaType::Array(vec![Type::Array, Type::Null]);
                Self { schema: RefOr::T(Schema::Array(array)), needs: self.needs }
            }
            schema => any_of([Self { schema, needs: self.needs }, plain(Type::Null)]),
        }
    }

    /// Puts it among the named schemas, and refers to it.
    pub(super) fn called(mut self, name: &str) -> Self {
        let schema = std::mem::replace(&mut self.schema, Ref::from_schema_name(name).into());
        self.needs.insert(name.to_owned(), schema);
        self
    }
}

/// A list of exactly two strings.
pub(super) fn pair() -> Shape {
    list_of(text(), 2, 2)
}
