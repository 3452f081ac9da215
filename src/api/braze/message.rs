//! The `messages` object: of all its channels there is one here, the webhook. It becomes our own
//! webhook document; its Liquid is parsed where every webhook's is.

use serde_json::{Map, Value, json};

use super::error::{BAD_REQUEST, BrazeError, NO_MESSAGE};
use super::fields::{Fields, wrong_kind};
use crate::admission::push_token;

/// Documented methods of a webhook message.
const METHODS: [&str; 4] = ["POST", "PUT", "DELETE", "GET"];

const PUSH: &str = "is out of scope: push messages are not sent here, only `webhook` is";
const EMAIL: &str = "is out of scope: email is not sent here, only `webhook` is";
const TEXT: &str = "is out of scope: text messages are not sent here, only `webhook` is";
const IN_APP: &str = "is out of scope: messages inside an app are not shown here, only `webhook` \
                      is sent";
const CHANNELS: [(&str, &str); 14] = [
    ("apple_push", PUSH),
    ("android_push", PUSH),
    ("kindle_push", PUSH),
    ("web_push", PUSH),
    ("windows_phone8_push", PUSH),
    ("windows_universal_push", PUSH),
    ("windows_push", PUSH),
    ("email", EMAIL),
    ("sms", TEXT),
    ("whats_app", TEXT),
    ("line", TEXT),
    ("content_card", IN_APP),
    ("in_app_message", IN_APP),
    ("banner", IN_APP),
];

/// The message of a send.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    /// The webhook, as our document: `url`, `method`, `headers`, `body`.
    pub(super) webhook: Value,
    /// The message of a campaign that it is counted for.
    pub(super) variation: Option<String>,
}

/// Takes `messages` of a request; `None` where it is left out.
pub(super) fn take(fields: &mut Fields) -> Result<Option<Message>, BrazeError> {
    let Some(mut messages) = fields.fields("messages")? else { return Ok(None) };
    messages.refuse(&CHANNELS)?;
    let pointer = messages.pointer().to_owned();
    let webhook = messages.fields("webhook")?;
    messages.finish("webhook")?;
    let webhook =
        webhook.ok_or_else(|| BrazeError::field(NO_MESSAGE, &pointer, "has no `webhook`"))?;
    read(webhook).map(Some)
}

fn read(mut fields: Fields) -> Result<Message, BrazeError> {
    let url = fields.required("url")?;
    let method_at = fields.at("request_method");
    let method = fields.required("request_method")?.to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        let detail = format!("is {method:?}, not one of {}", METHODS.join(", "));
        return Err(BrazeError::field(BAD_REQUEST, &method_at, detail));
    }
    let mut headers = headers(&mut fields)?;
    let body = match fields.take("body") {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => return Err(wrong_kind(&fields.at("body"), &other, "a string")),
    };
    let variation = fields.text("message_variation_id")?;
    fields.finish("url, request_method, request_headers, body, message_variation_id")?;
    let mut webhook =
        Map::from_iter([("url".into(), url.into()), ("method".into(), json!(method))]);
    if let Some(body) = body.filter(|body| !body.is_empty()) {
        let names_type = headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if let Some(inferred) = content_type(&body).filter(|_| !names_type) {
            headers.insert("content-type".into(), json!(inferred));
        }
        webhook.insert("body".into(), json!(body));
        webhook.insert("body_type".into(), json!("text"));
        if method == "DELETE" {
            webhook.insert("delete_with_body".into(), json!(true));
        }
    }
    if !headers.is_empty() {
        webhook.insert("headers".into(), Value::Object(headers));
    }
    Ok(Message { webhook: Value::Object(webhook), variation })
}

fn headers(fields: &mut Fields) -> Result<Map<String, Value>, BrazeError> {
    let headers = fields.object("request_headers")?.unwrap_or_default();
    match headers.iter().find(|(_, value)| !value.is_string()) {
        Some((name, value)) => {
            let mut pointer = fields.at("request_headers");
            push_token(&mut pointer, name);
            Err(wrong_kind(&pointer, value, "a string"))
        }
        None => Ok(headers),
    }
}

/// The type of a body whose headers name none, as far as its first character tells: a Liquid tag
/// in front says nothing.
fn content_type(body: &str) -> Option<&'static str> {
    let mut characters = body.trim_start().chars();
    match (characters.next()?, characters.next()) {
        ('{', Some('{' | '%')) => None,
        ('{' | '[', _) => Some("application/json"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_body(body: Value) -> Result<Option<Message>, BrazeError> {
        take(&mut Fields::of_body(body.to_string().as_bytes()).expect("an object"))
    }

    fn webhook(members: Value) -> Value {
        let message = read_body(json!({"messages": {"webhook": members}}));
        message.expect("a message").expect("given").webhook
    }

    #[test]
    fn webhook_becomes_our_document() {
        let found = webhook(json!({
            "url": "https://a.example/{{${user_id}}}", "request_method": "post",
            "request_headers": {"X-Key": "k"}, "body": "{\"a\": 1}",
        }));
        let expected = json!({
            "url": "https://a.example/{{${user_id}}}", "method": "POST",
            "headers": {"X-Key": "k", "content-type": "application/json"},
            "body": "{\"a\": 1}", "body_type": "text",
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn type_that_is_named_stays_and_one_that_cannot_be_told_is_not_guessed() {
        let named = json!({"url": "https://a.example", "request_method": "POST",
            "request_headers": {"Content-Type": "text/x"}, "body": "[1]"});
        assert_eq!(webhook(named)["headers"], json!({"Content-Type": "text/x"}));
        let liquid = json!({"url": "https://a.example", "request_method": "POST",
            "body": "{{api_trigger_properties.${x}}}"});
        assert_eq!(webhook(liquid).get("headers"), None);
    }

    #[test]
    fn delete_takes_its_body_along() {
        let found = webhook(json!({"url": "https://a.example", "request_method": "DELETE",
            "body": "x"}));
        assert_eq!(found["delete_with_body"], json!(true));
    }

    #[test]
    fn every_other_channel_is_refused_by_name() {
        for (channel, _) in CHANNELS {
            let message = read_body(json!({"messages": {channel: {"alert": "x"}}}));
            let error = message.expect_err("out of scope");
            let expected = format!("Bad Request: /messages/{channel} is out of scope: ");
            assert!(error.message().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn faults_are_named() {
        for (messages, expected) in [
            (json!({}), "No message to send: /messages has no `webhook`"),
            (json!({"fax": {}}), "Bad Request: /messages/fax is unknown; this takes webhook"),
            (json!({"webhook": {"request_method": "GET"}}), "/messages/webhook/url is missing"),
            (json!({"webhook": {"url": "u"}}), "/messages/webhook/request_method is missing"),
            (
                json!({"webhook": {"url": "u", "request_method": "BREW"}}),
                "/messages/webhook/request_method is \"BREW\", not one of POST, PUT, DELETE, GET",
            ),
            (
                json!({"webhook": {"url": "u", "request_method": "GET", "request_headers": {"a/b": 1}}}),
                "/messages/webhook/request_headers/a~1b is a number, not a string",
            ),
            (
                json!({"webhook": {"url": "u", "request_method": "POST", "body": {"a": 1}}}),
                "/messages/webhook/body is an object, not a string",
            ),
        ] {
            let error = read_body(json!({ "messages": messages })).expect_err("refused");
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
