//! Multipart request bodies (`multipart/form-data`, RFC 7578): the fields that say what a call asks for, as
//! JSON.
//!
//! Transcriptions, image edits and uploads send their fields between files. What is of interest is written as
//! one JSON object, so that the same scanners read it as read every other request, and mean the same: a field
//! that stands twice is a key that stands twice. Files are passed over. The delimiter is the body's first
//! line, as every client sends it.
//!
//! Holds the delimiter, one part's head and one field, each of [`KEPT_BYTES_MAX`] at most; a longer head is
//! no field that is read, a longer field is cut there, but for a prompt, which is read as it comes.

use memchr::memchr;

/// Most bytes of a delimiter, a part's head or a field that are kept.
pub(super) const KEPT_BYTES_MAX: usize = 512;

/// Reads a multipart body in any pieces.
#[derive(Debug, Default)]
pub(super) struct Multipart {
    state: State,
    /// `\r\n` and the first line.
    delimiter: Vec<u8>,
    /// The head of a part, or the value of a field.
    kept: Vec<u8>,
    /// Bytes of the delimiter that match so far.
    matched: usize,
    field: Field,
    begun: bool,
    /// How the last file begins that is no picture.
    file: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// In the first line.
    #[default]
    Delimiter,
    /// Behind a delimiter, in its line.
    Line,
    /// In the head of a part.
    Head,
    /// In its contents.
    Contents,
    /// Behind the last delimiter.
    End,
}

/// What a part is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Field {
    /// Nothing that is read.
    #[default]
    Other,
    /// A name, by its index in [`NAMES`].
    Text(usize),
    /// A number or a truth value.
    Value(usize),
    /// The prompt: written as it comes.
    Prompt,
    /// A picture.
    Picture,
    /// Another file.
    File,
}

