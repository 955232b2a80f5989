//! Prints of a request: keyed hashes and sizes that tell two requests, system prompts or tool lists apart,
//! and nothing of their text.
//!
//! SipHash-1-3 with 128 bits: fast enough for megabytes, and without the operator's secret nobody can try
//! texts on it. It is a print for comparing, not a commitment.

use std::hash::Hasher as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::lean::small_map;
use crate::record::PromptShape;

/// Key of all prints of a gateway.
#[derive(Clone, Copy)]
pub struct PrintKey(u64, u64);

impl PrintKey {
    /// The key made of the operator's secret; `None` without one.
    pub fn of(secret: &[u8]) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        let mut hmac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        hmac.update(b"tollgate prints");
        let key = hmac.finalize().into_bytes();
        let half = |at: usize| Some(u64::from_le_bytes(key.get(at..at + 8)?.try_into().ok()?));
        Some(Self(half(0)?, half(8)?))
    }

    fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Which part of a prompt a text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The system prompt, where it stands apart.
    System,
    /// Tool definitions.
    Tools,
    /// The message under way.
    Message,
    /// A prompt that is no list of messages.
    Prompt,
}

/// The prints of one request, made as it streams.
pub struct Prints {
    key: PrintKey,
    body: SipHasher13,
    system: Sized,
    tools: Sized,
    message: Sized,
    role: Option<String>,
    by_role: Vec<(String, u64)>,
    /// Only system messages have come so far: the next may be one too, and is hashed.
    leads: bool,
}

/// A hash and how much is in it.
struct Sized {
    hasher: SipHasher13,
    bytes: u64,
}

impl Prints {
    /// Prints under this key.
    pub fn new(key: PrintKey) -> Self {
        let sized = || Sized { hasher: key.hasher(), bytes: 0 };
        Self {
            key,
            body: key.hasher(),
            system: sized(),
            tools: sized(),
            message: sized(),
            role: None,
            by_role: Vec::new(),
            leads: true,
        }
    }

    /// A piece of the body.
    pub fn body(&mut self, bytes: &[u8]) {
        self.body.write(bytes);
    }

    /// A piece of a part.
    pub fn text(&mut self, part: Part, piece: &[u8]) {
        match part {
            Part::System => self.system.add(piece),
            Part::Tools => self.tools.add(piece),
            Part::Message if self.leads => self.message.add(piece),
            Part::Message => self.message.bytes += piece.len() as u64,
            Part::Prompt => self.count("user", piece.len() as u64),
        }
    }

    /// The role of the message under way. One that no provider knows is text of the caller's, and kept as
    /// `other`.
    pub fn role(&mut self, role: Option<String>) {
        let known = |role: String| if ROLES.contains(&role.as_str()) { role } else { "other".to_owned() };
        self.role = role.map(known);
    }

    /// The message under way has ended.
    pub fn message_end(&mut self) {
        let role = self.role.take();
        let role = role.as_deref().unwrap_or("user");
        self.count(role, self.message.bytes);
        if self.leads && matches!(role, "system" | "developer") {
            self.system.hasher.write(&self.message.hasher.finish128().as_bytes());
            self.system.bytes += self.message.bytes;
        } else {
            self.leads = false;
        }
        self.message = Sized { hasher: self.key.hasher(), bytes: 0 };
    }

    fn count(&mut self, role: &str, bytes: u64) {
        if let Some((_, sum)) = self.by_role.iter_mut().find(|(known, _)| known == role) {
            *sum += bytes;
        } else if self.by_role.len() < ROLES_MAX {
            self.by_role.push((role.to_owned(), bytes));
        }
    }

    /// The shape of the prompt; `None` where none was seen.
    pub fn shape(&self) -> Option<PromptShape> {
        let shape = PromptShape {
            system_hash: self.system.print(),
            system_bytes: (self.system.bytes > 0).then_some(self.system.bytes),
            tools_hash: self.tools.print(),
            tools_bytes: (self.tools.bytes > 0).then_some(self.tools.bytes),
            bytes_by_role: small_map::map(self.by_role.iter().filter(|(_, bytes)| *bytes > 0).cloned()),
        };
        (shape != PromptShape::default()).then_some(shape)
    }

    /// The print of the whole body.
    pub fn request(&self) -> String {
        hexadecimal(&self.body)
    }
}

impl Sized {
    fn add(&mut self, piece: &[u8]) {
        self.hasher.write(piece);
        self.bytes += piece.len() as u64;
    }

    fn print(&self) -> Option<String> {
        (self.bytes > 0).then(|| hexadecimal(&self.hasher))
    }
}

impl std::fmt::Debug for Prints {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is nobody's to see.
        formatter.write_str("Prints")
    }
}

fn hexadecimal(hasher: &SipHasher13) -> String {
    let bytes = hasher.finish128().as_bytes();
    let digit = |value: u8| char::from(value + if value < 10 { b'0' } else { b'a' - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Roles of the providers' APIs (references of OpenAI, Anthropic, Google, Cohere and Mistral, read
/// 2026-11-25).
const ROLES: &[&str] = &["system", "developer", "user", "assistant", "model", "chatbot", "tool", "function"];
/// Roles that are told apart: those, and `other`.
const ROLES_MAX: usize = 9;
