//! Multipart request bodies (`multipart/form-data`, RFC 7578): the fields that say what a call asks for, as
//! JSON.
//!
//! Transcriptions, image edits and uploads send their fields between files. What is of interest is written as
//! one JSON object, so that the same scanners read it as read every other request, and mean the same: a field
//! that stands twice is a key that stands twice. Files are passed over. The delimiter is the body's first
//! line, as every client sends it.
//!
//! Servers differ in what they make of a form that is not plain: of text before the first delimiter, folded
//! headers, bare line feeds, names in quotes within quotes. What such a form says to its provider cannot be
//! told, so that [`Multipart::is_plain`] is false for it.
//!
//! Holds the delimiter, one part's head and one field, each bounded; a longer one is not plain. A prompt is
//! read as it comes.

use memchr::{memchr, memchr2};

/// Most bytes of a delimiter or a field that are kept.
pub(super) const KEPT_BYTES_MAX: usize = 512;
/// Most bytes of a part's head, which has the name of a file in it.
const HEAD_BYTES_MAX: usize = 4_096;

/// Reads a multipart body in any pieces.
#[derive(Debug, Default)]
pub(super) struct Multipart {
    state: State,
    /// `\r\n` and the first line.
    delimiter: Vec<u8>,
    /// The delimiter that the content type names, with its dashes, where that is known.
    named: Option<Vec<u8>>,
    /// The head of a part, or the value of a field.
    kept: Vec<u8>,
    /// Bytes of the delimiter that match so far.
    matched: usize,
    /// The same of a delimiter behind a bare line feed or return.
    bare: usize,
    field: Field,
    begun: bool,
    /// Servers may read it in other ways.
    is_odd: bool,
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
    /// A body of this content type, which names its delimiter.
    pub(super) fn of(content_type: &str) -> Self {
        let named = only_parameter(content_type, "boundary").map(|name| [b"--", name.as_bytes()].concat());
        Self { is_odd: named.is_none(), named, ..Self::default() }
    }

    /// Whether every server reads the same in it.
    pub(super) const fn is_plain(&self) -> bool {
        !self.is_odd
    }

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
                State::End => self.is_odd |= !byte.is_ascii_whitespace(),
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
        self.is_odd |= self.delimiter.pop_if(|last| *last == b'\r').is_none();
        let line = self.delimiter.get(2..).unwrap_or_default();
        self.is_odd |= !line.starts_with(b"--") || self.named.as_deref().is_some_and(|named| named != line);
        // A first line that is too long delimits nothing.
        self.state = if byte == b'\n' { State::Head } else { State::End };
        out(b"{");
    }

    /// `--` behind a delimiter ends the body; else its line ends before the next part.
    fn line(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        match (byte, self.matched) {
            (b'\n', last) => {
                self.is_odd |= last != AFTER_RETURN;
                self.state = State::Head;
            }
            (b'-', AFTER_DASH) => {
                self.state = State::End;
                out(b"}");
            }
            (b'-', 0) => self.matched = AFTER_DASH,
            (b'\r', 0) => self.matched = AFTER_RETURN,
            _ => {
                self.is_odd = true;
                self.matched = BEHIND_OTHERS;
            }
        }
        if self.state != State::Line {
            self.matched = 0;
        }
    }

    fn head(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        let is_empty_line = |kept: &[u8]| matches!(kept, [] | [b'\r'] | [.., b'\n'] | [.., b'\n', b'\r']);
        if byte != b'\n' || !is_empty_line(&self.kept) {
            if byte == b'\n' && self.kept.len() >= HEAD_BYTES_MAX {
                // So that an empty line is found behind what is too long to be kept.
                self.kept.pop();
            }
            if self.kept.len() < HEAD_BYTES_MAX || byte == b'\n' {
                self.kept.push(byte);
            }
            return;
        }
        let head = std::mem::take(&mut self.kept);
        let field = if head.len() < HEAD_BYTES_MAX { field(&head) } else { None };
        self.is_odd |= field.is_none();
        self.field = field.unwrap_or_default();
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
        let delimiter = std::mem::take(&mut self.delimiter);
        self.look_for_bare(&delimiter, bytes);
        self.delimiter = delimiter;
        self.keep(bytes, out);
    }

    fn keep(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8])) {
        match self.field {
            Field::Other | Field::Picture => {}
            Field::Text(_) | Field::Value(_) => {
                let room = KEPT_BYTES_MAX.saturating_sub(self.kept.len());
                self.is_odd |= bytes.len() > room;
                self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
            Field::Prompt => escaped(bytes, out),
            Field::File => {
                let room = FILE_HEAD_BYTES.saturating_sub(self.file.len());
                self.file.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
        }
    }

    /// A delimiter behind a bare line feed or a bare return is one to some servers.
    fn look_for_bare(&mut self, delimiter: &[u8], mut bytes: &[u8]) {
        let dashes = delimiter.get(2..).unwrap_or_default();
        while !bytes.is_empty() && !self.is_odd {
            if self.bare == 0 {
                let Some(at) = memchr2(b'\n', b'\r', bytes) else { return };
                bytes = bytes.get(at + 1..).unwrap_or_default();
                self.bare = 1;
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.bare = match byte {
                b'\n' | b'\r' => 1,
                byte if dashes.get(self.bare - 1) == Some(byte) => self.bare + 1,
                _ => 0,
            };
            self.is_odd |= self.bare > dashes.len();
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
                (self.matched, self.bare) = (0, 0);
                self.finish(out);
                self.state = State::Line;
            }
            return;
        }
        // A return stands nowhere in a delimiter but at its start, so nothing that matched can be a part of
        // another.
        let matched = std::mem::take(&mut self.matched);
        let delimiter = std::mem::take(&mut self.delimiter);
        let passed = delimiter.get(..matched).unwrap_or_default();
        self.look_for_bare(&delimiter, passed);
        self.keep(passed, out);
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
                let is_number = !kept.is_empty() && kept.iter().all(u8::is_ascii_digit);
                let value: &[u8] = match kept.as_slice() {
                    b"true" | b"True" => b"true",
                    number if is_number => number,
                    b"" | b"false" | b"False" => b"false",
                    // Lenient servers read ` 10` and `10.0` as 10, and others refuse it.
                    _ => {
                        self.is_odd = true;
                        b"false"
                    }
                };
                out(value);
            }
        }
    }
}

