//! From one format to another, for payloads that come from a client of one codec and go to a client of
//! another.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::frame::{Frame, PayloadFormat};

/// How deep arrays and maps may not nest. Each level takes a part of the stack; it is where the parser
/// of JSON stops by itself.
#[cfg(feature = "msgpack")]
const TOO_DEEP: usize = 128;

type Failure = Box<dyn Error + Send + Sync>;

/// Which values a format has.
#[derive(Clone, Copy)]
enum Range {
    /// No binary data, no numbers that are not finite, and no keys but strings.
    Json,
    #[cfg_attr(
        not(any(feature = "msgpack", feature = "cbor")),
        expect(dead_code, reason = "the codecs that have it are off")
    )]
    Binary,
}

/// A payload that is known to be in another format, as JSON.
pub(super) fn to_json(frame: &Frame) -> Result<Vec<u8>, Failure> {
    let mut json = Vec::with_capacity(frame.payload().len());
    write(frame, &mut serde_json::Serializer::new(&mut json), Range::Json)?;
    Ok(json)
}

/// A payload that is known to be in another format, as MessagePack.
#[cfg(feature = "msgpack")]
pub(super) fn to_msgpack(frame: &Frame) -> Result<Vec<u8>, Failure> {
    let mut msgpack = Vec::with_capacity(frame.payload().len());
    write(frame, &mut rmp_serde::Serializer::new(&mut msgpack), Range::Binary)?;
    Ok(msgpack)
}

/// A payload that is known to be in another format, as CBOR.
#[cfg(feature = "cbor")]
pub(super) fn to_cbor(frame: &Frame) -> Result<Vec<u8>, Failure> {
    let mut cbor = Vec::with_capacity(frame.payload().len());
    let mut writer = minicbor_serde::Serializer::new(&mut cbor);
    write(frame, writer.serialize_unit_as_null(true), Range::Binary)?;
    Ok(cbor)
}

/// Writes a payload of whichever format, which must be one value and alone.
fn write<S>(frame: &Frame, writer: S, range: Range) -> Result<(), Failure>
where
    S: Serializer<Ok = (), Error: Send + Sync + 'static>,
{
    let payload = &frame.payload()[..];
    match frame.format() {
        PayloadFormat::Unknown => Err("nobody has said in which format it is".into()),
        PayloadFormat::Json => {
            let mut parser = serde_json::Deserializer::from_slice(payload);
            Transcoded::new(&mut parser, range).serialize(writer)?;
            parser.end()?;
            Ok(())
        }
        #[cfg(feature = "msgpack")]
        PayloadFormat::MessagePack => {
            super::msgpack::check_payload(payload)?;
            let mut parser = rmp_serde::Deserializer::from_read_ref(payload);
            parser.set_max_depth(TOO_DEEP);
            Ok(Transcoded::new(&mut parser, range).serialize(writer)?)
        }
        #[cfg(not(feature = "msgpack"))]
        PayloadFormat::MessagePack => Err("it is MessagePack, whose feature is off".into()),
        #[cfg(feature = "cbor")]
        PayloadFormat::Cbor => {
            let plain = crate::cbor::plain(payload)?;
            let mut parser = minicbor_serde::Deserializer::new(&plain);
            Ok(Transcoded::new(&mut parser, range).serialize(writer)?)
        }
        #[cfg(not(feature = "cbor"))]
        PayloadFormat::Cbor => Err("it is CBOR, whose feature is off".into()),
        PayloadFormat::Bytes => Ok(range.write_bytes(payload, writer)?),
    }
}

impl Range {
    fn write_bytes<S: Serializer>(self, bytes: &[u8], writer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json => Err(S::Error::custom("it is binary data")),
            Self::Binary => writer.serialize_bytes(bytes),
        }
    }

    fn check_number<E: de::Error>(self, is_finite: bool) -> Result<(), E> {
        match self {
            Self::Json if !is_finite => Err(E::custom("a number is not finite")),
            Self::Json | Self::Binary => Ok(()),
        }
    }
}

/// A value that is still to be read, and is written while it is read.
struct Transcoded<D> {
    parser: Cell<Option<D>>,
    range: Range,
}

impl<D> Transcoded<D> {
    const fn new(parser: D, range: Range) -> Self {
        Self { parser: Cell::new(Some(parser)), range }
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Transcoded<D> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        let parser = self.parser.take().ok_or_else(|| S::Error::custom("a value is read once"))?;
        let writing = Writing { writer, range: self.range };
        parser.deserialize_any(writing).map_err(S::Error::custom)
    }
}

/// Writes what is read.
struct Writing<S> {
    writer: S,
    range: Range,
}

/// All formats call these for what they read.
macro_rules! write_scalars {
    ($($visit:ident $write:ident $type:ty,)*) => {$(
        fn $visit<E: de::Error>(self, value: $type) -> Result<S::Ok, E> {
            self.writer.$write(value).map_err(E::custom)
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for Writing<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that both formats have")
    }

    write_scalars! {
        visit_bool serialize_bool bool,
        visit_i64 serialize_i64 i64,
        visit_u64 serialize_u64 u64,
        visit_str serialize_str &str,
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<S::Ok, E> {
        self.range.check_number(value.is_finite())?;
        self.writer.serialize_f32(value).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<S::Ok, E> {
        self.range.check_number(value.is_finite())?;
        self.writer.serialize_f64(value).map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<S::Ok, E> {
        self.range.write_bytes(value, self.writer).map_err(E::custom)
    }

    fn visit_none<E: de::Error>(self) -> Result<S::Ok, E> {
        self.visit_unit()
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Ok, E> {
        self.writer.serialize_unit().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<S::Ok, A::Error> {
        let Self { writer, range } = self;
        let mut array = writer.serialize_seq(items.size_hint()).map_err(de::Error::custom)?;
        while items.next_element_seed(Item { array: &mut array, range })?.is_some() {}
        array.end().map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<S::Ok, A::Error> {
        let Self { writer, range } = self;
        let mut map = writer.serialize_map(entries.size_hint()).map_err(de::Error::custom)?;
        while entries.next_key_seed(Key { map: &mut map, range })?.is_some() {
            entries.next_value_seed(Entry { map: &mut map, range })?;
        }
        map.end().map_err(de::Error::custom)
    }
}

/// The next item of an array.
struct Item<'a, S> {
    array: &'a mut S,
    range: Range,
}

impl<'de, S: SerializeSeq> DeserializeSeed<'de> for Item<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        let item = Transcoded::new(parser, self.range);
        self.array.serialize_element(&item).map_err(de::Error::custom)
    }
}

/// The key of the next entry of a map.
struct Key<'a, S> {
    map: &'a mut S,
    range: Range,
}

impl<'de, S: SerializeMap> DeserializeSeed<'de> for Key<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        let Self { map, range } = self;
        match range {
            Range::Json => parser.deserialize_str(StringKey { map }),
            Range::Binary => {
                map.serialize_key(&Transcoded::new(parser, range)).map_err(de::Error::custom)
            }
        }
    }
}

/// A key of JSON.
struct StringKey<'a, S> {
    map: &'a mut S,
}

impl<S: SerializeMap> Visitor<'_> for StringKey<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string for a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        self.map.serialize_key(key).map_err(E::custom)
    }
}

/// The value of the next entry of a map.
struct Entry<'a, S> {
    map: &'a mut S,
    range: Range,
}

impl<'de, S: SerializeMap> DeserializeSeed<'de> for Entry<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        let value = Transcoded::new(parser, self.range);
        self.map.serialize_value(&value).map_err(de::Error::custom)
    }
}
