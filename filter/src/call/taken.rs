//! Request bodies of unknown length that wait here, instead of in Envoy, until all of their JSON has come:
//! Envoy adds a piece to what waits before it asks anyone, and answers 413 where that is more than its buffer
//! may have.

use std::cell::Cell;
use std::rc::Rc;

use crate::host::{self, Buffer};

/// How much all calls of a VM keep in this way.
#[derive(Debug, Default)]
pub(crate) struct TakenInAll(Rc<Cell<usize>>);

impl TakenInAll {
    /// Nothing yet, of one call.
    pub(crate) fn begin(&self) -> Taken {
        Taken { bytes: Vec::new(), in_all: Rc::clone(&self.0) }
    }
}

/// What one call keeps.
#[derive(Debug)]
pub(crate) struct Taken {
    bytes: Vec<u8>,
    in_all: Rc<Cell<usize>>,
}

impl Taken {
    /// How much it is.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the next piece out of Envoy's buffer; false where there is no room for it, or the host refuses.
    pub(crate) fn take(&mut self, size: usize) -> bool {
        let in_all = self.in_all.get().saturating_add(size);
        if size == 0 {
            return true;
        }
        let piece = host::buffer(Buffer::RequestBody, size).ok().filter(|piece| piece.len() == size);
        let Some(piece) = piece.filter(|_| in_all <= IN_ALL_MAX) else { return false };
        if host::set_buffer(Buffer::RequestBody, size, b"").is_err() {
            return false;
        }
        self.bytes.extend_from_slice(&piece);
        self.in_all.set(in_all);
        true
    }

    /// Puts all of it back before the `size` bytes that are in Envoy's buffer.
    pub(crate) fn put_back(&mut self, size: usize) {
        let bytes = std::mem::take(&mut self.bytes);
        self.in_all.set(self.in_all.get().saturating_sub(bytes.len()));
        // Bytes that are set for none are put before those that are there.
        if !bytes.is_empty() && host::set_buffer(Buffer::RequestBody, 0, &bytes).is_err() {
            log::warn!("a request's first {} bytes could not be put back, before {size} more", bytes.len());
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.in_all.set(self.in_all.get().saturating_sub(self.bytes.len()));
    }
}

/// A quarter of a thousand bodies of the largest size that is gathered.
const IN_ALL_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
