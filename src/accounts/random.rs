//! Random bytes for keys, salts and secrets.

/// Fresh random bytes of the kernel.
pub(super) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's generator cannot fail once it is seeded");
    bytes
}
