//! The audit trail's chain: what an entry is, how its hash is made, and how a trail is checked.
//!
//! The hash of an entry is the SHA-256, in hexadecimal, of the compact JSON array
//! `[hash before, seq, time_ms, actor, action, subject, before, after]`, where `before` and `after` are JSON
//! texts as strings, or null. The hash before the first entry is empty. Whoever keeps a head (`seq:hash`)
//! elsewhere can tell later whether anything up to it was changed, removed, reordered or cut off.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What is to be written to the trail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// When, Unix milliseconds UTC.
    pub time_ms: u64,
    /// Who: the name of a token, or `collector` for what it does itself.
    pub actor: String,
    /// What was done, such as `month.close`.
    pub action: String,
    /// To what, such as `2026-10`.
    pub subject: String,
    /// What held before.
    pub before: Option<Value>,
    /// What holds after.
    pub after: Option<Value>,
}

/// An entry of the trail, as it is stored and exported.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Recorded {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// When, Unix milliseconds UTC.
    pub time_ms: u64,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What held before, byte for byte as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<RawValue>>,
    /// What holds after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<RawValue>>,
    /// Its hash.
    pub hash: String,
}

/// The end of a trail. Text form: `seq:hash`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// Number of the last entry; 0 for an empty trail.
    pub seq: u64,
    /// Its hash; empty for an empty trail.
    pub hash: String,
}

/// Text that is not a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a head such as `12:` followed by 64 hexadecimal digits")]
pub struct NotAHead;

/// Where a trail is not what was written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    /// A number is missing, twice or out of order.
    #[error("entry {expected} is missing or out of order: {found} stands in its place")]
    Order {
        /// The number due.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// An entry does not have the hash of its content and its predecessor.
    #[error("entry {0} was changed, or one before it was replaced")]
    Hash(u64),
    /// The trail ends before the head that was kept.
    #[error(
        "the trail ends at entry {found}, but the head that was kept is entry {kept}: its end was cut off"
    )]
    Cut {
        /// Number of the head.
        kept: u64,
        /// Number of the last entry.
        found: u64,
    },
    /// The entry of the kept head has another hash.
    #[error("entry {0} is not the one of the head that was kept: the trail was written anew")]
    OtherTrail(u64),
}

/// Checks a trail entry by entry.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    head: Head,
    kept: Option<Head>,
}

impl Verifier {
    /// A verifier that also expects this head in the trail.
    pub const fn new(kept: Option<Head>) -> Self {
        Self { head: Head { seq: 0, hash: String::new() }, kept }
    }

    /// The next entry.
    ///
    /// # Errors
    /// When it does not follow the one before. The check may go on all the same: with what follows this one,
    /// as it is.
    pub fn next(&mut self, entry: &Recorded) -> Result<(), Broken> {
        let expected = self.head.seq.saturating_add(1);
        let follows = entry.hash == entry.hash_after(&self.head.hash);
        self.head = Head { seq: entry.seq, hash: entry.hash.clone() };
        if entry.seq != expected {
            return Err(Broken::Order { expected, found: entry.seq });
        }
        if !follows {
            return Err(Broken::Hash(entry.seq));
        }
        if let Some(kept) = &self.kept
            && kept.seq == entry.seq
            && kept.hash != entry.hash
        {
            return Err(Broken::OtherTrail(entry.seq));
        }
        Ok(())
    }

    /// The head, when the trail ends here.
    ///
    /// # Errors
    /// When it ends before the head that was kept.
    pub fn finish(self) -> Result<Head, Broken> {
        match self.kept {
            Some(kept) if kept.seq > self.head.seq => {
                Err(Broken::Cut { kept: kept.seq, found: self.head.seq })
            }
            _ => Ok(self.head),
        }
    }
}

impl Recorded {
    /// The entry that follows a head.
    pub fn after(head: &Head, entry: &Entry) -> Self {
        let raw = |value: &Option<Value>| {
            value.as_ref().and_then(|value| RawValue::from_string(value.to_string()).ok())
        };
        let mut recorded = Self {
            seq: head.seq.saturating_add(1),
            time_ms: entry.time_ms,
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            before: raw(&entry.before),
            after: raw(&entry.after),
            hash: String::new(),
        };
        recorded.hash = recorded.hash_after(&head.hash);
        recorded
    }

