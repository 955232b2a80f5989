//! What the provider's own tools did, as the items of an answer tell it.
//!
//! Sources: OpenAI's API reference, output items of Responses; Google's, grounding metadata of
//! generateContent and steps of interactions, as recorded; not read anew. Each kind has a fee of its own
//! beside the tokens.

use crate::lean::fnv::fnv;

/// What tools did so far. Holds a few counters and hashes, whatever arrives.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// Items of the document that is passing.
    passing: Items,
    /// Items of the last document that had some: it repeats all of the answer.
    whole: Items,
    /// Items that a stream said are done, should it be cut before that document.
    done: Items,
    /// Whether the searches are those of OpenAI's preview tool.
    previews: bool,
    /// Each bit is a [`Seen`].
    seen: u8,
    /// Searches that came as steps.
    steps: u64,
    /// Hashes of the queries, each once.
    queries: Vec<u64>,
}

/// What an answer was seen to rest on, or to have used, of which it counts none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    /// A place of a map.
    Place,
    /// A page of the web.
    Page,
    /// A page that was read because the prompt names it, which is no search.
    NamedPage,
    /// The caller's own stored data.
    OwnData,
    /// A page that is cited.
    Citation,
    /// A file that was read for the answer.
    File,
    /// A tool that the provider ran, which is no search, or one of so many as nobody knows.
    OtherTool,
}

#[derive(Clone, Debug, Default)]
struct Items {
    any: bool,
    web: u64,
    /// Items that name their action: searches, and what is no search (a page that is opened).
    searches: u64,
    others: u64,
    files: u64,
    code: u64,
    containers: Vec<u64>,
    images: u64,
}

impl Items {
    fn item(&mut self, kind: &[u8]) {
        let counts = [&mut self.web, &mut self.files, &mut self.code, &mut self.images];
        for (known, count) in ITEMS.into_iter().zip(counts) {
            if kind == known {
                *count = count.saturating_add(1);
                self.any = true;
            }
        }
    }

    fn action(&mut self, action: &[u8]) {
        let count = if action == b"\"search\"" { &mut self.searches } else { &mut self.others };
        *count = count.saturating_add(1);
        self.any = true;
    }

    /// A search whose item has no action is a search: older answers told none apart.
    fn web_searches(&self) -> u64 {
        self.searches.max(self.web.saturating_sub(self.others))
    }

    fn code_sessions(&self) -> u64 {
        (self.containers.len() as u64).max(u64::from(self.code > 0))
    }
}

impl Tools {
    /// An item of the answer as a whole.
    pub(super) fn item(&mut self, kind: &[u8]) {
        self.passing.item(kind);
    }

    /// What such an item did.
    pub(super) fn action(&mut self, action: &[u8]) {
        self.passing.action(action);
    }

    /// The container in which code of such an item ran.
    pub(super) fn container(&mut self, name: &[u8]) {
        note(&mut self.passing.containers, name);
        self.passing.any = true;
    }

    /// An item of a stream of its own, which is `done` or only begins.
    pub(super) fn stream_item(&mut self, kind: &[u8], done: bool) {
        if done {
            self.done.item(kind);
        }
    }

    /// What a stream's item did.
    pub(super) fn stream_action(&mut self, action: &[u8], done: bool) {
        if done {
            self.done.action(action);
        }
    }

    /// Where a stream's item ran.
    pub(super) fn stream_container(&mut self, name: &[u8]) {
        note(&mut self.done.containers, name);
    }

    /// A tool that the provider ran, at Groq.
    /// Source: Groq's client library, `ExecutedTool`, and a recorded answer, read 2026-11-30.
    pub(super) fn executed(&mut self, kind: &[u8]) {
        if kind.ends_with(b"search\"") {
            self.passing.item(ITEMS[0]);
        } else {
            self.saw(Seen::OtherTool);
        }
    }

    /// A call in the answer: some are of the provider's own tool, by a name that no caller's function has
    /// (Moonshot, Web search pricing; Amazon Nova, Web grounding; read 2026-11-30).
    pub(super) fn called(&mut self, name: &[u8]) {
        if SEARCHING_FUNCTIONS.contains(&name) {
            self.done.item(ITEMS[0]);
        }
    }

    /// What the answer rests on, at OpenRouter.
    pub(super) fn annotation(&mut self, kind: &[u8]) {
        // Comparisons of slices: those of literals in a pattern are made byte by byte.
        if *kind == *b"\"url_citation\"" {
            self.saw(Seen::Citation);
        } else if *kind == *b"\"file\"" {
            self.saw(Seen::File);
        }
    }

