//! Which places of a JSON document are of interest.

use crate::lean::compare::is_same;

/// What to do with the value at a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Keep the whole value, as raw JSON, and hand it over at its end.
    Capture,
    /// Hand over the decoded contents of a string piece by piece, keeping nothing. Of an object or array, the
    /// places inside it that the shape names, or else all of its raw JSON.
    Text,
    /// The same, and of an object or array with places inside it: say when it has ended, by a value that is
    /// none.
    Element,
    /// Hand over the decoded contents of a string, or all of the raw JSON of an object or array, piece by
    /// piece; places inside it are found too, before the piece that has them.
    Whole,
    /// Of an object or array: look at nothing inside it, though places anywhere are looked for.
    Skip,
}

/// Places of interest, compiled from paths.
///
/// A path is keys joined by dots, with `[]` behind a key for each element of its array:
/// `choices[].delta.content`. Where places are looked for at any depth, `**` stands for any keys, none that
/// has a place of its own, and the key behind it for every key with these letters in it. There `*` stands for
/// every key of an object that has no place of its own, and `~key` for `key` in other letters of either case.
/// `F` is the caller's name for what stands there.
#[derive(Debug)]
pub struct Shape<F> {
    nodes: Vec<Node<F>>,
    /// Places that are looked for at any depth.
    anywhere: Option<Anywhere>,
}

