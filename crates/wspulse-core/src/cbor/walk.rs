//! A walk over CBOR, head by head, that trusts no length and calls nothing recursively.

use std::error::Error;
use std::ops::Range;
use std::str::Utf8Error;

use minicbor::data::Token;
use minicbor::decode::{self, Decoder};
use smallvec::SmallVec;

use super::CborError;

/// Reads values of a message one after the other.
pub(crate) struct Reader<'m> {
    decoder: Decoder<'m>,
}

/// An array or map of indefinite length whose end has been seen.
pub(crate) struct Closed {
    /// Where its head is.
    pub(crate) at: usize,
    /// How many items it has; a map has two for each entry.
    pub(crate) items: u64,
}

/// What is still to come at an open level.
enum Level {
    /// So many values.
    Values(u64),
    /// Values until a break, of which there have been so many.
    Array { at: usize, items: u64 },
    /// Pairs of values until a break, of which there have been so many values.
    Map { at: usize, items: u64 },
}

/// What a head says about what follows it.
enum Step {
    /// The value is whole.
    Whole,
    /// Values follow.
    Into(Level),
    /// The pieces of a string follow.
    Pieces(Kind),
    /// The level ends.
    Break,
}

/// Of which kind the pieces of a string are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    Text,
}

impl<'m> Reader<'m> {
    pub(crate) fn new(message: &'m [u8]) -> Self {
        Self { decoder: Decoder::new(message) }
    }

    /// One that begins somewhere in the middle.
    pub(crate) fn at(message: &'m [u8], at: usize) -> Self {
        let mut reader = Self::new(message);
        reader.decoder.set_position(at);
        reader
    }

    pub(crate) fn position(&self) -> usize {
        self.decoder.position()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position() == self.decoder.input().len()
    }

    /// The next head, with the contents of what is in one piece. The lengths of arrays and maps are
    /// the peer's word, no more.
    pub(crate) fn token(&mut self) -> Result<Token<'m>, CborError> {
        let at = self.position();
        let token = self.decoder.decode::<Token<'m>>().map_err(|error| refused(&error, at))?;
        match token {
            // RFC 8949 §3.3: in two bytes, 0 to 31 are not well-formed.
            Token::Simple(number) if number < 32 && self.decoder.input()[at] == 0xf8 => {
                Err(CborError::Malformed { at })
            }
            _ => Ok(token),
        }
    }

    /// Passes a break, if one is next.
    pub(crate) fn pass_break(&mut self) -> Result<bool, CborError> {
        let at = self.position();
        if self.token()? == Token::Break {
            return Ok(true);
        }
        self.decoder.set_position(at);
        Ok(false)
    }

    /// The next piece of a string whose head has been read; none behind the last one.
    pub(crate) fn piece(&mut self, kind: Kind) -> Result<Option<&'m [u8]>, CborError> {
        let at = self.position();
        match (self.token()?, kind) {
            (Token::Bytes(piece), Kind::Bytes) => Ok(Some(piece)),
            (Token::String(piece), Kind::Text) => Ok(Some(piece.as_bytes())),
            (Token::Break, _) => Ok(None),
            _ => Err(CborError::Malformed { at }),
        }
    }

    /// Passes one value, however large, and says where it lies.
    pub(crate) fn skip_value(&mut self, nesting_max: usize) -> Result<Range<usize>, CborError> {
        self.walk_value(nesting_max, |_| {})
    }

    /// As [`skip_value`](Self::skip_value), and tells of each array and map of indefinite length.
    pub(crate) fn walk_value(
        &mut self,
        nesting_max: usize,
        mut closed: impl FnMut(Closed),
    ) -> Result<Range<usize>, CborError> {
        let start = self.position();
        // The outermost level is our one value. A level opens with a byte that is there, so announced
        // lengths cost no memory.
        let mut levels: SmallVec<[Level; 8]> = SmallVec::new();
        levels.push(Level::Values(1));
        while let Some(level) = levels.last_mut() {
            if matches!(level, Level::Values(0)) {
                levels.pop();
                continue;
            }
            let at = self.position();
            match step(&self.token()?, at)? {
                Step::Break => {
                    closed(level.close().ok_or(CborError::Malformed { at })?);
                    levels.pop();
                }
                Step::Whole => level.count(),
                Step::Pieces(kind) => {
                    level.count();
                    while self.piece(kind)?.is_some() {}
                }
                Step::Into(inner) => {
                    level.count();
                    if levels.len() > nesting_max {
                        return Err(CborError::TooDeep { levels_max: nesting_max });
                    }
                    levels.push(inner);
                }
            }
        }
        Ok(start..self.position())
    }
}

impl Level {
    fn count(&mut self) {
        match self {
            Self::Values(left) => *left -= 1,
            Self::Array { items, .. } | Self::Map { items, .. } => *items += 1,
        }
    }

    /// What ends with a break here; nothing if none may be here.
    fn close(&self) -> Option<Closed> {
        match *self {
            Self::Values(_) => None,
            // A key without a value.
            Self::Map { items, .. } if items % 2 == 1 => None,
            Self::Array { at, items } | Self::Map { at, items } => Some(Closed { at, items }),
        }
    }
}

fn step(token: &Token<'_>, at: usize) -> Result<Step, CborError> {
    Ok(match *token {
        Token::Bool(_)
        | Token::U8(_)
        | Token::U16(_)
        | Token::U32(_)
        | Token::U64(_)
        | Token::I8(_)
        | Token::I16(_)
        | Token::I32(_)
        | Token::I64(_)
        | Token::Int(_)
        | Token::F16(_)
        | Token::F32(_)
        | Token::F64(_)
        | Token::Bytes(_)
        | Token::String(_)
        | Token::Simple(_)
        | Token::Null
        | Token::Undefined => Step::Whole,
        Token::Array(items) => Step::Into(Level::Values(items)),
        Token::Map(entries) => {
            // More than any message has; so many that twice as many are no number cannot be there.
            let items = entries.checked_mul(2).ok_or(CborError::Truncated)?;
            Step::Into(Level::Values(items))
        }
        // A tag counts as a level: whoever reads it may do that recursively.
        Token::Tag(_) => Step::Into(Level::Values(1)),
        Token::BeginArray => Step::Into(Level::Array { at, items: 0 }),
        Token::BeginMap => Step::Into(Level::Map { at, items: 0 }),
        Token::BeginBytes => Step::Pieces(Kind::Bytes),
        Token::BeginString => Step::Pieces(Kind::Text),
        Token::Break => Step::Break,
    })
}

fn refused(error: &decode::Error, at: usize) -> CborError {
    if error.is_end_of_input() {
        CborError::Truncated
    } else if error.source().is_some_and(<dyn Error>::is::<Utf8Error>) {
        CborError::NotUtf8 { at }
    } else {
        CborError::Malformed { at }
    }
}
