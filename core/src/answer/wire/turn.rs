//! The turn of a session that is under way: what can be said of it should its caller hang up.

use crate::estimate::TextCounter;
use crate::usage::Usage;

/// What is known of a turn before its usage comes. Holds a few counters, whatever arrives.
#[derive(Debug, Default)]
pub struct OpenTurn {
    is_open: bool,
    /// What a model reads again that answers now: all that the turn before read and said.
    context: Usage,
    /// What came into the conversation since, as the provider repeats it.
    heard: TextCounter,
    /// Bytes of base64 of the audio that passed.
    audio_base64: u64,
    /// The audio has a byte for a sample, at 8 kHz, as telephones have it.
    is_telephone: bool,
    /// Of the event that is passing: what was heard, and the output with its text, should it be that.
    hearing: TextCounter,
    passing: Option<(TextCounter, usize)>,
}

impl OpenTurn {
    /// Whether a model is answering.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// A piece of text passed that came into the conversation.
    pub fn hear(&mut self, piece: &[u8]) {
        self.hearing.feed(piece);
    }

    /// A piece of text, or of audio, passed behind `output`.
    pub fn pass(&mut self, output: &TextCounter, piece: &[u8]) {
        let (text, bytes) = self.passing.get_or_insert_with(|| (output.clone(), 0));
        text.feed(piece);
        *bytes = bytes.saturating_add(piece.len());
    }

    /// So many bytes of audio passed, in base64.
    pub const fn speak(&mut self, base64_bytes: usize) {
        self.is_open = true;
        self.audio_base64 = self.audio_base64.saturating_add(base64_bytes as u64);
    }

    /// An event of this type has come whole (empty where its API names none) behind `output`. Gives what that
    /// is now, where the event brought more of it.
    pub fn event(&mut self, event: &str, output: &TextCounter) -> Option<TextCounter> {
        let hearing = std::mem::take(&mut self.hearing);
        let passing = self.passing.take();
        match event {
            // Instructions replace those before, which were read with what was said until now.
            "session.created" | "session.updated" if self.context.is_empty() => self.heard = hearing,
            // Items come again as they end, and with what the model itself says.
            _ if event.starts_with("session.") || event.starts_with("response.") => {}
            _ if event.ends_with("item.done") => {}
            _ => self.heard.add_since(&hearing, &TextCounter::default()),
        }
        self.is_open |= event == "response.created";
        let (passed, bytes) = passing?;
        if event.ends_with("audio.delta") {
            self.speak(bytes);
        } else if event.contains("input_audio_transcription") {
            self.heard.add_since(&passed, output);
        } else {
            self.is_open = true;
            return Some(passed);
        }
        None
    }

    /// The format of its audio, in the provider's words.
    pub fn set_format(&mut self, format: &str) {
        self.is_telephone = format.contains("pcmu") || format.contains("pcma") || format.contains("g711");
    }

    /// The turn ended and used this.
    pub fn end(&mut self, used: &Usage) {
        let both = |read: Option<u64>, said: Option<u64>| match (read, said) {
            (None, None) => None,
            (read, said) => Some(read.unwrap_or(0).saturating_add(said.unwrap_or(0))),
        };
        self.context = Usage {
            input_tokens: both(used.input_tokens, used.output_tokens),
            input_audio_tokens: both(used.input_audio_tokens, used.output_audio_tokens),
            cache_read_tokens: used.cache_read_tokens,
            cache_read_audio_tokens: used.cache_read_audio_tokens,
            cache_read_image_tokens: used.cache_read_image_tokens,
            input_image_tokens: used.input_image_tokens,
            ..Usage::default()
        };
        (self.is_open, self.audio_base64, self.heard) = (false, 0, TextCounter::default());
    }

    /// What a turn that broke off has used, as far as it can be seen: `text_tokens` of text were said in it.
    /// What the caller said aloud meanwhile is not in it.
    pub fn usage(&self, text_tokens: u64) -> Usage {
        let heard = self.heard.tokens();
        let read = self.context.input_tokens.unwrap_or(0).saturating_add(heard);
        let spoken = self.audio_tokens();
        Usage {
            input_tokens: (read > 0).then_some(read),
            output_tokens: Some(text_tokens.saturating_add(spoken)),
            output_audio_tokens: (spoken > 0).then_some(spoken),
            ..self.context.clone()
        }
    }

    /// OpenAI: a token for each 50 ms that the model speaks. Its guide was not read anew, and no recording
    /// proves the rate, as theirs have most of their audio cut out. Others are taken to be alike.
    const fn audio_tokens(&self) -> u64 {
        let bytes = self.audio_base64 / 4 * 3;
        let bytes_per_token = if self.is_telephone { 8_000 / 20 } else { 48_000 / 20 };
        bytes.div_ceil(bytes_per_token)
    }
}
