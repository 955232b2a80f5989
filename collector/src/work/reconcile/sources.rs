//! Which files and pages a bill was read from: each counts once, and a page needs the next one.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use ring::digest::{Context, SHA256};

use super::Bill;

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// Names by hashes of what they say.
    known: HashMap<Vec<u8>, String>,
    pages: Vec<Page>,
}

/// A page of a provider's answer.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// The file, and the line.
    pub(super) name: String,
    /// Whether another one comes after it.
    pub(super) has_more: bool,
    /// Start of its first bucket and end of its last one, as they are written.
    pub(super) first: Option<String>,
    pub(super) end: Option<String>,
}

impl Sources {
    /// Notes what was read.
    ///
    /// # Errors
    /// Where another one says the same.
    pub(super) fn add(&mut self, name: &str, hash: Hash) -> Result<(), String> {
        match self.known.insert(hash.0.finish().as_ref().to_vec(), name.to_owned()) {
            None => Ok(()),
            Some(before) => Err(format!(
                "{name}: says the same as {before}, and would count twice; give each file and each page once"
            )),
        }
    }

    pub(super) fn add_page(&mut self, page: Page) {
        self.pages.push(page);
    }
}

impl Bill {
    /// Checks that no page is missing, when all files have been read.
    ///
    /// # Errors
    /// Which page needs another one, and what to do.
    pub fn whole(&self) -> Result<(), String> {
        let pages = &self.sources.pages;
        for (at, page) in pages.iter().enumerate().filter(|(_, page)| page.has_more) {
            let mut others = pages.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, page)| page);
            let is_next = match &page.end {
                Some(end) => others.any(|other| other.first.as_ref() == Some(end)),
                None => others.any(|other| !other.has_more),
            };
            if !is_next {
                let from = page.end.as_ref().map(|end| format!(" from {end} on")).unwrap_or_default();
                return Err(format!(
                    "{}: `has_more` is true, and the next page{from} is missing; ask for it with `page` set to this \
                     one's `next_page`, until `has_more` is false, and give all pages together",
                    page.name
                ));
            }
        }
        Ok(())
    }
}

/// A hash of what a text says, whatever white space it has.
pub(super) struct Hash(Context);

impl Hash {
    /// Of a whole file, or of a part of one: the two are told apart.
    pub(super) fn new(is_file: bool) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[is_file.into()]);
        Self(context)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for part in bytes.split(u8::is_ascii_whitespace) {
            self.0.update(part);
        }
    }

    pub(super) fn of(text: &str) -> Self {
        let mut hash = Self::new(false);
        hash.add(text.as_bytes());
        hash
    }
}

/// Bytes that are hashed while they are read.
pub(super) struct Hashed<'h, R> {
    pub(super) from: R,
    pub(super) hash: &'h mut Hash,
}

impl<R: BufRead> BufRead for Hashed<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is consumed has been filled before, so that this reads nothing.
        if let Ok(bytes) = self.from.fill_buf() {
            self.hash.add(bytes.get(..count).unwrap_or(bytes));
        }
        self.from.consume(count);
    }
}

impl<R: BufRead> Read for Hashed<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
