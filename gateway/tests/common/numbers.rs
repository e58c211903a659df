//! Repeatable numbers. `SECURE_TORCH_SEED=random` explores, and prints the seed that it took.

/// A small generator (Marsaglia's xorshift64*).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn seeded(usual: u64) -> Self {
        let seed = match std::env::var("SECURE_TORCH_SEED").as_deref() {
            Err(_) => usual,
            Ok("random") => std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
            Ok(seed) => seed.parse().expect("a number, or `random`"),
        };
        println!("SECURE_TORCH_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
