//! Which codecs a room's members have.

use crate::settings::codecs::{CODECS_MAX, CodecId, CodecSet};

/// How many members have which codec, but for the default one, which the others have. Boxed, since
/// most rooms have nobody with another.
#[derive(Default)]
pub(super) struct Present(Option<Box<[usize; CODECS_MAX]>>);

impl Present {
    pub(super) fn join(&mut self, codec: CodecId) {
        if codec != CodecId::DEFAULT {
            self.0.get_or_insert_default()[codec.place()] += 1;
        }
    }

    pub(super) fn leave(&mut self, codec: CodecId) {
        if codec == CodecId::DEFAULT {
            return;
        }
        if let Some(counts) = &mut self.0 {
            counts[codec.place()] -= 1;
            self.0.take_if(|counts| counts.iter().all(|count| *count == 0));
        }
    }

    /// The codecs of so many members in all, without one member of this codec.
    pub(super) fn among(&self, members: usize, without: Option<CodecId>) -> CodecSet {
        let mut counts = self.0.as_ref().map_or([0; CODECS_MAX], |counts| **counts);
        counts[CodecId::DEFAULT.place()] = members - counts.iter().sum::<usize>();
        if let Some(codec) = without {
            counts[codec.place()] -= 1;
        }
        let present = CodecId::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0);
        present.fold(CodecSet::NONE, |set, (id, _)| set.with(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[CodecId]) -> CodecSet {
        ids.iter().fold(CodecSet::NONE, |set, id| set.with(*id))
    }

    #[test]
    fn a_codec_is_present_from_its_first_member_to_its_last() {
        let [default, second, third, ..] = CodecId::ALL;
        let mut present = Present::default();
        assert_eq!(present.among(0, None), CodecSet::NONE);
        assert_eq!(present.among(2, None), set(&[default]));
        present.join(third);
        present.join(third);
        present.join(second);
        assert_eq!(present.among(5, None), set(&[default, second, third]));
        present.leave(third);
        assert_eq!(present.among(4, None), set(&[default, second, third]));
        present.leave(third);
        assert_eq!(present.among(3, None), set(&[default, second]));
        assert_eq!(present.among(1, None), set(&[second]));
    }

    #[test]
    fn a_member_that_is_left_out_does_not_make_its_codec_present() {
        let [default, second, ..] = CodecId::ALL;
        let mut present = Present::default();
        present.join(second);
        assert_eq!(present.among(3, Some(second)), set(&[default]));
        assert_eq!(present.among(2, Some(default)), set(&[second]));
        assert_eq!(present.among(1, Some(second)), CodecSet::NONE);
    }

    #[test]
    fn a_room_that_only_the_default_codec_is_left_in_holds_no_counts() {
        let [default, second, ..] = CodecId::ALL;
        let mut present = Present::default();
        present.join(default);
        assert!(present.0.is_none());
        present.join(second);
        present.leave(second);
        assert!(present.0.is_none());
    }
}
