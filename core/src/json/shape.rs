//! Which places of a JSON document are of interest.

use crate::compare::is_same;

/// What to do with the value at a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Keep the whole value, as raw JSON, and hand it over at its end.
    Capture,
    /// Hand over the decoded contents of a string piece by piece, keeping nothing. Of an object or array, the
    /// places inside it that the shape names, or else all of its raw JSON.
    Text,
    /// The same, and of an object or array with places inside it: say when it has ended, by a value that is none.
    Element,
    /// Hand over the decoded contents of a string, or all of the raw JSON of an object or array, piece by piece; places
    /// inside it are found too, before the piece that has them.
    Whole,
}

/// Places of interest, compiled from paths.
///
/// A path is keys joined by dots, with `[]` behind a key for each element of its array:
/// `choices[].delta.content`. `F` is the caller's name for what stands there.
#[derive(Debug)]
pub struct Shape<F> {
    nodes: Vec<Node<F>>,
}

#[derive(Debug)]
struct Node<F> {
    keys: Vec<(&'static str, Place)>,
    element: Option<Place>,
    action: Option<(Action, F)>,
}

/// A place in a shape; only meaningful to the shape that gave it.
pub(super) type Place = u16;

/// The place of a document as a whole.
pub(super) const ROOT: Place = 0;

impl<F: Copy> Shape<F> {
    /// Compiles paths. Of two entries with the same path the later one holds.
    #[must_use]
    pub fn new(paths: &[(&'static str, Action, F)]) -> Self {
        let mut shape = Self { nodes: vec![Node::new()] };
        for (path, action, field) in paths {
            let mut place = ROOT;
            for step in path.split('.') {
                let key = step.trim_end_matches("[]");
                if !key.is_empty() {
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
        shape
    }

    fn step(&mut self, from: Place, key: Option<&'static str>) -> Place {
        let known = match key {
            Some(key) => self.key(from, key.as_bytes()),
            None => self.element(from),
        };
        if let Some(place) = known {
            return place;
        }
        let place = Place::try_from(self.nodes.len()).unwrap_or(Place::MAX);
        self.nodes.push(Node::new());
        if let Some(node) = self.nodes.get_mut(usize::from(from)) {
            match key {
                Some(key) => node.keys.push((key, place)),
                None => node.element = Some(place),
            }
        }
        place
    }

    pub(super) fn key(&self, place: Place, key: &[u8]) -> Option<Place> {
        let node = self.nodes.get(usize::from(place))?;
        node.keys.iter().find(|(name, _)| is_same(name.as_bytes(), key)).map(|(_, place)| *place)
    }

    pub(super) fn element(&self, place: Place) -> Option<Place> {
        self.nodes.get(usize::from(place))?.element
    }

    pub(super) fn action(&self, place: Place) -> Option<(Action, F)> {
        self.nodes.get(usize::from(place))?.action
    }

    /// Whether anything inside this place is of interest.
    pub(super) fn has_inside(&self, place: Place) -> bool {
        self.nodes.get(usize::from(place)).is_some_and(|node| !node.keys.is_empty() || node.element.is_some())
    }
}

impl<F> Node<F> {
    const fn new() -> Self {
        Self { keys: Vec::new(), element: None, action: None }
    }
}