    /// The hash that it has after the entry with this hash.
    fn hash_after(&self, hash_before: &str) -> String {
        let before = self.before.as_deref().map(RawValue::get);
        let after = self.after.as_deref().map(RawValue::get);
        let fields =
            (hash_before, self.seq, self.time_ms, &self.actor, &self.action, &self.subject, before, after);
        // Texts and numbers always have a JSON form.
        hex(digest(&SHA256, &serde_json::to_vec(&fields).unwrap_or_default()).as_ref())
    }
}

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (seq, hash) = text.trim().split_once(':').ok_or(NotAHead)?;
        let seq = seq.parse().map_err(|_| NotAHead)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash != (seq > 0) {
            return Err(NotAHead);
        }
        Ok(Self { seq, hash: hash.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trail(entries: u64) -> Vec<Recorded> {
        let mut head = Head::default();
        let mut trail = Vec::new();
        for n in 0..entries {
            let entry = Entry {
                time_ms: n,
                actor: "admin".into(),
                action: "budget.put".into(),
                subject: format!("b{n}"),
                before: (n % 2 == 0).then(|| json!({"limit_usd": n.to_string()})),
                after: Some(json!({"limit_usd": "5", "note": "a \"quoted\" note"})),
            };
            let recorded = Recorded::after(&head, &entry);
            head = Head { seq: recorded.seq, hash: recorded.hash.clone() };
            trail.push(recorded);
        }
        trail
    }

    fn verify(trail: &[Recorded], kept: Option<Head>) -> Result<Head, Broken> {
        let mut verifier = Verifier::new(kept);
        trail.iter().try_for_each(|entry| verifier.next(entry))?;
        verifier.finish()
    }

    #[test]
    fn a_trail_as_written_is_good_also_after_an_export() {
        let trail = trail(5);
        let lines: Vec<String> = trail.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        let read: Vec<Recorded> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let head = verify(&read, None).unwrap();
        assert_eq!(head.seq, 5);
        assert_eq!(verify(&trail, Some(head.to_string().parse().unwrap())), Ok(head));
    }

    #[test]
    fn a_changed_removed_reordered_or_cut_entry_is_found() {
        let good = trail(5);
        let head = verify(&good, None).unwrap();
        let mut changed = good.clone();
        changed[2].actor = "someone".into();
        assert_eq!(verify(&changed, None), Err(Broken::Hash(3)));
        let mut changed = good.clone();
        changed[1].after = None;
        assert_eq!(verify(&changed, None), Err(Broken::Hash(2)));
        let mut removed = good.clone();
        removed.remove(1);
        assert_eq!(verify(&removed, None), Err(Broken::Order { expected: 2, found: 3 }));
        let mut swapped = good.clone();
        swapped.swap(2, 3);
        assert_eq!(verify(&swapped, None), Err(Broken::Order { expected: 3, found: 4 }));
        assert_eq!(verify(&good[..4], Some(head.clone())), Err(Broken::Cut { kept: 5, found: 4 }));
        assert_eq!(verify(&good[..4], None).unwrap().seq, 4, "without a head a cut end cannot be seen");
        let mut other = trail(4);
        let last = Recorded::after(&Head { seq: 4, hash: other[3].hash.clone() }, &Entry::default());
        other.push(last);
        assert_eq!(verify(&other, Some(head)), Err(Broken::OtherTrail(5)));
    }

    #[test]
    fn one_broken_entry_does_not_hide_another() {
        let mut trail = trail(9);
        trail[2].actor = "someone".into();
        trail[6].after = None;
        trail.remove(4);
        let mut verifier = Verifier::new(None);
        let found: Vec<Broken> = trail.iter().filter_map(|entry| verifier.next(entry).err()).collect();
        assert_eq!(found, [Broken::Hash(3), Broken::Order { expected: 5, found: 6 }, Broken::Hash(7)]);
        assert_eq!(verifier.finish().unwrap().seq, 9);
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        let entry = Entry {
            time_ms: 7,
            actor: "a".into(),
            action: "b".into(),
            subject: "c".into(),
            ..Entry::default()
        };
        let text = br#"["",1,7,"a","b","c",null,null]"#;
        assert_eq!(Recorded::after(&Head::default(), &entry).hash, hex(digest(&SHA256, text).as_ref()));
    }

    #[test]
    fn what_is_not_a_head_is_refused() {
        let hash = "a".repeat(64);
        assert!(format!("3:{hash}").parse::<Head>().is_ok());
        for text in
            ["", "3", "3:", ":", &format!("x:{hash}"), &format!("3:{}", &hash[1..]), &format!("0:{hash}")]
        {
            assert_eq!(text.parse::<Head>(), Err(NotAHead), "{text}");
        }
        assert_eq!("0:".parse(), Ok(Head::default()));
    }
}