impl Multipart {
    /// Reads a piece; JSON goes to `out`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], out: &mut impl FnMut(&[u8])) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.state == State::Contents && self.matched == 0 && byte != b'\r' {
                // No delimiter begins before the next return.
                let end = memchr(b'\r', bytes).unwrap_or(bytes.len());
                let (plain, after) = bytes.split_at(end);
                self.contents(plain, out);
                bytes = after;
                continue;
            }
            bytes = rest;
            match self.state {
                State::Delimiter => self.first_line(byte, out),
                State::Line => self.line(byte, out),
                State::Head => self.head(byte, out),
                State::Contents => self.delimiter(byte, out),
                State::End => {}
            }
        }
    }

    fn first_line(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        if byte != b'\n' && self.delimiter.len() < KEPT_BYTES_MAX {
            if self.delimiter.is_empty() {
                self.delimiter.extend_from_slice(b"\r\n");
            }
            self.delimiter.push(byte);
            return;
        }
        if self.delimiter.last() == Some(&b'\r') {
            self.delimiter.pop();
        }
        // A first line that is too long delimits nothing.
        self.state = if byte == b'\n' { State::Head } else { State::End };
        out(b"{");
    }

    /// `--` behind a delimiter ends the body; else its line ends before the next part.
    fn line(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        match byte {
            b'\n' => self.state = State::Head,
            b'-' if self.matched == 1 => {
                self.state = State::End;
                out(b"}");
            }
            b'-' => self.matched = 1,
            _ => self.matched = 2,
        }
        if self.state != State::Line {
            self.matched = 0;
        }
    }

    fn head(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        let is_end = byte == b'\n' && (self.kept.is_empty() || self.kept.ends_with(b"\n"));
        if !is_end {
            // Returns are left out, so that an empty line is two line feeds.
            if byte == b'\n' && self.kept.len() == KEPT_BYTES_MAX {
                self.kept.pop();
            }
            if byte != b'\r' && self.kept.len() < KEPT_BYTES_MAX {
                self.kept.push(byte);
            }
            return;
        }
        self.field = field(&self.kept);
        self.kept.clear();
        self.state = State::Contents;
        self.begin(out);
    }

    /// Writes what stands before the value of a field.
    fn begin(&mut self, out: &mut impl FnMut(&[u8])) {
        let name = match self.field {
            Field::Other => return,
            Field::File => return self.file.clear(),
            Field::Text(index) | Field::Value(index) => NAMES.get(index).copied().unwrap_or_default(),
            Field::Prompt => "prompt",
            Field::Picture => "images",
        };
        let comma = if std::mem::replace(&mut self.begun, true) { "," } else { "" };
        let open = match self.field {
            Field::Picture => "[0]",
            Field::Value(_) => "",
            _ => "\"",
        };
        for part in [comma, "\"", name, "\":", open] {
            out(part.as_bytes());
        }
    }

    fn contents(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8])) {
        match self.field {
            Field::Other | Field::Picture => {}
            Field::Text(_) | Field::Value(_) => {
                let room = KEPT_BYTES_MAX.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
            Field::Prompt => escaped(bytes, out),
            Field::File => {
                let room = FILE_HEAD_BYTES.saturating_sub(self.file.len());
                self.file.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
        }
    }

    /// Bytes of sound for a millisecond of it, by how its file begins: what WAV says itself, and of others
    /// the least that is usual for speech. Sources: the formats' first bytes (RFC 9639, RFC 3533, ISO/IEC
    /// 14496-12, ISO/IEC 11172-3, RFC 8794); the rates are rules of thumb.
    pub(super) fn sound_bytes_per_ms(&self) -> u64 {
        let file = self.file.as_slice();
        if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WAVE") {
            let rate = file
                .get(28..32)
                .and_then(|rate| <[u8; 4]>::try_from(rate).ok())
                .map_or(0, u32::from_le_bytes);
            return u64::from(rate / 1_000).clamp(1, WAV_BYTES_PER_MS_MAX);
        }
        let is_mp3 = file.starts_with(b"ID3") || matches!(file, [0xff, second, ..] if second & 0xe0 == 0xe0);
        match file {
            _ if file.starts_with(b"fLaC") => 16,
            _ if is_mp3 || file.get(4..8) == Some(b"ftyp") => 4,
            _ => 2,
        }
    }

    fn delimiter(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        if self.delimiter.get(self.matched) == Some(&byte) {
            self.matched += 1;
            if self.matched == self.delimiter.len() {
                self.matched = 0;
                self.finish(out);
                self.state = State::Line;
            }
            return;
        }
        // A return stands nowhere in a delimiter but at its start, so nothing that matched can be a part of
        // another.
        let matched = std::mem::take(&mut self.matched);
        let delimiter = std::mem::take(&mut self.delimiter);
        self.contents(delimiter.get(..matched).unwrap_or_default(), out);
        self.delimiter = delimiter;
        if byte == b'\r' {
            self.matched = 1;
        } else {
            self.contents(&[byte], out);
        }
    }

    /// Writes the value of a field that has ended.
    fn finish(&mut self, out: &mut impl FnMut(&[u8])) {
        let kept = std::mem::take(&mut self.kept);
        match self.field {
            Field::Other | Field::Picture | Field::File => {}
            Field::Prompt => out(b"\""),
            Field::Text(_) => {
                escaped(&kept, out);
                out(b"\"");
            }
            Field::Value(_) => {
                let is_plain = !kept.is_empty() && kept.iter().all(u8::is_ascii_alphanumeric);
                let value: &[u8] = match kept.as_slice() {
                    b"true" | b"True" => b"true",
                    number if is_plain && number.iter().all(u8::is_ascii_digit) => number,
                    _ => b"false",
                };
                out(value);
            }
        }
    }
}

/// What a part with this head is.
fn field(head: &[u8]) -> Field {
    let head = String::from_utf8_lossy(head);
    let says =
        |line: &&str| line.get(..20).is_some_and(|start| start.eq_ignore_ascii_case("content-disposition:"));
    let Some(disposition) = head.lines().find(says) else { return Field::Other };
    let parameter = |wanted: &str| {
        disposition.split(';').skip(1).find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    };
    let name = parameter("name").unwrap_or_default();
    let is_file = parameter("filename").is_some() || parameter("filename*").is_some();
    match name.trim_end_matches("[]") {
        "image" if is_file => Field::Picture,
        "prompt" if !is_file => Field::Prompt,
        name if !is_file => match NAMES.iter().position(|known| *known == name) {
            Some(index) if index < TEXTS => Field::Text(index),
            Some(index) => Field::Value(index),
            None => Field::Other,
        },
        _ => Field::File,
    }
}

const FILE_HEAD_BYTES: usize = 32;
/// Eight channels of 192 kHz and 32 bit: no file has more.
const WAV_BYTES_PER_MS_MAX: u64 = 6_144;

