//! One operation of the document: a route with its parameters, bodies, answers and refusals. What
//! every route may answer, and what follows from its row in the table of scopes, is added here.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, HttpMethod, Ref, RefOr, Required, ResponseBuilder, Schema,
    SecurityRequirement,
};

use super::problems::{self, Form};
use super::shape::{Shape, within};
use super::words;
use crate::access::Scope;
use crate::api::scopes::{Needs, ROUTES};

const JSON: &str = "application/json";

/// An operation that is being described.
pub(super) struct Route {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    pub(super) needs: BTreeMap<String, RefOr<Schema>>,
    operation: OperationBuilder,
    text: String,
    form: Form,
    /// Statuses of refusals beside those that all routes have.
    refusals: Vec<u16>,
    takes_body: bool,
}

/// A route that shows something.
pub(super) fn get(path: &'static str, id: &str, summary: &str) -> Route {
    Route::new(HttpMethod::Get, path, id, summary)
}

/// A route that makes or does something.
pub(super) fn post(path: &'static str, id: &str, summary: &str) -> Route {
    Route::new(HttpMethod::Post, path, id, summary)
}

/// A route that writes something whole.
pub(super) fn put(path: &'static str, id: &str, summary: &str) -> Route {
    Route::new(HttpMethod::Put, path, id, summary)
}

/// A route that changes something in part.
pub(super) fn patch(path: &'static str, id: &str, summary: &str) -> Route {
    Route::new(HttpMethod::Patch, path, id, summary)
}

/// A route that takes something away.
pub(super) fn delete(path: &'static str, id: &str, summary: &str) -> Route {
    Route::new(HttpMethod::Delete, path, id, summary)
}

impl Route {
    fn new(method: HttpMethod, path: &'static str, id: &str, summary: &str) -> Self {
        let operation =
            OperationBuilder::new().operation_id(Some(id)).summary(Some(summary.to_owned()));
        Self {
            method,
            path,
            needs: BTreeMap::new(),
            operation,
            text: String::new(),
            form: Form::Problem,
            refusals: Vec::new(),
            takes_body: false,
        }
    }

