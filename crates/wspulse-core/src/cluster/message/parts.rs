//! What messages are made of.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{FRAMES_MAX, MessageError, Moved, STREAMS_MAX, VERSION};
use crate::cluster::ids::{GroupKey, Target};
use crate::cluster::said::Said;

pub(in crate::cluster) fn begin(kind: u8, bytes: usize) -> BytesMut {
    let mut to = BytesMut::with_capacity(bytes);
    to.put_u8(VERSION);
    to.put_u8(kind);
    to
}

pub(in crate::cluster) fn kind_of(from: &mut Bytes) -> Result<u8, MessageError> {
    let found = from.try_get_u8()?;
    if found != VERSION {
        return Err(MessageError::Version { found });
    }
    Ok(from.try_get_u8()?)
}

pub(in crate::cluster) fn expect_kind(from: &mut Bytes, kind: u8) -> Result<(), MessageError> {
    let found = kind_of(from)?;
    if found == kind { Ok(()) } else { Err(MessageError::Kind { found }) }
}

pub(in crate::cluster) fn end(from: &Bytes) -> Result<(), MessageError> {
    if from.is_empty() { Ok(()) } else { Err(MessageError::Trailing { bytes: from.len() }) }
}

/// A number that nothing gets to in a lifetime: whoever says more says nonsense, and sums of these are
/// numbers.
pub(in crate::cluster) const NUMBER_MAX: u64 = 1 << 62;

pub(in crate::cluster) fn take_number(from: &mut Bytes) -> Result<u64, MessageError> {
    let number = from.try_get_u64()?;
    if number > NUMBER_MAX { Err(MessageError::Invalid { what: "number" }) } else { Ok(number) }
}

/// The number of the last of so many frames; before the first, if there are none.
pub(super) fn check_range(first: u64, frames: usize) -> Result<u64, MessageError> {
    let before = first.checked_sub(1).ok_or(MessageError::Invalid { what: "number" })?;
    Ok(before + frames as u64)
}

pub(super) fn put_target(to: &mut BytesMut, target: &Target) {
    match target {
        Target::Everybody => to.put_u8(0),
        Target::Group(key) => {
            to.put_u8(1);
            to.put_slice(key.as_bytes());
        }
    }
}

pub(super) fn take_target(from: &mut Bytes) -> Result<Target, MessageError> {
    match from.try_get_u8()? {
        0 => Ok(Target::Everybody),
        1 => Ok(Target::Group(GroupKey::new(take_array(from)?))),
        2.. => Err(MessageError::Invalid { what: "target" }),
    }
}

pub(super) fn put_frames(to: &mut BytesMut, codec: &str, said: &[Said]) {
    // A name that is too long is none: nobody has its codec then, and it is told as a gap.
    let codec = if codec.len() > usize::from(u8::MAX) { "" } else { codec };
    to.put_u8(u8::try_from(codec.len()).unwrap_or_default());
    to.put_slice(codec.as_bytes());
    debug_assert!(said.len() <= FRAMES_MAX, "whoever packs them counts");
    to.put_u16(u16::try_from(said.len()).unwrap_or(u16::MAX));
    for said in said {
        said.put(to);
    }
}

pub(super) fn take_frames(from: &mut Bytes) -> Result<(ByteString, Vec<Said>), MessageError> {
    let codec_bytes = usize::from(from.try_get_u8()?);
    let codec = ByteString::try_from(take_bytes(from, codec_bytes)?)
        .map_err(|_| MessageError::Invalid { what: "codec's name" })?;
    let frames = usize::from(from.try_get_u16()?);
    if frames > FRAMES_MAX {
        return Err(MessageError::Invalid { what: "number of frames" });
    }
    let said = (0..frames).map(|_| Said::take(from)).collect::<Result<_, _>>()?;
    Ok((codec, said))
}

pub(super) fn put_moved(to: &mut BytesMut, moved: &[Moved]) {
    debug_assert!(moved.len() <= STREAMS_MAX, "whoever packs them counts");
    to.put_u32(u32::try_from(moved.len()).unwrap_or(u32::MAX));
    for Moved { target, stream, newest } in moved {
        put_target(to, target);
        to.put_u32(*stream);
        to.put_u64(*newest);
    }
}

pub(super) fn take_moved(from: &mut Bytes) -> Result<Vec<Moved>, MessageError> {
    let count = from.try_get_u32()? as usize;
    if count > STREAMS_MAX {
        return Err(MessageError::Invalid { what: "number of streams" });
    }
    let mut moved = Vec::new();
    for _ in 0..count {
        let target = take_target(from)?;
        let (stream, newest) = (from.try_get_u32()?, take_number(from)?);
        moved.push(Moved { target, stream, newest });
    }
    Ok(moved)
}

pub(in crate::cluster) fn take_flag(from: &mut Bytes) -> Result<bool, MessageError> {
    match from.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        2.. => Err(MessageError::Invalid { what: "flag" }),
    }
}

pub(in crate::cluster) fn take_array<const N: usize>(
    from: &mut Bytes,
) -> Result<[u8; N], MessageError> {
    let mut array = [0; N];
    from.try_copy_to_slice(&mut array)?;
    Ok(array)
}

/// Without copying.
pub(in crate::cluster) fn take_bytes(
    from: &mut Bytes,
    count: usize,
) -> Result<Bytes, MessageError> {
    if from.len() < count { Err(MessageError::Truncated) } else { Ok(from.split_to(count)) }
}
