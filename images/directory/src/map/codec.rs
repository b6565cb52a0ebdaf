//! Numbers and parts of a block. Blocks are written by this map and read back by it alone; reading
//! past the end gives zeros and empty slices, so that no block can end the process.

/// Appends a number, 7 bits an octet, least first.
pub(super) fn push_number(block: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        block.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    block.push(number as u8);
}

/// Appends text after its length.
pub(super) fn push_text(block: &mut Vec<u8>, text: &str) {
    push_number(block, text.len() as u64);
    block.extend_from_slice(text.as_bytes());
}

/// Reads a block from its start.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let Some((octet, rest)) = self.0.split_first() else {
                break;
            };
            self.0 = rest;
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                break;
            }
        }
        number
    }

    pub(super) fn octets(&mut self, length: usize) -> &'a [u8] {
        let (octets, rest) = self.0.split_at_checked(length).unwrap_or((&[], &[]));
        self.0 = rest;
        octets
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.octets(N).try_into().unwrap_or([0; N])
    }

    pub(super) fn text(&mut self) -> &'a str {
        let length = self.number() as usize;
        std::str::from_utf8(self.octets(length)).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_was_pushed(numbers: Vec<u64>, text: String) {
            let mut block = Vec::new();
            for number in &numbers {
                push_number(&mut block, *number);
            }
            push_text(&mut block, &text);
            let mut reader = Reader(&block);
            for number in numbers {
                prop_assert_eq!(reader.number(), number);
            }
            prop_assert_eq!(reader.text(), text);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_octets(data: Vec<u8>) {
            let mut reader = Reader(&data);
            reader.number();
            reader.text();
            reader.array::<16>();
        }
    }
}
