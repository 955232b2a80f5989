//! Request bodies that wait here, instead of in Envoy, until all of them has come and is decided on.
//!
//! Envoy adds a piece to what waits there before it asks anyone, and answers 413 where that is more than its
//! buffer may have. What has been passed on its router keeps in that same buffer, for another try, and gets
//! once more where the filter pauses and goes on later: so nothing is passed on of a call that may have to
//! wait, and nothing waits of which a part was passed on.

use std::cell::Cell;
use std::rc::Rc;

use crate::host::{self, Buffer};

/// How much all calls of a VM keep in this way.
#[derive(Debug, Default)]
pub(crate) struct TakenInAll(Rc<Cell<usize>>);

impl TakenInAll {
    /// Nothing yet, of one call.
    pub(crate) fn begin(&self) -> Taken {
        Taken { pieces: Vec::new(), bytes: 0, in_all: Rc::clone(&self.0) }
    }

    /// Others keep all that there is room for.
    #[cfg(test)]
    pub(crate) fn fill(&self) {
        self.0.set(IN_ALL_MAX);
    }
}

/// What one call keeps.
#[derive(Debug)]
pub(crate) struct Taken {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
    in_all: Rc<Cell<usize>>,
}

impl Taken {
    /// How much it is.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
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
        self.bytes = self.bytes.saturating_add(piece.len());
        self.pieces.push(piece);
        self.in_all.set(in_all);
        true
    }

    /// Puts all of it back before the `size` bytes that are in Envoy's buffer.
    pub(crate) fn put_back(&mut self, size: usize) {
        let bytes = std::mem::take(&mut self.bytes);
        self.in_all.set(self.in_all.get().saturating_sub(bytes));
        // Bytes that are set for none are put before those that are there.
        for piece in std::mem::take(&mut self.pieces).iter().rev() {
            if host::set_buffer(Buffer::RequestBody, 0, piece).is_err() {
                log::warn!("a request's first {bytes} bytes could not be put back, before {size} more");
                return;
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.in_all.set(self.in_all.get().saturating_sub(self.bytes));
    }
}

/// Two bodies of the largest size that is kept, or a quarter of a thousand of the largest that is rewritten.
const IN_ALL_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
