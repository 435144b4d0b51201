//! From JSON to MessagePack and back, for payloads that come from a client of one codec and go to a
//! client of the other.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

/// How deep arrays and maps may not nest. Each level takes a part of the stack; it is where the parser
/// of JSON stops by itself.
const TOO_DEEP: usize = 128;

type Failure = Box<dyn Error + Send + Sync>;

/// One JSON value as MessagePack.
pub(super) fn json_to_msgpack(json: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut msgpack = Vec::with_capacity(json.len());
    let mut parser = serde_json::Deserializer::from_slice(json);
    let value = Transcoded::new(&mut parser);
    value.serialize(&mut rmp_serde::Serializer::new(&mut msgpack))?;
    parser.end()?;
    Ok(msgpack)
}

/// One MessagePack value, which is known to be one and alone, as JSON.
pub(super) fn msgpack_to_json(msgpack: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut json = Vec::with_capacity(msgpack.len());
    let mut parser = rmp_serde::Deserializer::from_read_ref(msgpack);
    parser.set_max_depth(TOO_DEEP);
    let value = Transcoded::new(&mut parser);
    value.serialize(&mut serde_json::Serializer::new(&mut json))?;
    Ok(json)
}

/// A value that is still to be read, and is written while it is read.
struct Transcoded<D>(Cell<Option<D>>);

impl<D> Transcoded<D> {
    const fn new(parser: D) -> Self {
        Self(Cell::new(Some(parser)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Transcoded<D> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        let parser = self.0.take().ok_or_else(|| S::Error::custom("a value is read once"))?;
        parser.deserialize_any(Writing(writer)).map_err(S::Error::custom)
    }
}

/// Writes what is read.
struct Writing<S>(S);

/// Both formats call these for what they read.
macro_rules! write_scalars {
    ($($visit:ident $write:ident $type:ty,)*) => {$(
        fn $visit<E: de::Error>(self, value: $type) -> Result<S::Ok, E> {
            self.0.$write(value).map_err(E::custom)
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for Writing<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that both JSON and MessagePack have")
    }

    write_scalars! {
        visit_bool serialize_bool bool,
        visit_i64 serialize_i64 i64,
        visit_u64 serialize_u64 u64,
        visit_str serialize_str &str,
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<S::Ok, E> {
        check_finite(value.is_finite())?;
        self.0.serialize_f32(value).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<S::Ok, E> {
        check_finite(value.is_finite())?;
        self.0.serialize_f64(value).map_err(E::custom)
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<S::Ok, A::Error> {
        let mut written = self.0.serialize_seq(items.size_hint()).map_err(de::Error::custom)?;
        while items.next_element_seed(Item(&mut written))?.is_some() {}
        written.end().map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<S::Ok, A::Error> {
        let mut written = self.0.serialize_map(entries.size_hint()).map_err(de::Error::custom)?;
        while let Some(key) = entries.next_key_seed(Key)? {
            written.serialize_key(&key).map_err(de::Error::custom)?;
            entries.next_value_seed(Entry(&mut written))?;
        }
        written.end().map_err(de::Error::custom)
    }
}

fn check_finite<E: de::Error>(is_finite: bool) -> Result<(), E> {
    if is_finite { Ok(()) } else { Err(E::custom("a number is not finite")) }
}

/// The next item of an array.
struct Item<'a, S>(&'a mut S);

impl<'de, S: SerializeSeq> DeserializeSeed<'de> for Item<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Transcoded::new(parser)).map_err(de::Error::custom)
    }
}

/// The key of the next entry of a map: JSON has strings alone.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<String, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string for a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }
}

/// The value of the next entry of a map.
struct Entry<'a, S>(&'a mut S);

impl<'de, S: SerializeMap> DeserializeSeed<'de> for Entry<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Transcoded::new(parser)).map_err(de::Error::custom)
    }
}
