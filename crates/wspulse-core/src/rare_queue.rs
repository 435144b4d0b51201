//! A queue for what seldom waits.

use std::collections::VecDeque;

/// A queue that takes 8 bytes while it is empty, which is nearly always: an idle session has two.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "8 bytes instead of 32 where nothing waits")]
pub(crate) struct RareQueue<T>(
    /// Never an empty one.
    Option<Box<VecDeque<T>>>,
);

impl<T> Default for RareQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> RareQueue<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn push_back(&mut self, item: T) {
        self.0.get_or_insert_default().push_back(item);
    }

    pub(crate) fn push_front(&mut self, item: T) {
        self.0.get_or_insert_default().push_front(item);
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let item = self.0.as_mut()?.pop_front();
        self.forget_if_empty();
        item
    }

    /// Removes the newest that is meant, and tells whether there was one.
    pub(crate) fn remove_newest(&mut self, is_meant: impl Fn(&T) -> bool) -> bool {
        let Some(queue) = &mut self.0 else { return false };
        let place = queue.iter().rposition(is_meant);
        place.and_then(|place| queue.remove(place));
        self.forget_if_empty();
        place.is_some()
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(queue) = &mut self.0 {
            queue.retain(keep);
            self.forget_if_empty();
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    fn forget_if_empty(&mut self) {
        self.0.take_if(|queue| queue.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_takes_8_bytes_and_nothing_behind_them() {
        assert_eq!(size_of::<RareQueue<[u8; 100]>>(), 8);
        let mut queue = RareQueue::new();
        queue.push_back(1);
        assert_eq!(queue.pop_front(), Some(1));
        assert!(queue.0.is_none());
        queue.push_front(1);
        assert!(!queue.remove_newest(|item| *item == 2) && queue.remove_newest(|item| *item == 1));
        assert!(queue.0.is_none());
        queue.push_back(1);
        queue.retain(|_| false);
        assert!(queue.0.is_none());
    }

    #[test]
    fn what_is_pushed_is_popped_in_order() {
        let mut queue = RareQueue::new();
        (0..5).for_each(|item| queue.push_back(item));
        queue.retain(|item| *item != 2);
        assert_eq!(queue.iter().rev().collect::<Vec<_>>(), [&4, &3, &1, &0]);
        queue.push_front(4);
        assert!(queue.remove_newest(|item| *item == 4));
        assert_eq!((queue.pop_front(), queue.pop_front()), (Some(4), Some(0)));
        assert!(!queue.is_empty());
    }
}