    /// Something was seen.
    pub(super) const fn saw(&mut self, what: Seen) {
        self.seen |= 1 << what as u8;
    }

    /// Whether it was.
    pub(super) const fn has(&self, what: Seen) -> bool {
        self.seen & (1 << what as u8) != 0
    }

    /// A tool that the answer says it was offered.
    pub(super) fn offered(&mut self, kind: &[u8]) {
        self.previews |= kind.starts_with(b"\"web_search_preview");
    }

    /// A step of an interaction, or what one is told of later.
    pub(super) fn step(&mut self, kind: &[u8]) {
        if *kind == *b"\"google_search_call\"" {
            self.saw(Seen::Page);
        } else if *kind == *b"\"google_maps_call\"" {
            self.saw(Seen::Place);
        } else {
            return;
        }
        self.steps = self.steps.saturating_add(1);
    }

    /// Queries of a search: each counts once, and none that is empty.
    pub(super) fn queries<'a>(&mut self, queries: impl Iterator<Item = &'a str>) {
        for query in queries.map(str::trim).filter(|query| !query.is_empty()) {
            note(&mut self.queries, query.as_bytes());
        }
    }

    /// A document has ended.
    pub(super) fn document_end(&mut self) {
        let passing = std::mem::take(&mut self.passing);
        if passing.any {
            self.whole = passing;
        }
    }

    /// Searches of the web.
    pub(super) fn web_searches(&self) -> u64 {
        self.whole.web_searches().max(self.done.web_searches())
    }

    /// Different queries; where none was named, the steps that searched.
    pub(super) fn grounded(&self) -> u64 {
        let queries = self.queries.len() as u64;
        if queries > 0 { queries } else { self.steps.min(1) }
    }

    /// Searches in stored files.
    pub(super) fn file_searches(&self) -> u64 {
        self.whole.files.max(self.done.files)
    }

    /// Containers in which code ran.
    pub(super) fn code_sessions(&self) -> u64 {
        self.whole.code_sessions().max(self.done.code_sessions())
    }

    /// Whether images were made.
    pub(super) const fn makes_images(&self) -> bool {
        self.whole.images > 0 || self.done.images > 0
    }

    /// Whether it searched with OpenAI's preview tool.
    pub(super) fn previews(&self) -> bool {
        self.previews && self.web_searches() > 0
    }

    /// Whether pages of the web were given that only a search can have found.
    pub(super) const fn found_pages(&self) -> bool {
        self.has(Seen::Page) && !self.has(Seen::NamedPage)
    }
}

/// Items that are calls of the provider's own tools: searches of the web, of files, code, images.
const ITEMS: [&[u8]; 4] = [
    b"\"web_search_call\"",
    b"\"file_search_call\"",
    b"\"code_interpreter_call\"",
    b"\"image_generation_call\"",
];
/// Functions by which the provider's own tool searches the web.
const SEARCHING_FUNCTIONS: [&[u8]; 2] = [b"\"$web_search\"", b"\"nova_grounding\""];

/// Keeps a name's hash, once.
fn note(known: &mut Vec<u64>, name: &[u8]) {
    let hash = fnv(name);
    if known.len() < NAMES_MAX && !known.contains(&hash) {
        known.push(hash);
    }
}

/// Queries, or containers, of one answer that are told apart.
const NAMES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_an_action_is_a_search_and_an_opened_page_is_none() {
        let mut tools = Tools::default();
        for action in [Some("\"search\""), None, Some("\"open_page\"")] {
            tools.item(b"\"web_search_call\"");
            if let Some(action) = action {
                tools.action(action.as_bytes());
            }
        }
        tools.document_end();
        assert_eq!(tools.web_searches(), 2);
    }

    #[test]
    fn the_last_document_with_items_is_all_of_the_answer() {
        let mut tools = Tools::default();
        tools.stream_item(b"\"file_search_call\"", false);
        tools.stream_item(b"\"file_search_call\"", true);
        tools.document_end();
        assert_eq!(tools.file_searches(), 1, "a stream that is cut");
        tools.item(b"\"file_search_call\"");
        tools.document_end();
        tools.document_end();
        assert_eq!(tools.file_searches(), 1);
    }

    #[test]
    fn queries_count_once_and_containers_too() {
        let mut tools = Tools::default();
        tools.queries(["a", "", "b", "a", " "].into_iter());
        for container in ["\"x\"", "\"x\"", "\"y\""] {
            tools.item(b"\"code_interpreter_call\"");
            tools.container(container.as_bytes());
        }
        tools.document_end();
        assert_eq!((tools.grounded(), tools.code_sessions()), (2, 2));
    }
}
