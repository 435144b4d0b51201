//! Values of CBOR in the plainest form, for readers that know no other.

use minicbor::data::Token;
use minicbor::encode::Encoder;

use super::walk::{Kind, Reader};
use super::{CborError, TRANSLATED_NESTING_MAX};

/// One value, which must nest at most 127 deep, with the length of each string, array and map in front
/// of it, and `null` for `undefined`.
pub(crate) fn plain(value: &[u8]) -> Result<Vec<u8>, CborError> {
    let mut open = Vec::new();
    let mut reader = Reader::new(value);
    reader.walk_value(TRANSLATED_NESTING_MAX, |closed| open.push(closed))?;
    if !reader.is_at_end() {
        return Err(CborError::TrailingData);
    }
    // They are told as they end, and wanted as they begin.
    open.sort_unstable_by_key(|closed| closed.at);
    let lengths = open.into_iter().map(|closed| closed.items);
    let mut out = Vec::with_capacity(value.len());
    rewrite(value, lengths, &mut Encoder::new(&mut out))?;
    Ok(out)
}

fn rewrite(
    value: &[u8],
    mut lengths: impl Iterator<Item = u64>,
    out: &mut Encoder<&mut Vec<u8>>,
) -> Result<(), CborError> {
    let mut reader = Reader::new(value);
    while !reader.is_at_end() {
        let written = match reader.token()? {
            Token::Undefined => out.null(),
            Token::BeginArray => out.array(lengths.next().unwrap_or_default()),
            Token::BeginMap => out.map(lengths.next().unwrap_or_default() / 2),
            Token::BeginBytes => out.bytes(&joined(&mut reader, Kind::Bytes)?),
            Token::BeginString => {
                let text = joined(&mut reader, Kind::Text)?;
                // Each piece is checked to be UTF-8 (RFC 8949 §3.2.3), so nothing is lost.
                out.str(&String::from_utf8_lossy(&text))
            }
            Token::Break => continue,
            token => out.encode(token),
        };
        written.map_err(|error| CborError::Untranslatable { cause: error.to_string() })?;
    }
    Ok(())
}

/// A string whose head has been read, in one piece.
pub(crate) fn joined(reader: &mut Reader<'_>, kind: Kind) -> Result<Vec<u8>, CborError> {
    let mut whole = Vec::new();
    while let Some(piece) = reader.piece(kind)? {
        whole.extend_from_slice(piece);
    }
    Ok(whole)
}