/// Bytes as the inside of a JSON string.
fn escaped(bytes: &[u8], out: &mut impl FnMut(&[u8])) {
    for part in bytes.split_inclusive(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let Some((last, plain)) = part.split_last() else { continue };
        match last {
            b'"' => [plain, b"\\\""].iter().for_each(|part| out(part)),
            b'\\' => [plain, b"\\\\"].iter().for_each(|part| out(part)),
            0..=0x1f => [plain, b"\\n"].iter().for_each(|part| out(part)),
            _ => out(part),
        }
    }
}

/// Fields that are read (OpenAI's and Mistral's references of transcription, translation, image edits and
/// files, read 2026-11-25): names first, then numbers and truth values.
const NAMES: [&str; 11] = [
    "model",
    "service_tier",
    "response_format",
    "size",
    "quality",
    "background",
    // What Groq and Mistral fetch.
    "url",
    "file_url",
    "file_id",
    "stream",
    "n",
];
/// How many of them are names.
const TEXTS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: &[u8]) -> Value {
        let mut whole = Vec::new();
        Multipart::default().feed(body, &mut |piece| whole.extend_from_slice(piece));
        for at in 0..=body.len() {
            let (mut reader, mut json) = (Multipart::default(), Vec::new());
            let (head, tail) = body.split_at(at);
            for piece in [head, tail] {
                reader.feed(piece, &mut |piece| json.extend_from_slice(piece));
            }
            assert_eq!(json, whole, "split at byte {at}");
        }
        serde_json::from_slice(&whole).unwrap()
    }

    fn part(head: &str, value: &str) -> String {
        format!("--x-1\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
    }

    #[test]
    fn fields_are_found_between_files() {
        let body = [
            part(r#"name="file"; filename="a.wav""#, "RIFF\r\n--x-\r\r\n--x\r\n\u{0}model"),
            part("name=\"model\"\r\nContent-Type: text/plain", "gpt-4o-transcribe"),
            part(r#"name="stream""#, "true"),
            part("name=n", "2"),
            part(r#"name="prompt""#, "say \"hi\"\\\r\nand é"),
            part(r#"name="image[]"; filename="a.png""#, "PNG"),
            part(r#"name="temperature""#, "0.5"),
            "--x-1--\r\n".to_owned(),
        ]
        .concat();
        assert_eq!(
            read(body.as_bytes()),
            json!({"model": "gpt-4o-transcribe", "stream": true, "n": 2, "images": [0],
                "prompt": "say \"hi\"\\\n\nand é"})
        );
    }

    #[test]
    fn a_files_beginning_says_how_dense_its_sound_is() {
        let wav = |rate: u32| [&b"RIFF1234WAVEfmt 123412341234"[..], &rate.to_le_bytes(), b"more"].concat();
        for (file, expected) in [
            (wav(32_000), 32),
            (wav(0), 1),
            (wav(u32::MAX), WAV_BYTES_PER_MS_MAX),
            (b"RIFF1234WAVE".to_vec(), 1),
            (b"fLaC".to_vec(), 16),
            (b"ID3".to_vec(), 4),
            (b"\xff\xfb\x90".to_vec(), 4),
            (b"1234ftypM4A".to_vec(), 4),
            (b"OggS".to_vec(), 2),
            (Vec::new(), 2),
        ] {
            let head: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
            let body = [head, &file, b"\r\n--x--\r\n"].concat();
            for size in [1, 5, body.len()] {
                let mut form = Multipart::default();
                body.chunks(size).for_each(|piece| form.feed(piece, &mut |_| {}));
                assert_eq!(form.sound_bytes_per_ms(), expected, "{file:?}");
            }
        }
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for body in
            ["--x\r\n\r\nno head\r\n--x--", "--x\n\nbare line feeds\r\n--x--", "--x\r\nX: y\r\n\r\n\r\n--x--"]
        {
            assert_eq!(read(body.as_bytes()), json!({}), "{body:?}");
        }
        let long = format!("--x\r\n{}: y\r\n\r\nv\r\n--x--", "h".repeat(2 * KEPT_BYTES_MAX));
        assert_eq!(read(long.as_bytes()), json!({}));
        let mut out = Vec::new();
        let endless = "-".repeat(4 * KEPT_BYTES_MAX);
        Multipart::default().feed(endless.as_bytes(), &mut |piece| out.extend_from_slice(piece));
        assert_eq!(out, b"{");
    }
}
