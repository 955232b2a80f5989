//! Test builds die where a request asks them to.

#[cfg(feature = "test-panic")]
thread_local! {
    static PANIC_AT: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(feature = "test-panic")]
pub(crate) fn ask_to_panic(callback: &[u8]) {
    if !callback.is_empty() {
        PANIC_AT.with(|at| *at.borrow_mut() = callback.to_vec());
    }
}

/// In test builds: dies in the callback that a request named.
#[cfg(feature = "test-panic")]
#[allow(clippy::panic)] // what this build is for
pub(crate) fn panic_if_asked(callback: &str) {
    if PANIC_AT.with(|at| *at.borrow() == callback.as_bytes()) {
        panic!("asked to in {callback}");
    }
}

/// In test builds: dies in the callback that a request named.
#[cfg(not(feature = "test-panic"))]
pub const fn panic_if_asked(_callback: &str) {}
