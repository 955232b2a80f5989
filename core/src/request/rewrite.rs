//! A member put into a request's JSON body; everything else in it stays byte for byte.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The body in which the first of these `keys` that is there has this value, or the first of all where none
/// is: in the object under one of the `outer` keys, in the same way, or at the top where there are none. What
/// stood there before is no longer in it, so no key is there twice. `None` where the body is no JSON object.
pub(super) fn put(body: &[u8], outer: &[&str], keys: &[&str], value: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let top = members(text)?;
    let Some(first) = outer.first() else { return put_into(text, text, keys, value) };
    let inside = outer.iter().find_map(|key| top.get(*key)).map(|inside| inside.get());
    match inside.filter(|inside| members(inside).is_some()) {
        Some(inside) => put_into(text, inside, keys, value),
        None => put_into(text, text, outer, &format!("{{\"{}\":{value}}}", keys.first().unwrap_or(first))),
    }
}

/// The members of an object; `None` for anything else.
pub(crate) fn members(json: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_slice(json.as_bytes()).ok()
}

/// A text without the member of an object whose value is `value`, a slice of the text; all else stays as it
/// is.
pub(crate) fn without(text: &str, value: &str) -> Option<String> {
    let at = offset(text, value)?;
    let before = text.get(..at)?.trim_end().strip_suffix(':')?.trim_end().strip_suffix('"')?;
    // No key of a member that is taken out has a quote in it.
    let before = before.get(..before.rfind('"')?)?;
    let after = text.get(at + value.len()..)?;
    if let Some(rest) = after.trim_start().strip_prefix(',') {
        return Some([before, rest].concat());
    }
    let before = before.trim_end();
    Some([before.strip_suffix(',').unwrap_or(before), after].concat())
}

/// Puts a member into `object`, a part of `text`.
fn put_into(text: &str, object: &str, keys: &[&str], value: &str) -> Option<Vec<u8>> {
    let members = members(object)?;
    if let Some(old) = keys.iter().find_map(|key| members.get(*key)) {
        let at = offset(text, old.get())?;
        return Some([text.get(..at)?, value, text.get(at + old.get().len()..)?].concat().into_bytes());
    }
    let at = offset(text, object)? + object.find('{')? + 1;
    let comma = if members.is_empty() { "" } else { "," };
    let (before, after) = text.split_at_checked(at)?;
    Some([before, "\"", keys.first()?, "\":", value, comma, after].concat().into_bytes())
}

/// Where `part`, a slice of `text`, begins in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)
}
