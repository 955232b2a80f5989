//! Who may know whom: the order of rooms, and no circle of files that crosses two of them.

use std::collections::BTreeSet;

use super::source::Crate;

/// An order of top rooms: each may import only itself and what stands before it.
pub(super) struct Order {
    /// Where the crate's sources are.
    pub(super) folder: &'static str,
    /// Its rooms.
    pub(super) rooms: &'static [&'static str],
}

/// A room that must not know others.
pub(super) struct Apart {
    /// Where the crate's sources are.
    pub(super) folder: &'static str,
    /// The room.
    pub(super) room: &'static str,
    /// What it must not know.
    pub(super) others: &'static [&'static str],
}

impl Order {
    /// Names each import against the order, and rooms that have no place in it.
    pub(super) fn check(&self, own: &Crate, broken: &mut Vec<String>) {
        let rank = |room: &str| self.rooms.iter().position(|known| *known == room);
        for (module, source) in &own.files {
            let Some(room) = module.first() else { continue };
            let Some(own_rank) = rank(room) else {
                let why = "has no place in the order of rooms";
                broken.push(format!("{}: `{room}` {why}: {}", source.place, self.rooms.join(", ")));
                continue;
            };
            for (line, path) in &source.imports {
                let file = own.file_of(path).and_then(|module| module.first());
                let other = path.first().filter(|room| rank(room).is_some()).or(file);
                let Some(other) = other.filter(|other| rank(other) > Some(own_rank)) else { continue };
                broken.push(format!(
                    "{}:{line}: `crate::{}`: `{room}` may not import `{other}`, which stands after it in {}",
                    source.place,
                    path.join("::"),
                    self.rooms.join(", ")
                ));
            }
        }
    }
}

impl Apart {
    /// Names each import of what the room must not know.
    pub(super) fn check(&self, own: &Crate, broken: &mut Vec<String>) {
        let within =
            own.files.iter().filter(|(module, _)| module.first().is_some_and(|room| room == self.room));
        for (_, source) in within {
            for (line, path) in &source.imports {
                let file = own.file_of(path).and_then(|module| module.first());
                let mut met = [path.first(), file].into_iter().flatten();
                let Some(other) = met.find(|room| self.others.contains(&room.as_str())) else { continue };
                let path = path.join("::");
                let why = format!("`{}` knows nothing of `{other}`", self.room);
                broken.push(format!("{}:{line}: `crate::{path}`: {why}", source.place));
            }
        }
    }
}

/// Names each circle of files that crosses two top rooms, or is larger than a reader can hold.
pub(super) fn circles(own: &Crate, broken: &mut Vec<String>) {
    for circle in circles_of(own) {
        let places: Vec<String> = circle.iter().map(|module| leads(own, module, &circle)).collect();
        let rooms: BTreeSet<&str> =
            circle.iter().filter_map(|module| Some(module.first()?.as_str())).collect();
        let what = if rooms.len() > 1 {
            format!(
                "a circle of files crosses the rooms {}",
                rooms.into_iter().collect::<Vec<_>>().join(", ")
            )
        } else if circle.len() > CIRCLE_MAX {
            format!("a circle of {} files, more than {CIRCLE_MAX}", circle.len())
        } else {
            continue;
        };
        broken.push(format!("{what}:\n    {}", places.join("\n    ")));
    }
}

/// A file of a circle, and the others that it leads to.
fn leads(own: &Crate, module: &[String], circle: &[&[String]]) -> String {
    let Some(source) = own.files.get(module) else { return String::new() };
    let next: BTreeSet<&[String]> = source.imports.iter().filter_map(|(_, path)| own.file_of(path)).collect();
    let next = next.into_iter().filter(|next| *next != module && circle.contains(next));
    let next: Vec<String> = next.map(|next| next.join("::")).collect();
    format!("{} -> {}", source.place, next.join(", "))
}

/// Groups of files each of which leads to all others of its group.
fn circles_of(own: &Crate) -> Vec<Vec<&[String]>> {
    let modules: Vec<&[String]> = own.files.keys().map(Vec::as_slice).collect();
    let reached: Vec<BTreeSet<&[String]>> = modules.iter().map(|module| reached_from(own, module)).collect();
    let mut circles: Vec<Vec<&[String]>> = Vec::new();
    for (module, far) in modules.iter().zip(&reached) {
        let others = modules.iter().zip(&reached);
        let circle: Vec<&[String]> = others
            .filter(|(other, back)| far.contains(**other) && back.contains(*module))
            .map(|(one, _)| *one)
            .collect();
        if circle.len() > 1 && circle.first() == Some(module) {
            circles.push(circle);
        }
    }
    circles
}

