//! Websocket frames (RFC 6455), as far as a realtime session needs them: text messages, fragments, masks.

/// A text message as frames of at most `piece_max` bytes, masked where a client sends it.
pub fn frames(text: &str, piece_max: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::new();
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece_max.max(1)).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        let last = if index + 1 == pieces.len() { FINAL } else { 0 };
        out.push(last | opcode);
        let masked = if mask.is_some() { MASKED } else { 0 };
        match piece.len() {
            length @ 0..126 => out.push(masked | u8::try_from(length).unwrap_or(0)),
            length => {
                out.push(masked | 126);
                out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        out.extend(mask.into_iter().flatten());
        let key = mask.unwrap_or_default();
        out.extend(piece.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    out
}

/// Takes whole text messages out of what has been read so far.
#[derive(Debug, Default)]
pub struct Messages {
    read: Vec<u8>,
    text: Vec<u8>,
    pings: usize,
}

impl Messages {
    /// Bytes of the connection.
    pub fn read(&mut self, bytes: &[u8]) {
        self.read.extend_from_slice(bytes);
    }

    /// Pings that nobody has answered yet.
    pub fn take_pings(&mut self) -> usize {
        std::mem::take(&mut self.pings)
    }

    /// The next whole text message.
    pub fn take_text(&mut self) -> Option<String> {
        loop {
            let (first, second) = (*self.read.first()?, *self.read.get(1)?);
            let (length, mut at) = match second & 127 {
                126 => (usize::from(u16::from_be_bytes(self.read.get(2..4)?.try_into().ok()?)), 4),
                127 => return None, // nobody here sends so much
                short => (usize::from(short), 2),
            };
            let mut key = [0; 4];
            if second & MASKED != 0 {
                key = self.read.get(at..at + 4)?.try_into().ok()?;
                at += 4;
            }
            let payload = self.read.get(at..at + length)?;
            let plain: Vec<u8> =
                payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            self.read.drain(..at + length);
            self.pings += usize::from(first & 15 == PING);
            if matches!(first & 15, TEXT | CONTINUATION) {
                self.text.extend(plain);
                if first & FINAL != 0 {
                    return String::from_utf8(std::mem::take(&mut self.text)).ok();
                }
            }
        }
    }
}

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const PING: u8 = 9;
/// What a server answers to a ping without a payload.
pub const PONG: [u8; 2] = [0x8A, 0];
