//! Digests, HMAC and base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::super::value::Value;
use super::super::write;
use super::{Arguments, Kit, Made};

/// Fuel of a digest of a short text, which takes some tenths of a microsecond.
const FUEL: u64 = 20;
/// Padding may be missing, as other systems leave it out.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

fn built<'a>(text: String, kit: &mut Kit<'_>) -> Made<'a> {
    kit.budget.build(text.len())?;
    Ok(Value::built(text))
}

fn digest<'a, D: Digest>(input: &Value<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    kit.budget.burn(FUEL)?;
    let text = write::text(input, kit.budget)?;
    built(hex(&D::digest(text.as_bytes())), kit)
}

pub(super) fn md5<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    digest::<md5::Md5>(&input, kit)
}

pub(super) fn sha1<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    digest::<Sha1>(&input, kit)
}

pub(super) fn sha256<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    digest::<Sha256>(&input, kit)
}

fn hmac<M: Mac + KeyInit>(
    input: &Value<'_>,
    with: &Arguments<'_>,
    kit: &mut Kit<'_>,
) -> Result<Vec<u8>, String> {
    kit.budget.burn(2 * FUEL)?;
    let text = write::text(input, kit.budget)?;
    let key = write::text(&with.one(), kit.budget)?;
    let mac = <M as KeyInit>::new_from_slice(key.as_bytes());
    let mut mac = mac.map_err(|_| "the key cannot be used".to_owned())?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

pub(super) fn hmac_sha1_hex<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let code = hmac::<Hmac<Sha1>>(&input, with, kit)?;
    built(hex(&code), kit)
}

pub(super) fn hmac_sha1_base64<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let code = hmac::<Hmac<Sha1>>(&input, with, kit)?;
    built(STANDARD.encode(code), kit)
}

pub(super) fn hmac_sha256_hex<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let code = hmac::<Hmac<Sha256>>(&input, with, kit)?;
    built(hex(&code), kit)
}

pub(super) fn hmac_sha256_base64<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let code = hmac::<Hmac<Sha256>>(&input, with, kit)?;
    built(STANDARD.encode(code), kit)
}

pub(super) fn hmac_sha512_hex<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let code = hmac::<Hmac<Sha512>>(&input, with, kit)?;
    built(hex(&code), kit)
}

fn encode<'a>(input: &Value<'a>, engine: &GeneralPurpose, kit: &mut Kit<'_>) -> Made<'a> {
    let text = write::text(input, kit.budget)?;
    // Paid before it is built: it is longer than its input.
    kit.budget.build(text.len() / 3 * 4 + 4)?;
    Ok(Value::built(engine.encode(text.as_bytes())))
}

fn decode<'a>(input: &Value<'a>, engine: &GeneralPurpose, kit: &mut Kit<'_>) -> Made<'a> {
    let text = write::text(input, kit.budget)?;
    let decoded = engine.decode(text.trim().as_bytes());
    let decoded = decoded.map_err(|why| format!("the text is not base64: {why}"))?;
    match String::from_utf8(decoded) {
        Ok(text) => built(text, kit),
        Err(_) => Err("what is decoded is not UTF-8".into()),
    }
}

pub(super) fn base64_encode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    encode(&input, &STANDARD, kit)
}

pub(super) fn base64_decode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    decode(&input, &GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT), kit)
}

pub(super) fn base64_url_safe_encode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    encode(&input, &URL_SAFE, kit)
}

pub(super) fn base64_url_safe_decode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    decode(&input, &GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT), kit)
}