/// What a part with this head is; `None` where servers may read it in other ways.
fn field(head: &[u8]) -> Option<Field> {
    let head = String::from_utf8_lossy(head);
    let mut disposition = None;
    for line in head.strip_suffix('\r')?.split_terminator("\r\n") {
        let (name, value) = line.split_once(':')?;
        if line.contains(['\r', '\n']) || name.is_empty() || name.contains(|byte: char| byte <= ' ') {
            return None;
        }
        if name.eq_ignore_ascii_case("content-disposition") && disposition.replace(value).is_some() {
            return None;
        }
        let is_as_it_stands =
            || ["7bit", "8bit", "binary"].iter().any(|known| value.trim_ascii().eq_ignore_ascii_case(known));
        if name.eq_ignore_ascii_case("content-transfer-encoding") && !is_as_it_stands() {
            return None;
        }
    }
    let disposition = disposition?;
    let is_form_data = disposition.split(';').next()?.trim_ascii().eq_ignore_ascii_case("form-data");
    let quotes = disposition.matches('"').count();
    if !is_form_data || disposition.contains("\\\"") || quotes % 2 != 0 {
        return None;
    }
    let name = only_parameter(disposition, "name")?;
    let is_file = parameters(disposition)
        .any(|(name, _)| name.eq_ignore_ascii_case("filename") || name.eq_ignore_ascii_case("filename*"));
    let name = name.trim_end_matches("[]");
    let known = NAMES.iter().position(|known| *known == name);
    match (name, known, is_file) {
        ("image", _, true) => Some(Field::Picture),
        ("prompt", _, false) => Some(Field::Prompt),
        // A name for a file makes a file of it at some, whatever that name is.
        ("prompt", _, true) | (_, Some(_), true) | ("_charset_", ..) => None,
        (_, Some(index), false) if index < TEXTS => Some(Field::Text(index)),
        (_, Some(index), false) => Some(Field::Value(index)),
        (_, None, false) => Some(Field::Other),
        (_, None, true) => Some(Field::File),
    }
}

/// The value of a parameter that stands in a header once, and has nothing escaped in it.
fn only_parameter<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    let mut found = None;
    for (name, value) in parameters(header) {
        let bare = name.split('*').next().unwrap_or_default();
        if bare.trim_ascii().eq_ignore_ascii_case(wanted) {
            let is_plain = bare.len() == name.len() && bare.trim_ascii().len() == bare.len();
            if !is_plain || found.is_some() {
                return None;
            }
            found = Some(value?);
        }
    }
    found.filter(|value| !value.is_empty())
}

/// The parameters of a header, as they stand between semicolons that are not in quotes. A value is without
/// its quotes, and `None` where it has others or a backslash in it.
fn parameters(header: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut is_quoted = false;
    let is_between = move |byte: char| {
        is_quoted ^= byte == '"';
        byte == ';' && !is_quoted
    };
    header.split(is_between).skip(1).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.trim_ascii();
        let within = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = within.unwrap_or(value);
        (name.trim_ascii_start(), (!value.contains(['"', '\\'])).then_some(value))
    })
}

