//! Whether something changed that people look at: told to whoever waits for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::debug;

use crate::store::Newest;
use crate::work::app::App;

/// Tells when the newest of the store is another one.
#[derive(Debug)]
pub struct News(Mutex<Option<Told>>);

#[derive(Debug)]
struct Told {
    newest: watch::Sender<Newest>,
    /// Nothing is sent over it; it ends with the news.
    end: watch::Sender<()>,
}

/// What somebody listens to.
#[derive(Debug)]
pub struct Heard {
    /// What was written last; it ends when the collector stops.
    pub newest: watch::Receiver<Newest>,
    /// It only ends, at the same time.
    pub end: watch::Receiver<()>,
}

impl Default for News {
    fn default() -> Self {
        let told = Told { newest: watch::Sender::new(Newest::default()), end: watch::Sender::new(()) };
        Self(Mutex::new(Some(told)))
    }
}

impl News {
    /// What changes with the next news, and ends when the collector stops; `None` when it does already, and
    /// where as many listen as may.
    pub fn listen(&self) -> Option<Heard> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.as_ref().filter(|told| told.newest.receiver_count() < LISTENERS_MAX)?;
        Some(Heard { newest: told.newest.subscribe(), end: told.end.subscribe() })
    }

    /// Ends what everybody listens to.
    pub fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_heard(&self) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.as_ref().is_some_and(|told| told.newest.receiver_count() > 0)
    }

    fn tell(&self, newest: Newest) {
        if let Some(told) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            told.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
    }
}

/// Looks again and again while somebody listens. The store is asked, as other collectors may write to it too.
pub async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if !app.news.is_heard() {
            continue;
        }
        match app.store.newest().await {
            Ok(newest) => app.news.tell(newest),
            Err(error) => debug!(%error, "What is new could not be read; it is tried again"),
        }
    }
}

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Most who listen at a time.
const LISTENERS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(record: i64) -> Newest {
        Newest { record, ..Newest::default() }
    }

    #[test]
    fn whoever_listens_hears_what_is_new_once_and_when_it_ends() {
        let news = News::default();
        assert!(!news.is_heard());
        news.tell(newest(1));
        let Heard { newest: mut heard, end } = news.listen().unwrap();
        assert!(news.is_heard() && end.has_changed().is_ok() && !heard.has_changed().unwrap());
        news.tell(newest(1));
        assert!(!heard.has_changed().unwrap());
        news.tell(newest(2));
        assert!(heard.has_changed().unwrap());
        heard.mark_unchanged();
        assert!(!heard.has_changed().unwrap());
        news.end();
        assert!(heard.has_changed().is_err() && end.has_changed().is_err());
        assert!(news.listen().is_none() && !news.is_heard());
    }

    #[test]
    fn there_is_a_bound_of_listeners() {
        let news = News::default();
        let mut all: Vec<_> = (0..LISTENERS_MAX).map(|_| news.listen().unwrap()).collect();
        assert!(news.listen().is_none());
        all.pop();
        assert!(news.listen().is_some());
    }
}
