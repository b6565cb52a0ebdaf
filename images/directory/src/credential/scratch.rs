//! The memory that argon2 computes in, kept from one hash to the next. Given back after each login
//! and taken anew on whichever thread is free, its 19 MiB would stay with the process once for each
//! of the allocator's arenas.

use argon2::password_hash::phc::Output;
use argon2::{Argon2, Block};

/// Memory for one hash at a time; it grows to the costliest that it was used for.
#[derive(Default)]
pub struct Scratch(Vec<Block>);

impl Scratch {
    /// The hash of `password` with `salt`, of `length` octets.
    pub(super) fn hash(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> Result<Output, String> {
        let blocks = argon2.params().block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::new());
        }
        let memory = &mut self.0[..blocks];
        let mut octets = [0; Output::MAX_LENGTH];
        let octets = octets.get_mut(..length).ok_or("too long a hash")?;
        let hashed = argon2.hash_password_into_with_memory(password, salt, octets, memory);
        hashed.map_err(|error| error.to_string())?;
        Output::new(octets).map_err(|error| error.to_string())
    }
}
