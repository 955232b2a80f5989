//! How a request's body comes, by its headers, and whether it can be read so.

use super::RequestMeter;

/// What headers say of a body.
#[derive(Debug)]
pub struct Content {
    /// It is JSON, as nothing says otherwise.
    pub is_json: bool,
    /// It is encoded, such as compressed.
    pub is_encoded: bool,
    /// The content type of a form.
    form: Vec<u8>,
    has_type: bool,
    /// Two content types: some servers take the first, some the last.
    is_told_twice: bool,
}

impl Default for Content {
    fn default() -> Self {
        Self { is_json: true, is_encoded: false, form: Vec::new(), has_type: false, is_told_twice: false }
    }
}

impl Content {
    /// Reads a `content-type`.
    pub fn of_type(&mut self, value: &[u8]) {
        let is_form = contains(value.get(..FORM.len()).unwrap_or_default(), FORM);
        self.is_told_twice |= std::mem::replace(&mut self.has_type, true);
        self.is_json = !is_form && contains(value, b"json");
        self.form = if is_form { value.to_vec() } else { Vec::new() };
    }

    /// Reads a `content-encoding`.
    pub fn encoding(&mut self, value: &[u8]) {
        self.is_encoded = value != b"identity";
    }

    /// Says to who reads the body how it comes. To be said before the first piece.
    pub fn tell(&self, request: &mut RequestMeter) {
        if !self.form.is_empty() {
            request.form(&self.form);
        }
        if self.is_encoded || self.is_told_twice || !self.is_json && self.form.is_empty() {
            request.unread();
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// The content type of forms.
const FORM: &[u8] = b"multipart/form-data";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_where_its_headers_say_json_or_a_form_once_and_nothing_else() {
        for (types, encoding, is_read) in [
            (&[][..], None, true),
            (&["application/json"], None, true),
            (&["Application/JSON; charset=utf-8"], Some("identity"), true),
            (&["multipart/form-data; boundary=b"], None, true),
            (&["text/plain"], None, false),
            (&["application/json", "application/json"], None, false),
            (&["application/json"], Some("gzip"), false),
        ] {
            let mut content = Content::default();
            types.iter().for_each(|value| content.of_type(value.as_bytes()));
            encoding.into_iter().for_each(|value: &str| content.encoding(value.as_bytes()));
            let mut request = RequestMeter::default();
            content.tell(&mut request);
            assert_eq!(!request.is_unread(), is_read, "{types:?} {encoding:?}");
        }
    }
}
