//! What a request says, read so that whatever is wrong is named: body, content type, query, path.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserializer, Serialize};
use tokio::time::timeout;

use super::Api;
use super::depth::too_deep;
use super::problem::Problem;
use crate::admission::explain;
use crate::model::{DeliveryId, HostName, Timestamp};

/// Rows of a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 50;
/// Rows of a page at most.
const LIMIT_MAX: usize = 1000;
/// Bytes of a request to the routes that take a small object.
const SMALL_MAX: usize = 64 << 10;
/// Bytes of memory that an announced length alone may take.
const ROOM_AT_FIRST: usize = 1 << 20;

/// An answer in JSON.
pub(super) fn json(status: actix_web::http::StatusCode, value: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(text) => HttpResponse::build(status).content_type("application/json").body(text),
        Err(error) => {
            log::error!("an answer could not be written: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// An answer that says where what was made or begun is to be found.
pub(super) fn located(mut response: HttpResponse, place: &str) -> HttpResponse {
    if let Ok(place) = header::HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// Reads a body of at most `max` bytes, in the time that the settings allow for it, and looks how
/// deep it nests. One chunk, the common case, is not copied.
pub(super) async fn read_body(
    request: &HttpRequest,
    payload: web::Payload,
    max: usize,
) -> Result<Bytes, Problem> {
    vet_encoding(request.headers())?;
    let api = request.app_data::<web::Data<Api>>().ok_or_else(Problem::unavailable)?;
    let server = &api.settings.server;
    let collected = collect(request.headers(), payload, max);
    let body = timeout(server.request_timeout, collected).await;
    let body = body.map_err(|_| Problem::too_slow())??;
    vet_depth(&body, server.max_json_depth)?;
    Ok(body)
}

/// Refuses JSON that nests deeper than `max`.
pub(super) fn vet_depth(json: &[u8], max: usize) -> Result<(), Problem> {
    match too_deep(json, max) {
        Some(at) => Err(Problem::too_deep(max, at)),
        None => Ok(()),
    }
}

async fn collect(
    headers: &HeaderMap,
    mut payload: web::Payload,
    max: usize,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(format!("at most {max} bytes are taken"));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| Problem::unreadable())?;
    if length == Some(first.len()) {
        return Ok(first);
    }
    // What is announced is not yet there: memory is taken for what came.
    let mut body = BytesMut::with_capacity(length.unwrap_or(first.len()).min(ROOM_AT_FIRST));
    let mut chunk = first;
    loop {
        if body.len() + chunk.len() > max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
        match payload.next().await {
            Some(next) => chunk = next.map_err(|_| Problem::unreadable())?,
            None => return Ok(body.freeze()),
        }
    }
}

/// Refuses compressed requests, which would pass for garbage.
pub(super) fn vet_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            let detail = "a content-encoding is not taken; send the body as it is";
            Err(Problem::media_type(detail.into()))
        }
        _ => Ok(()),
    }
}

/// Whether the request's content type is `wanted` (parameters aside).
pub(super) fn is_type(request: &HttpRequest, wanted: &str) -> bool {
    request.content_type().trim().eq_ignore_ascii_case(wanted)
}

/// Wants JSON.
pub(super) fn vet_json_type(request: &HttpRequest) -> Result<(), Problem> {
    let given = request.content_type().trim().to_ascii_lowercase();
    let is_json = given
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"));
    match (is_json, given.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Err(Problem::media_type("send content-type: application/json".into())),
        (false, false) => {
            Err(Problem::media_type(format!("{given:?} is not taken; send application/json")))
        }
    }
}

/// Reads a small JSON object.
pub(super) async fn read_json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, Problem> {
    vet_json_type(request)?;
    parse_json(&read_body(request, payload, SMALL_MAX).await?)
}

/// Reads a small JSON object that may be left out.
pub(super) async fn read_json_or_nothing<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, Problem> {
    let body = read_body(request, payload, SMALL_MAX).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    vet_json_type(request)?;
    parse_json(&body)
}

/// Reads a JSON value; what is wrong is pointed at.
pub(super) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // What is read is an object; serde would take an array for one, field by field.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::field("", "is an array; an object is taken"));
    }
    serde_json::from_slice(body).map_err(|error| explain::<T>(body, &error).into())
}

/// Takes an object and no array, which serde would take for one, field by field.
pub(super) fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Members<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Members(PhantomData))
}

/// The delivery id of the path.
pub(super) fn delivery_id(text: &str) -> Result<DeliveryId, Problem> {
    text.parse().map_err(|()| Problem::parameter("id", "is not the id of a delivery"))
}

/// The host name of the path or the query.
pub(super) fn host_name(text: &str) -> Result<HostName, Problem> {
    HostName::parse(text).ok_or_else(|| {
        Problem::parameter("host", "is not a host name; write shop.example or shop.example:8443")
    })
}

/// The query's parameters, taken out one by one; what is left over at the end is unknown.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// Takes the parameter `name`, which may be given once.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.0.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        if self.0.iter().any(|(given, _)| given == name) {
            return Err(Problem::parameter(name, "is given twice"));
        }
        Ok(Some(value))
    }

    /// Takes all parameters that begin with `prefix`, without it.
    pub(super) fn take_prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        self.0.retain(|(name, value)| match name.strip_prefix(prefix) {
            Some(rest) if !rest.is_empty() => {
                taken.push((rest.to_owned(), value.clone()));
                false
            }
            _ => true,
        });
        taken
    }

    /// Takes a time.
    pub(super) fn take_time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let detail = "is not a time; write RFC 3339 with an offset, such as 2026-11-24T07:00:00Z \
                      (encode a + as %2B)";
        Timestamp::parse(&text).map(Some).ok_or_else(|| Problem::parameter(name, detail))
    }

    /// Takes the number of rows.
    pub(super) fn take_limit(&mut self) -> Result<usize, Problem> {
        Ok(self.take_number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT))
    }

    /// Takes a whole number.
    pub(super) fn take_number(
        &mut self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        number.map(Some).ok_or_else(|| {
            let detail = match *most {
                usize::MAX => format!("is not a whole number from {least} on"),
                most => format!("is not a number from {least} to {most}"),
            };
            Problem::parameter(name, detail)
        })
    }

    /// Takes `true` or `false`; what is not given is false.
    pub(super) fn take_switch(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(name, "is neither true nor false")),
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self, known: &str) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((name, _)) => {
                let detail = format!("is unknown; this route takes {known}");
                Err(Problem::parameter(name, detail))
            }
            None => Ok(()),
        }
    }
}
