//! Cuts a content while its bytes come, in little memory.

use std::sync::Arc;

use super::read::{List, Opened, ReadError};
use crate::chunk::plan::Listed;
use crate::chunk::{Class, Cutter};
use crate::crypto::ClientKeys;

/// Bytes that are held until they are cut: at least two chunks of the class, little enough to stay in the processor's
/// cache.
const SMALL_BUFFER: usize = 1 << 20;
const LARGE_BUFFER: usize = 4 << 20;

/// A content that is being cut.
pub struct Cutting {
    keys: Arc<ClientKeys>,
    cutter: Cutter,
    /// Begins where a chunk does.
    buffer: Vec<u8>,
    filled: usize,
    at: u64,
    chunks: Vec<Listed>,
}

impl Cutting {
    /// Begins a content of about so many bytes.
    pub fn new(class: Class, size: u64, keys: &Arc<ClientKeys>) -> Self {
        let most = most(class);
        let room = usize::try_from(size).map_or(most, |size| size.saturating_add(1).min(most));
        Self {
            cutter: Cutter::new(class, keys.gear),
            keys: Arc::clone(keys),
            buffer: vec![0; room],
            filled: 0,
            at: 0,
            chunks: Vec::new(),
        }
    }

    /// Cuts bytes that are all there.
    pub fn whole(class: Class, bytes: &[u8], keys: &Arc<ClientKeys>) -> List {
        let mut cutting = Self::new(class, bytes.len() as u64, keys);
        cutting.push(bytes);
        cutting.end()
    }

    /// Bytes that were taken.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = &mut self.buffer[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.took(now.len());
            bytes = later;
        }
    }

    /// Takes the next bytes from a file, up to an offset.
    pub fn read_to(&mut self, opened: &Opened, end: u64) -> Result<(), ReadError> {
        while self.at < end {
            let room = &mut self.buffer[self.filled..];
            let wanted =
                usize::try_from(end - self.at).map_or(room.len(), |left| left.min(room.len()));
            let read = opened.read_at(&mut room[..wanted], self.at)?;
            self.took(read);
            if read < wanted {
                return Err(ReadError::Changed);
            }
        }
        Ok(())
    }

    /// How it is cut, when nothing comes any more.
    pub fn end(mut self) -> List {
        self.cut(true);
        List {
            class: self.cutter.class(),
            root: self.keys.root(&self.chunks),
            chunks: self.chunks,
        }
    }

    fn took(&mut self, bytes: usize) {
        self.filled += bytes;
        self.at += bytes as u64;
        if self.filled < self.buffer.len() {
            return;
        }
        let most = most(self.cutter.class());
        if self.filled < most {
            // More comes than was said.
            self.buffer.resize(most, 0);
        } else {
            self.cut(false);
        }
    }

    fn cut(&mut self, end: bool) {
        let mut begin = 0;
        for length in self.cutter.cut(&self.buffer[..self.filled], end) {
            let chunk = &self.buffer[begin..begin + length];
            self.chunks.push(self.keys.listed(chunk));
            begin += length;
        }
        self.buffer.copy_within(begin..self.filled, 0);
        self.filled -= begin;
    }
}

fn most(class: Class) -> usize {
    match class {
        Class::Small => SMALL_BUFFER,
        Class::Large => LARGE_BUFFER,
    }
}
