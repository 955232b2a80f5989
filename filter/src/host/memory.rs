//! How the module gets memory and compares bytes. A call does both so often that the C library of the target
//! took a seventh of its instructions for them (counted under wasmtime, 27 November 2026).
//!
//! A small block is taken from the free ones of its size and given back to them; blocks are cut from pieces
//! that the system allocator gives, and stay. So memory grows to the most blocks of each size that were in
//! use at once.
#![allow(unsafe_code)] // an allocator, and a function that the compiler calls by its C name

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

use tollgate_core::lean::compare::compare;

#[global_allocator]
static BLOCKS: Blocks = Blocks;

/// Hands out blocks of [`POOL`]; what is too large for it is the system allocator's.
struct Blocks;

static POOL: Pool =
    Pool { free: [const { Cell::new(null_mut()) }; SIZES], rest: Cell::new(null_mut()), left: Cell::new(0) };

struct Pool {
    /// By size: the free block that was given back last, which begins with the address of the one before.
    free: [Cell<*mut u8>; SIZES],
    /// What is left of the last piece.
    rest: Cell<*mut u8>,
    left: Cell<usize>,
}

// SAFETY: a VM has one thread, and nothing here calls back.
#[cfg(not(target_feature = "atomics"))]
unsafe impl Sync for Pool {}

// SAFETY: a block is as long as its size says and aligned to ALIGN, is given out once, and comes back with
// the size that it was asked for with, so to the blocks of its own size. What is to be aligned to more is
// refused, as memory that is full.
unsafe impl GlobalAlloc for Blocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN { null_mut() } else { take(layout.size()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as our caller says.
        unsafe { give(block, layout.size()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as our caller says.
        unsafe { resize(block, layout.size(), size) }
    }
}

/// The free blocks for what has this size, which is not 0; `None` where the system allocator gives them.
fn free(size: usize) -> Option<&'static Cell<*mut u8>> {
    POOL.free.get((size - 1) / ALIGN)
}

const fn large(size: usize) -> Layout {
    // SAFETY: ALIGN is a power of two, and `size` was that of a layout.
    unsafe { Layout::from_size_align_unchecked(size, ALIGN) }
}

// The next three take as few arguments as they can and are never part of their callers: all of that is said a
// thousand times in the module, which may not be much larger.

#[inline(never)]
fn take(size: usize) -> *mut u8 {
    // SAFETY: nobody asks for an empty block.
    let Some(free) = free(size) else { return unsafe { System.alloc(large(size)) } };
    let block = free.get();
    if block.is_null() {
        return cut(size.next_multiple_of(ALIGN));
    }
    // SAFETY: a free block begins with an address.
    free.set(unsafe { block.cast::<*mut u8>().read() });
    block
}

/// # Safety
/// The block was taken with this size.
#[inline(never)]
unsafe fn give(block: *mut u8, size: usize) {
    // SAFETY: as our caller says; a block is longer than an address.
    unsafe {
        match free(size) {
            Some(free) => {
                block.cast::<*mut u8>().write(free.get());
                free.set(block);
            }
            None => System.dealloc(block, large(size)),
        }
    }
}

/// # Safety
/// The block was taken with the size `old`.
#[inline(never)]
unsafe fn resize(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    match (free(old), free(new)) {
        (Some(one), Some(other)) if std::ptr::eq(one, other) => return block,
        _ => {}
    }
    let moved = take(new);
    if !moved.is_null() {
        // SAFETY: as our caller says; both are as long as that, and a new block is not an old one.
        unsafe {
            block.copy_to_nonoverlapping(moved, old.min(new));
            give(block, old);
        }
    }
    moved
}

/// A new block.
#[cold]
#[inline(never)]
fn cut(size: usize) -> *mut u8 {
    if POOL.left.get() < size {
        // SAFETY: the layout is not empty.
        let piece = unsafe { System.alloc(large(PIECE)) };
        if piece.is_null() {
            return piece;
        }
        POOL.rest.set(piece);
        POOL.left.set(PIECE);
    }
    let block = POOL.rest.get();
    POOL.rest.set(block.wrapping_add(size));
    POOL.left.set(POOL.left.get() - size);
    block
}

/// Compares bytes, in the place of the C library's function of this name.
///
/// # Safety
/// Both have as many bytes as `length` says.
// Not part of its callers: where a length is known, the compiler knows something better.
#[inline(never)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    if length == 0 {
        // C may point to nothing then.
        return 0;
    }
    // SAFETY: as our caller says.
    let bytes = |start| unsafe { std::slice::from_raw_parts(start, length) };
    compare(bytes(one), bytes(other))
}

/// Every block is aligned to this, and the sizes of small ones are its multiples.
const ALIGN: usize = 16;
/// How many sizes of small blocks there are: up to 1,024 bytes.
const SIZES: usize = 64;
/// What small blocks are cut from.
const PIECE: usize = 32 << 10;