    /// Says more than the summary.
    pub(super) fn says(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    fn parameter(
        mut self,
        place: ParameterIn,
        name: &str,
        shape: Shape,
        (required, description): (bool, &str),
    ) -> Self {
        self.needs.extend(shape.needs);
        let required = if required { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(shape.schema));
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// A variable segment of the path.
    pub(super) fn segment(self, name: &str, shape: Shape, description: &str) -> Self {
        self.parameter(ParameterIn::Path, name, shape, (true, description))
    }

    /// A parameter of the query that may be left out.
    pub(super) fn query(self, name: &str, shape: Shape, description: &str) -> Self {
        self.parameter(ParameterIn::Query, name, shape, (false, description))
    }

    /// A parameter of the query that has to be there.
    pub(super) fn query_required(self, name: &str, shape: Shape, description: &str) -> Self {
        self.parameter(ParameterIn::Query, name, shape, (true, description))
    }

    /// A header of the request.
    pub(super) fn header(self, name: &str, shape: Shape, description: &str) -> Self {
        self.parameter(ParameterIn::Header, name, shape, (false, description))
    }

    /// The two parameters of every list.
    pub(super) fn paged(self) -> Self {
        let limit = within(1, 1_000).otherwise(50);
        let said = "`next` of the page before; not to be made up.";
        self.query("limit", limit, "Rows of the page.").query("after", cursor(), said)
    }

    /// Takes a JSON body.
    pub(super) fn takes(self, shape: Shape, example: Value) -> Self {
        self.body(shape, example, Required::True)
    }

    /// Takes a JSON body that may be left out.
    pub(super) fn may_take(self, shape: Shape, example: Value) -> Self {
        self.body(shape, example, Required::False)
    }

    /// Takes a JSON array, or lines of JSON.
    pub(super) fn takes_lines(mut self, shape: Shape, line: Shape, example: Value) -> Self {
        self.takes_body = true;
        self.needs.extend(shape.needs);
        self.needs.extend(line.needs);
        let lines = example.as_array().into_iter().flatten().map(|item| format!("{item}\n"));
        let lines: String = lines.collect();
        let text = super::shape::anything().says("One trigger a line.").schema;
        let array = ContentBuilder::new().schema(Some(shape.schema)).example(Some(example));
        let lines = ContentBuilder::new().schema(Some(text)).example(Some(lines.into()));
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content(JSON, array.build())
            .content("application/x-ndjson", lines.build());
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    fn body(mut self, shape: Shape, example: Value, required: Required) -> Self {
        self.takes_body = true;
        self.needs.extend(shape.needs);
        let content = ContentBuilder::new().schema(Some(shape.schema)).example(Some(example));
        let body =
            RequestBodyBuilder::new().required(Some(required)).content(JSON, content.build());
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// Answers with JSON.
    pub(super) fn answers(self, status: u16, description: &str, shape: Shape) -> Self {
        self.answers_as(status, description, &[(JSON, shape)])
    }

    /// Answers in one of several types.
    pub(super) fn answers_as(
        mut self,
        status: u16,
        description: &str,
        types: &[(&str, Shape)],
    ) -> Self {
        let mut response = self.response(description);
        for (kind, shape) in types {
            self.needs.extend(shape.needs.clone());
            let content = ContentBuilder::new().schema(Some(shape.schema.clone()));
            response = response.content(*kind, content.build());
        }
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }

    /// Answers with JSON, and says where what was made is to be found.
    pub(super) fn answers_located(mut self, status: u16, text: &str, shape: Shape) -> Self {
        self.needs.extend(shape.needs);
        let content = ContentBuilder::new().schema(Some(shape.schema)).build();
        let location = Ref::new("#/components/headers/Location");
        let response = self.response(text).content(JSON, content).header_ref("Location", location);
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }

    /// Answers with a text that has a tag, or that it is still the same.
    pub(super) fn answers_tagged(mut self, text: &str, kind: &str, shape: Shape) -> Self {
        let header = || Ref::new("#/components/headers/ETag");
        let content = ContentBuilder::new().schema(Some(shape.schema)).build();
        let whole = self.response(text).content(kind, content).header_ref("ETag", header());
        let same = self.response("Still the same.").header_ref("ETag", header());
        let said = "Tags of texts that are known already.";
        self = self.header("If-None-Match", super::shape::text(), said);
        self.operation =
            self.operation.response("200", whole.build()).response("304", same.build());
        self
    }

    /// Answers without a body.
    pub(super) fn answers_empty(mut self, status: u16, description: &str) -> Self {
        let response = self.response(description);
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }

    fn response(&self, description: &str) -> ResponseBuilder {
        let mut response = ResponseBuilder::new().description(description);
        if self.needed() != Needs::Nothing {
            for name in ["RateLimit", "RateLimit-Policy"] {
                let header = Ref::new(format!("#/components/headers/{name}"));
                response = response.header_ref(name, header);
            }
        }
        response
    }

    /// May be refused with these statuses, beside those that every route has.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// Refuses in the shape of Braze's API.
    pub(super) fn in_braze_form(mut self) -> Self {
        self.form = Form::Braze;
        self
    }

    fn needed(&self) -> Needs {
        let name = method_name(&self.method);
        let row = ROUTES.iter().find(|row| (row.0, row.1) == (name, self.path));
        row.map_or(Needs::Nothing, |row| row.2)
    }

    /// The path as the document writes it.
    pub(super) fn template(&self) -> String {
        self.path.replace("{path:.*}", "{path}")
    }

    /// The operation with all that follows from its row, under `tag`.
    pub(super) fn build(mut self, tag: &str) -> utoipa::openapi::path::Operation {
        let needed = self.needed();
        let mut operation = self.operation.tag(tag);
        match needed {
            Needs::Nothing => {
                // An empty list says that nothing is asked for.
                operation = operation.securities(Some(Vec::<SecurityRequirement>::new()));
            }
            Needs::AnyKey => operation = secured(operation, &[]),
            Needs::Scopes(scopes) => {
                let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
                self.text.push_str(&format!("\n\nNeeds the scope `{}`.", names.join("` and `")));
                operation = secured(operation, scopes);
            }
        }
        let mut statuses = problems::of_every_route(needed != Needs::Nothing, self.takes_body);
        statuses.extend(&self.refusals);
        statuses.sort_unstable();
        statuses.dedup();
        for status in statuses {
            let name = problems::response_name(self.form, status);
            operation =
                operation.response(status.to_string(), Ref::from_response_name(name.as_str()));
        }
        let text = self.text.trim().to_owned();
        operation.description(Some(text).filter(|text| !text.is_empty())).build()
    }
}

fn secured(operation: OperationBuilder, scopes: &[Scope]) -> OperationBuilder {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    operation.securities(Some([
        SecurityRequirement::new("key", names.clone()),
        SecurityRequirement::new("session", names),
    ]))
}

/// A cursor of a list.
fn cursor() -> Shape {
    super::shape::text()
}

/// The name of a method as the table of scopes has it.
pub(super) fn method_name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Patch => "PATCH",
        _ => "OPTIONS",
    }
}

/// The headers that answers share.
pub(super) fn headers() -> [(&'static str, utoipa::openapi::Header); 5] {
    let header = |shape: Shape, text: &str| {
        HeaderBuilder::new().schema(Some(shape.schema)).description(Some(text)).build()
    };
    let text = super::shape::text;
    [
        ("Location", header(text(), "Where what was made or begun is to be found.")),
        ("RateLimit", header(text(), "What is left of the key's rate (RFC 9651 fields).")),
        ("RateLimit-Policy", header(text(), "The key's rate.")),
        ("Retry-After", header(super::shape::whole(0), "Seconds to wait before trying again.")),
        ("ETag", header(text(), "Tag of this very text, for `If-None-Match`.")),
    ]
}

/// The parameter of a delivery's id.
pub(super) fn delivery_id() -> Shape {
    super::shape::of::<crate::model::DeliveryId>()
}

/// The parameter of a host's name.
pub(super) fn host_name() -> Shape {
    words::host()
}
