//! Compression before sealing, and the bounded way back. Contexts are kept and used again.

use std::sync::{Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

/// zstd level at rest: above 300 MB/s a core on text, and random bytes cost next to nothing.
const LEVEL: i32 = 1;
/// A compressed form is kept only if it saves at least one part in this many (5 %).
const WORTH: usize = 20;
/// Contexts of each kind kept for later, about 1 MiB each: one for each core of a small machine.
const KEPT: usize = 2;

static COMPRESSORS: Mutex<Vec<Compressor<'static>>> = Mutex::new(Vec::new());
static DECOMPRESSORS: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// The compressed form, if it is at least 5 % smaller.
pub fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let most = plain.len() - plain.len().div_ceil(WORTH);
    let mut compressor = match take(&COMPRESSORS) {
        Some(kept) => kept,
        None => Compressor::new(LEVEL).ok()?,
    };
    // zstd stops as soon as the form would grow beyond the room given.
    let mut small = Vec::with_capacity(most);
    let done = compressor.compress_to_buffer(plain, &mut small);
    give_back(&COMPRESSORS, compressor);
    done.ok().filter(|&len| len <= most).map(|_| small)
}

/// What was compressed, if it is exactly `raw_len` bytes; never writes more than that.
pub fn decompress(small: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    let mut decompressor = match take(&DECOMPRESSORS) {
        Some(kept) => kept,
        None => Decompressor::new().ok()?,
    };
    let mut plain = Vec::with_capacity(raw_len);
    let done = decompressor.decompress_to_buffer(small, &mut plain);
    give_back(&DECOMPRESSORS, decompressor);
    done.ok().filter(|&len| len == raw_len).map(|_| plain)
}

fn take<C>(kept: &Mutex<Vec<C>>) -> Option<C> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back<C>(kept: &Mutex<Vec<C>>, context: C) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < KEPT {
        kept.push(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_shrinks_and_comes_back() {
        let plain = b"all work and no play ".repeat(500);
        let small = compress(&plain).unwrap();
        assert!(small.len() * 10 < plain.len());
        assert_eq!(decompress(&small, plain.len()).unwrap(), plain);
    }

    #[test]
    fn what_saves_less_than_five_percent_stays_as_it_is() {
        let mut random = vec![0; 64 * 1024];
        getrandom::fill(&mut random).unwrap();
        assert!(compress(&random).is_none());
        assert!(compress(b"").is_none());
        assert!(compress(b"x").is_none());
        // A context is as good after a refusal as before.
        assert!(compress(&[0; 4096]).is_some());
    }

    #[test]
    fn another_length_than_stated_is_refused() {
        let small = compress(&[7; 1000]).unwrap();
        assert!(decompress(&small, 999).is_none());
        assert!(decompress(&small, 1001).is_none());
        assert!(decompress(b"not zstd", 10).is_none());
        assert!(decompress(&small, 1000).is_some());
    }
}