/// How far a delimiter's line has been read, where it has any bytes.
const AFTER_DASH: usize = 1;
const AFTER_RETURN: usize = 2;
const BEHIND_OTHERS: usize = 3;
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

    /// What is read of a body, and whether all servers read the same, however it is cut.
    fn form(body: &str) -> (Value, bool) {
        let is_plain = |size: usize| {
            let mut form = Multipart::of("multipart/form-data; boundary=x-1");
            body.as_bytes().chunks(size).for_each(|piece| form.feed(piece, &mut |_| {}));
            form.is_plain()
        };
        for size in [1, 2, 7] {
            assert_eq!(is_plain(size), is_plain(body.len()), "{body:?} in pieces of {size}");
        }
        (read(body.as_bytes()), is_plain(body.len()))
    }

    const END: &str = "--x-1--\r\n";

    #[test]
    fn what_clients_send_is_plain() {
        let long_name = format!(r#"name="file"; filename="{}.wav""#, "%E3%81%82".repeat(120));
        for (head, value) in [
            (r#"name="n""#, "3"),
            ("name=n", "3"),
            ("name=\"n\"\r\nContent-Type: text/plain; charset=utf-8", "3"),
            ("name=\"n\"\r\nContent-Transfer-Encoding: 8bit", "3"),
            ("name=\"file\"; filename=\"a;b.wav\"; filename*=UTF-8''a%3Bb.wav", "\r\n\n\r--x-\r--x\n--"),
            (r#"name="file"; filename="C:\\tmp\\a.wav""#, "RIFF"),
            (long_name.as_str(), "RIFF"),
            (r#"name="temperature""#, "0.5"),
            (r#"name="n""#, ""),
        ] {
            assert!(form(&[part(head, value), END.to_owned()].concat()).1, "{head}");
        }
        for kind in
            ["multipart/form-data; boundary=\"x-1\"", "multipart/form-data; charset=utf-8; Boundary=x-1"]
        {
            let mut form = Multipart::of(kind);
            form.feed(part("name=n", "3").as_bytes(), &mut |_| {});
            assert!(form.is_plain(), "{kind}");
        }
    }

    #[test]
    fn what_servers_may_read_in_other_ways_is_not_plain() {
        let pad = format!("name=\"n\"\r\nX-Pad: {}", "p".repeat(HEAD_BYTES_MAX));
        for (head, value) in [
            (pad.as_str(), "10"),
            (r#"x="; name=junk"; name="n"; name="m""#, "10"),
            ("name*=utf-8''n", "10"),
            ("name*0=n", "10"),
            (r#"name="\n""#, "10"),
            (r#"filename="a\"; name="n""#, "10"),
            (r#"name="n"; filename="""#, "10"),
            (r#"name="model"; filename="m""#, "dear"),
            ("name=\r\n \"n\"", "10"),
            ("name=\"n\"\r\nContent-Transfer-Encoding: base64", "MTA="),
            ("name=\"n\"\r\nContent-Disposition: form-data; name=\"m\"", "10"),
            ("name=\"_charset_\"", "utf-16"),
            (r#"name="n""#, " 10 "),
            (r#"name="n""#, "+10"),
            (r#"name="n""#, "10.0"),
            (r#"name="file"; filename="f""#, "a\n--x-1\r\nContent-Disposition: form-data; name=n\r\n\r\n9"),
            (r#"name="file"; filename="f""#, "a\r--x-1"),
        ] {
            assert!(!form(&[part(head, value), END.to_owned()].concat()).1, "{head} {value}");
        }
        let plain = part("name=n", "3");
        let others = [
            plain.replace("Disposition:", "Disposition :"),
            plain.replace("form-data", "attachment"),
            plain.replace("\r\nContent", "\nContent"),
            plain.replace("--x-1\r\n", "--x-1 \r\n"),
            format!("--a\r\n\r\n--a--\r\n{plain}"),
            format!("{{\"model\":\"mini\"}}\r\n{plain}"),
            format!("\r\n{plain}"),
            format!("--x-1\r\n\r\nno head\r\n{plain}"),
            format!("{plain}--x-1--{plain}"),
            format!("{plain}--x-12\r\n"),
        ];
        for body in others {
            let mut form = Multipart::of("multipart/form-data; boundary=x-1");
            form.feed(body.as_bytes(), &mut |_| {});
            assert!(!form.is_plain(), "{body:?}");
        }
        for kind in
            ["multipart/form-data", "multipart/form-data; boundary=a; boundary=x-1", "m; boundary*=x-1"]
        {
            assert!(!Multipart::of(kind).is_plain(), "{kind}");
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
