//! The prices that a collector holds: what comes with Tollgate, the operator's files and configuration on
//! top.

mod build;

use std::sync::{Arc, PoisonError, RwLock};

use tollgate_core::price::{PriceBook, Unpriced};

pub use build::{book, files, list_book};
pub use tollgate_core::plan::rows_named;

/// The prices now, shared by all handlers.
#[derive(Debug, Default)]
pub struct Prices {
    current: RwLock<Held>,
}

/// A book, and what holds for models that it lacks.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The whole book.
    pub book: Arc<PriceBook>,
    /// What becomes of calls without a price.
    pub unpriced: Unpriced,
}

impl Prices {
    /// These prices.
    pub fn new(book: PriceBook, unpriced: Unpriced) -> Self {
        Self { current: RwLock::new(Held { book: Arc::new(book), unpriced }) }
    }

    /// What holds now.
    pub fn held(&self) -> Held {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The book that holds now.
    pub fn book(&self) -> Arc<PriceBook> {
        self.held().book
    }

    /// Puts other prices in place.
    pub fn replace(&self, book: PriceBook, unpriced: Unpriced) {
        let held = Held { book: Arc::new(book), unpriced };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = held;
    }
}
