//! Which messages of a snapshot are marked as deleted.

/// One bit a message: 125 KB for a million.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    /// No marks, for so many messages.
    pub(super) fn none(messages: usize) -> Self {
        Self(vec![0; messages.div_ceil(64)])
    }

    /// Marks a message.
    pub(super) fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Whether a message is marked.
    pub(super) fn has(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Whether any is.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|word| *word != 0)
    }

    /// Unmarks all.
    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_its_own() {
        let mut marks = Marks::none(130);
        assert!(!marks.any());
        for index in [0, 63, 64, 129] {
            marks.set(index);
        }
        let found: Vec<_> = (0..200).filter(|index| marks.has(*index)).collect();
        assert_eq!(found, [0, 63, 64, 129]);
        marks.set(1000);
        marks.clear();
        assert!(!marks.any());
    }
}
