//! Payloads as the application's own types.

use std::error::Error;

use serde::de::DeserializeOwned;

use super::PayloadFormat;

type Failure = Box<dyn Error + Send + Sync>;

/// Reads a payload of a known format; an absent one is `null`.
pub(super) fn read<T: DeserializeOwned>(
    payload: &[u8],
    format: PayloadFormat,
) -> Result<T, Failure> {
    match format {
        PayloadFormat::Unknown | PayloadFormat::Json => read_json(payload),
        #[cfg(feature = "msgpack")]
        PayloadFormat::MessagePack => {
            let payload = if payload.is_empty() { b"\xc0" } else { payload };
            Ok(rmp_serde::from_slice(payload)?)
        }
        #[cfg(not(feature = "msgpack"))]
        PayloadFormat::MessagePack => Err("the feature `msgpack` is off".into()),
        #[cfg(feature = "cbor")]
        PayloadFormat::Cbor => read_cbor(payload),
        #[cfg(not(feature = "cbor"))]
        PayloadFormat::Cbor => Err("the feature `cbor` is off".into()),
        PayloadFormat::Bytes if payload.is_empty() => read_json(payload),
        PayloadFormat::Bytes => Err("only the application knows how to read it".into()),
    }
}

fn read_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Failure> {
    let payload = if payload.is_empty() { b"null" } else { payload };
    Ok(serde_json::from_slice(payload)?)
}

#[cfg(feature = "cbor")]
pub(super) fn write_cbor<T: serde::Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    // Otherwise `serde_json::Value::Null` would be an empty array.
    value.serialize(minicbor_serde::Serializer::new(&mut payload).serialize_unit_as_null(true))?;
    Ok(payload)
}

#[cfg(feature = "cbor")]
fn read_cbor<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Failure> {
    let payload = if payload.is_empty() { b"\xf6" } else { payload };
    let plain = crate::cbor::plain(payload)?;
    minicbor_serde::from_slice(&plain).or_else(|error| {
        // It is strict about numbers, and for JavaScript 3.0 is 3. What says most is its own error.
        let Loose::Value(value) = minicbor_serde::from_slice(&plain).map_err(|_| error)?;
        Ok(value)
    })
}

/// By way of serde's own buffer, which takes an integer for a float.
#[cfg(feature = "cbor")]
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Loose<T> {
    Value(T),
}

#[cfg(feature = "protobuf")]
pub(super) fn read_protobuf<M: prost::Message + Default>(
    payload: &[u8],
    format: PayloadFormat,
) -> Result<M, Failure> {
    if payload.is_empty() {
        return Ok(M::default());
    }
    let bytes = binary(payload, format)?.ok_or("it is a value, and no bytes")?;
    Ok(M::decode(&bytes[..])?)
}

/// The binary data that a payload is as a whole, such as another library's message; nothing if it is
/// any other value.
#[cfg(feature = "protobuf")]
pub(super) fn binary(payload: &[u8], format: PayloadFormat) -> Result<Option<Vec<u8>>, Failure> {
    match format {
        PayloadFormat::Unknown | PayloadFormat::Bytes => Ok(Some(payload.to_vec())),
        PayloadFormat::Json => Ok(None),
        #[cfg(feature = "msgpack")]
        PayloadFormat::MessagePack => {
            let mut contents = payload;
            if !matches!(contents.first(), Some(0xc4..=0xc6)) {
                return Ok(None);
            }
            let announced = rmp::decode::read_bin_len(&mut contents)?;
            let is_whole = usize::try_from(announced).is_ok_and(|len| len == contents.len());
            is_whole.then(|| Some(contents.to_vec())).ok_or_else(|| "it is not one value".into())
        }
        #[cfg(not(feature = "msgpack"))]
        PayloadFormat::MessagePack => Err("the feature `msgpack` is off".into()),
        #[cfg(feature = "cbor")]
        PayloadFormat::Cbor => {
            let plain = crate::cbor::plain(payload)?;
            let token = crate::cbor::Reader::new(&plain).token()?;
            let minicbor::data::Token::Bytes(contents) = token else {
                return Ok(None);
            };
            Ok(Some(contents.to_vec()))
        }
        #[cfg(not(feature = "cbor"))]
        PayloadFormat::Cbor => Err("the feature `cbor` is off".into()),
    }
}