/// Keys that mean a place wherever they stand.
#[derive(Debug)]
struct Anywhere {
    keys: Vec<(&'static str, Place)>,
    /// Keys that end so.
    endings: Vec<(&'static str, Place)>,
    /// Which pairs of length and first letter any of the keys has, to pass over others soon.
    known: [u64; 2],
    /// The last letters that the endings have: a bit for each, by its five lowest bits.
    last: u32,
    /// The place of everything else: nothing stands there, and all inside it is looked at.
    elsewhere: Place,
}

#[derive(Debug)]
struct Node<F> {
    keys: Vec<(&'static str, Place)>,
    /// Where there are many keys they stand in the order of their [`bucket`]; this says where each bucket
    /// begins, and at last where the last one ends.
    buckets: Option<Box<[u8; BUCKETS + 1]>>,
    element: Option<Place>,
    /// The list whose element it is.
    list: Option<Place>,
    /// The place of every key inside that has none of its own, at any depth; its own keys are parts of keys.
    deep: Option<Place>,
    /// Keys in other letters, and the place of every key that has none of its own.
    others: Vec<(&'static str, Place)>,
    action: Option<(Action, F)>,
}

/// A place in a shape; only meaningful to the shape that gave it.
pub(super) type Place = u16;

/// The place of a document as a whole.
pub(super) const ROOT: Place = 0;

impl<F: Copy> Shape<F> {
    /// Compiles paths. Of two entries with the same path the later one holds.
    pub fn new(paths: &[(&'static str, Action, F)]) -> Self {
        let mut shape = Self { nodes: vec![Node::new()], anywhere: None };
        shape.add(ROOT, paths);
        shape.nodes.iter_mut().for_each(Node::sort);
        shape
    }

    /// The same, and places at any depth: `keys` are paths that may begin anywhere, `endings` ends of keys.
    /// Such a shape takes an object for a list of one: `messages[].content[].type` is also the `type` of a
    /// content that is an object. A path of `paths` hides none of the others: what stands at both is what
    /// `both` makes of the two, in this order.
    pub fn anywhere(
        paths: &[(&'static str, Action, F)],
        keys: &[(&'static str, Action, F)],
        endings: &[(&'static str, Action, F)],
        both: fn(F, F) -> F,
    ) -> Self {
        let mut shape = Self { nodes: vec![Node::new()], anywhere: None };
        shape.add(ROOT, paths);
        let elsewhere = shape.node();
        let base = shape.node();
        shape.add(base, keys);
        let keys = shape.nodes.get(usize::from(base)).map(|node| node.keys.clone()).unwrap_or_default();
        let base = shape.node();
        shape.add(base, endings);
        let endings = shape.nodes.get(usize::from(base)).map(|node| node.keys.clone()).unwrap_or_default();
        let mut known = [0; 2];
        for (key, _) in &keys {
            let (word, bit) = mark(key.as_bytes());
            if let Some(word) = known.get_mut(word) {
                *word |= bit;
            }
        }
        let last = endings.iter().fold(0, |known, (ending, _)| known | last_letter(ending.as_bytes()));
        let anywhere = Anywhere { keys, endings, known, last, elsewhere };
        shape.put_at_names(&anywhere, both);
        shape.anywhere = Some(anywhere);
        shape.nodes.iter_mut().for_each(Node::sort);
        shape
    }

    /// Puts what counts anywhere at the keys that have places of their own, which would hide it.
    fn put_at_names(&mut self, anywhere: &Anywhere, both: fn(F, F) -> F) {
        let named = usize::from(anywhere.elsewhere);
        // What looks like their keys are parts of keys.
        let parts: Vec<Place> = self.nodes.iter().filter_map(|node| node.deep).collect();
        for place in (0..anywhere.elsewhere).filter(|place| !parts.contains(place)) {
            let keys = self.nodes.get(usize::from(place)).map(|node| node.keys.clone()).unwrap_or_default();
            for (key, own) in keys {
                let found = anywhere.place(key.as_bytes());
                if usize::from(own) < named && found != anywhere.elsewhere {
                    self.put(own, found, both);
                }
            }
        }
    }

    /// Puts what stands at one place, and inside it, at another as well.
    fn put(&mut self, at: Place, from: Place, both: fn(F, F) -> F) {
        let Some(Node { action, keys, element, .. }) = self.nodes.get(usize::from(from)) else { return };
        let (action, keys, element) = (*action, keys.clone(), *element);
        for (key, inside) in keys {
            match self.own_key(at, key.as_bytes()) {
                Some(own) => self.put(own, inside, both),
                None => {
                    if let Some(node) = self.nodes.get_mut(usize::from(at)) {
                        node.keys.push((key, inside));
                    }
                }
            }
        }
        if let (Some(own), Some(element)) = (self.own_element(at), element) {
            self.put(own, element, both);
        }
        let Some(node) = self.nodes.get_mut(usize::from(at)) else { return };
        node.element = node.element.or(element);
        node.action = match (node.action, action) {
            (Some((own, field)), Some((_, more))) => Some((own, both(field, more))),
            (own, more) => own.or(more),
        };
    }

    fn node(&mut self) -> Place {
        let place = Place::try_from(self.nodes.len()).unwrap_or(Place::MAX);
        self.nodes.push(Node::new());
        place
    }

    fn add(&mut self, from: Place, paths: &[(&'static str, Action, F)]) {
        let shape = self;
        for (path, action, field) in paths {
            let mut place = from;
            for step in path.split('.') {
                let key = step.trim_end_matches("[]");
                if key == DEEP {
                    place = shape.deep(place);
                } else if key == OTHERS || key.starts_with(OTHER_LETTERS) {
                    place = shape.other(place, key.trim_start_matches(OTHER_LETTERS));
                } else if !key.is_empty() {
                    place = shape.step(place, Some(key));
                }
                for _ in 0..(step.len() - key.len()) / 2 {
                    place = shape.step(place, None);
                }
            }
            if let Some(node) = shape.nodes.get_mut(usize::from(place)) {
                node.action = Some((*action, *field));
            }
        }
    }

    fn deep(&mut self, from: Place) -> Place {
        if let Some(known) = self.nodes.get(usize::from(from)).and_then(|node| node.deep) {
            return known;
        }
        let place = self.node();
        for at in [from, place] {
            if let Some(node) = self.nodes.get_mut(usize::from(at)) {
                node.deep = Some(place);
            }
        }
        place
    }

    fn other(&mut self, from: Place, key: &'static str) -> Place {
        let known = self.nodes.get(usize::from(from)).map_or(&[][..], |node| &node.others);
        if let Some((_, place)) = known.iter().find(|(known, _)| *known == key) {
            return *place;
        }
        let place = self.node();
        if let Some(node) = self.nodes.get_mut(usize::from(from)) {
            // Any key last.
            let at = if key == OTHERS { node.others.len() } else { 0 };
            node.others.insert(at, (key, place));
        }
        place
    }

    fn step(&mut self, from: Place, key: Option<&'static str>) -> Place {
        let known = match key {
            Some(key) => self.own_key(from, key.as_bytes()),
            None => self.own_element(from),
        };
        if let Some(place) = known {
            return place;
        }
        let place = self.node();
        if let Some(node) = self.nodes.get_mut(usize::from(from)) {
            match key {
                Some(key) => node.keys.push((key, place)),
                None => node.element = Some(place),
            }
        }
        if key.is_none()
            && let Some(node) = self.nodes.get_mut(usize::from(place))
        {
            node.list = Some(from);
        }
        place
    }

    fn own_key(&self, place: Place, key: &[u8]) -> Option<Place> {
        let node = self.nodes.get(usize::from(place))?;
        let keys = match &node.buckets {
            None => node.keys.as_slice(),
            Some(buckets) => {
                let bucket = bucket(key);
                let (start, end) = (buckets.get(bucket)?, buckets.get(bucket + 1)?);
                node.keys.get(usize::from(*start)..usize::from(*end))?
            }
        };
        keys.iter().find(|(name, _)| is_same(name.as_bytes(), key)).map(|(_, place)| *place)
    }

    fn own_element(&self, place: Place) -> Option<Place> {
        self.nodes.get(usize::from(place))?.element
    }

    /// The place behind a key of an object.
    pub(super) fn key(&self, place: Place, key: &[u8]) -> Option<Place> {
        let own = self.own_key(place, key);
        let Some(anywhere) = &self.anywhere else { return own };
        // As most that are of interest are.
        if own.is_some() {
            return own;
        }
        let of = |place: Place| self.nodes.get(usize::from(place));
        let (mut inwards, mut outwards) = (of(place), of(place));
        while let Some(place) = inwards.and_then(|node| node.element) {
            if let Some(found) = self.own_key(place, key) {
                return Some(found);
            }
            inwards = of(place);
        }
        while let Some(place) = outwards.and_then(|node| node.list) {
            if let Some(found) = self.own_key(place, key) {
                return Some(found);
            }
            outwards = of(place);
        }
        Some(self.unnamed(place, key, anywhere))
    }

    /// The place of a key that has none of its own.
    fn unnamed(&self, place: Place, key: &[u8], anywhere: &Anywhere) -> Place {
        let found = anywhere.place(key);
        if found != anywhere.elsewhere {
            return found;
        }
        let of = |place: Place| self.nodes.get(usize::from(place));
        let Some(node) = of(place) else { return found };
        // An object in the place of a list, or a list in a list.
        let list = || node.element.or(node.list).and_then(of);
        let others =
            if node.others.is_empty() { list().map(|list| &list.others) } else { Some(&node.others) };
        if let Some(other) =
            others.filter(|others| !others.is_empty()).and_then(|others| other_of(others, key))
        {
            return other;
        }
        node.deep.map_or(found, |deep| self.part(deep, key))
    }

    #[cold]
    fn part(&self, deep: Place, key: &[u8]) -> Place {
        let has =
            |part: &str| key.windows(part.len()).any(|letters| letters.eq_ignore_ascii_case(part.as_bytes()));
        let parts = self.nodes.get(usize::from(deep)).map_or(&[][..], |node| &node.keys);
        parts.iter().find(|(part, _)| has(part)).map_or(deep, |(_, place)| *place)
    }

    /// The place of an array's elements.
    pub(super) fn element(&self, place: Place) -> Option<Place> {
        let element = self.own_element(place);
        if self.anywhere.is_some() { element.or(Some(place)) } else { element }
    }

    /// The place of a value that is no list: where nothing stands at it, that of the only element of a list.
    pub(super) fn as_element(&self, place: Place) -> Place {
        match self.nodes.get(usize::from(place)) {
            Some(Node { action: None, element: Some(element), keys, .. }) if keys.is_empty() => *element,
            _ => place,
        }
    }

    /// Whether places are looked for at any depth.
    pub(super) const fn looks_anywhere(&self) -> bool {
        self.anywhere.is_some()
    }

    pub(super) fn action(&self, place: Place) -> Option<(Action, F)> {
        self.nodes.get(usize::from(place))?.action
    }

    /// Whether anything inside this place is of interest.
    pub(super) fn has_inside(&self, place: Place) -> bool {
        self.nodes.get(usize::from(place)).is_some_and(|node| !node.keys.is_empty() || node.element.is_some())
    }
}

impl Anywhere {
    fn place(&self, key: &[u8]) -> Place {
        let (word, bit) = mark(key);
        let may_be = self.known.get(word).is_some_and(|known| known & bit != 0);
        let keys = if may_be { self.keys.as_slice() } else { &[] };
        let found = keys.iter().find(|(name, _)| is_same(name.as_bytes(), key));
        let may_end = found.is_none() && self.last & last_letter(key) != 0;
        let endings = if may_end { self.endings.as_slice() } else { &[] };
        let found = found.or_else(|| endings.iter().find(|(ending, _)| key.ends_with(ending.as_bytes())));
        found.map_or(self.elsewhere, |(_, place)| *place)
    }
}

#[cold]
fn other_of(others: &[(&'static str, Place)], key: &[u8]) -> Option<Place> {
    let is = |other: &str| other == OTHERS || other.as_bytes().eq_ignore_ascii_case(key);
    others.iter().find(|(other, _)| is(other)).map(|(_, place)| *place)
}

/// A bit for a key's length and first letter.
fn mark(key: &[u8]) -> (usize, u64) {
    let bucket = bucket(key);
    (bucket / 64, 1 << (bucket % 64))
}

/// A bit for a key's last letter.
fn last_letter(key: &[u8]) -> u32 {
    key.last().map_or(0, |last| 1 << (last & 31))
}

/// One of [`BUCKETS`], by a key's length and first letter.
fn bucket(key: &[u8]) -> usize {
    let first = key.first().copied().unwrap_or_default();
    key.len().wrapping_mul(29).wrapping_add(usize::from(first)) % BUCKETS
}

const BUCKETS: usize = 128;
/// In a path: any keys.
const DEEP: &str = "**";
/// Every key that has no place of its own.
const OTHERS: &str = "*";
/// The same key in other letters.
const OTHER_LETTERS: char = '~';
/// So few keys are looked through as they stand.
const FEW_KEYS: usize = 6;

impl<F> Node<F> {
    const fn new() -> Self {
        Self {
            keys: Vec::new(),
            buckets: None,
            element: None,
            list: None,
            deep: None,
            others: Vec::new(),
            action: None,
        }
    }

    /// Puts the keys in the order in which they are found. No path is added after that.
    fn sort(&mut self) {
        if self.keys.len() <= FEW_KEYS || self.keys.len() > usize::from(u8::MAX) {
            return;
        }
        self.buckets = Some(in_buckets(&mut self.keys));
    }
}

/// Puts keys in the order of their buckets; says where each begins. Without the library's sort, which takes 5
/// kB of the filter's module for each shape.
fn in_buckets(keys: &mut Vec<(&'static str, Place)>) -> Box<[u8; BUCKETS + 1]> {
    let mut starts = Box::new([0; BUCKETS + 1]);
    let mut ordered = Vec::with_capacity(keys.len());
    for (at, start) in starts.iter_mut().enumerate() {
        *start = u8::try_from(ordered.len()).unwrap_or(u8::MAX);
        ordered.extend(keys.iter().filter(|(key, _)| bucket(key.as_bytes()) == at));
    }
    *keys = ordered;
    starts
}
