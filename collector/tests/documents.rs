//! Rules that hold for every document of the repository.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that cannot go on should say where

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest paragraph of the two documents that a stranger reads first, in words.
const PARAGRAPH_WORDS: usize = 120;
/// Their longest sentence.
const SENTENCE_WORDS: usize = 45;
const READ_FIRST: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every document, by its path.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut documents = BTreeMap::new();
    let mut open = vec![root().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                open.push(path);
            } else if name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).unwrap();
                documents.insert(path, text);
            }
        }
    }
    documents
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links of a document lead.
fn links(text: &str) -> Vec<String> {
    let prose: Vec<&str> = prose(text).collect();
    let prose = prose.join("\n");
    let mut links = Vec::new();
    for rest in prose.split("](").skip(1) {
        links.push(rest.split(')').next().unwrap().to_owned());
    }
    links
}

/// The names that headings have in addresses: GitHub's, lower case, `-` for spaces, without other signs.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for heading in headings {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
        *before += 1;
    }
    anchors
}

#[test]
fn links_inside_of_the_repository_lead_somewhere() {
    let documents = documents();
    let mut broken = Vec::new();
    let mut seen = 0;
    for (path, text) in &documents {
        for link in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let to = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let Ok(to) = to.canonicalize() else {
                broken.push(format!("{}: {link}", path.display()));
                continue;
            };
            let to_root = root().canonicalize().unwrap();
            let inside = to.strip_prefix(&to_root).map(|inside| root().join(inside));
            let target = inside.ok().and_then(|inside| documents.get(&inside));
            if !anchor.is_empty() && !target.is_some_and(|text| anchors(text).contains(anchor)) {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
    assert!(documents.len() >= 12 && seen >= 40, "{} {seen}", documents.len());
}

#[test]
fn a_link_a_heading_and_what_stands_in_code_are_told_apart() {
    let text = "# A `b.c`: d\n\nSee [x](y.md#z).\n\n```\n[no](no.md)\n# no\n```\n\n# A `b.c`: d\n";
    assert_eq!(links(text), ["y.md#z"]);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-bc-d", "a-bc-d-1"]);
}

/// Paragraphs and items of lists, each as one text. Tables, headings and comments are none.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in prose(text) {
        let line = line.trim();
        let is_item = line.starts_with("- ")
            || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if line.is_empty() || is_item || line.starts_with(['#', '|', '<', '>']) {
            paragraphs.push(String::new());
        }
        if !line.is_empty() && !line.starts_with(['#', '|', '<']) {
            let last = paragraphs.last_mut().unwrap();
            last.push_str(line.trim_start_matches(['-', '>', ' ']));
            last.push(' ');
        }
    }
    paragraphs.retain(|paragraph| !paragraph.trim().is_empty());
    paragraphs
}

/// Sentences: up to a point, a mark of question or exclamation, or a colon at which a list or a block begins.
fn sentences(paragraph: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut rest = paragraph;
    while let Some(at) = [". ", "? ", "! "].iter().filter_map(|end| rest.find(end)).min() {
        let (sentence, after) = rest.split_at(at + 2);
        sentences.push(sentence);
        rest = after;
    }
    sentences.push(rest);
    sentences
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn paragraphs_and_sentences_that_a_stranger_reads_first_are_short() {
    let mut long = Vec::new();
    for name in READ_FIRST {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        let paragraphs = paragraphs(&text);
        assert!(paragraphs.len() > 15, "{name}: {}", paragraphs.len());
        for paragraph in &paragraphs {
            if words(paragraph) > PARAGRAPH_WORDS {
                long.push(format!("{name}: {} words: {paragraph}", words(paragraph)));
            }
            for sentence in sentences(paragraph).into_iter().filter(|one| words(one) > SENTENCE_WORDS) {
                long.push(format!("{name}: {} words: {sentence}", words(sentence)));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn sentences_items_and_tables_are_told_apart() {
    let found =
        paragraphs("# H\n\nOne two. Three\nfour?\n- five\n- six\n| a | b |\n```\ncode\n```\n1. seven\n");
    assert_eq!(found, ["One two. Three four? ", "five ", "six ", "1. seven "]);
    assert_eq!(sentences("One two. Three four? ").len(), 3);
    assert_eq!(words("One  two."), 2);
}