/// All files that one leads to. The root is a map and leads nowhere.
fn reached_from<'c>(own: &'c Crate, module: &[String]) -> BTreeSet<&'c [String]> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&[String]> =
        own.files.get_key_value(module).map(|(module, _)| module.as_slice()).into_iter().collect();
    while let Some(module) = open.pop() {
        let Some(source) = own.files.get(module).filter(|_| !module.is_empty()) else { continue };
        for (_, path) in &source.imports {
            if let Some(next) = own.file_of(path)
                && next != module
                && reached.insert(next)
            {
                open.push(next);
            }
        }
    }
    reached
}

/// Files in one circle at most.
const CIRCLE_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order { folder: "collector/src", rooms: &["model", "store", "work"] };
    const DECODE: Apart = Apart { folder: "collector/src", room: "store", others: &["work"] };

    fn read(texts: &[(&str, &str)]) -> Crate {
        let texts: Vec<_> = texts
            .iter()
            .map(|(place, text)| (format!("collector/src/{place}"), (*text).to_owned()))
            .collect();
        Crate::of("collector/src", &texts)
    }

    fn broken(check: impl Fn(&Crate, &mut Vec<String>), texts: &[(&str, &str)]) -> String {
        let mut broken = Vec::new();
        check(&read(texts), &mut broken);
        broken.join("\n")
    }

    #[test]
    fn an_import_against_the_order_is_refused() {
        let order = |planted: &str| {
            let files = [
                ("store/a.rs", planted),
                ("store.rs", "mod a;"),
                ("work.rs", "pub use crate::model::M;"),
                ("model.rs", ""),
            ];
            broken(|own, broken| ORDER.check(own, broken), &files)
        };
        assert_eq!(order("use crate::model::M;"), "");
        assert_eq!(order("#[cfg(test)]\nmod tests {\n    use crate::work::W;\n}"), "");
        for planted in [
            "\nuse crate::work::W;",
            "\nuse crate::{model::M, work::W};",
            "\nfn f() { crate::work::g() }",
            "\nuse super::super::work::W;",
        ] {
            let said = order(planted);
            assert!(said.starts_with("collector/src/store/a.rs:2: `crate::work::"), "{planted}: {said}");
            assert!(said.contains("`store` may not import `work`"), "{said}");
        }
        let files = [("new.rs", "")];
        let said = broken(|own, broken| ORDER.check(own, broken), &files);
        assert!(said.contains("`new` has no place in the order"), "{said}");
    }

    #[test]
    fn what_a_room_must_not_know_is_refused_also_where_another_hands_it_on() {
        let apart = |planted: &str| {
            let files = [("store/a.rs", planted), ("work.rs", ""), ("model.rs", "pub use crate::work::W;")];
            broken(|own, broken| DECODE.check(own, broken), &files)
        };
        assert_eq!(apart("use crate::model::M;"), "");
        for planted in ["use crate::work::W;", "use crate::model::W;"] {
            assert!(apart(planted).contains("`store` knows nothing of `work`"), "{planted}");
        }
    }

    #[test]
    fn a_circle_across_rooms_is_refused_and_a_small_one_within_a_room_is_not() {
        let across = [
            ("lib.rs", "pub mod model;"),
            ("model.rs", "use crate::store::a::A;"),
            ("store/a.rs", "use crate::store::b::B;"),
            ("store/b.rs", "use crate::model::M;"),
        ];
        let said = broken(circles, &across);
        assert!(said.starts_with("a circle of files crosses the rooms model, store:\n"), "{said}");
        assert!(said.contains("store/a.rs -> store::b") && said.contains("store/b.rs -> model"), "{said}");
        let within = [
            ("model.rs", ""),
            ("store/a.rs", "use super::b::B;"),
            ("store/b.rs", "use super::a::A;\nuse crate::model::M;"),
        ];
        assert_eq!(broken(circles, &within), "");
        let many: Vec<(String, String)> =
            (0..9).map(|n| (format!("store/a{n}.rs"), format!("use super::a{}::A;", (n + 1) % 9))).collect();
        let many: Vec<(&str, &str)> =
            many.iter().map(|(place, text)| (place.as_str(), text.as_str())).collect();
        assert!(broken(circles, &many).starts_with("a circle of 9 files, more than 8"));
    }
}
