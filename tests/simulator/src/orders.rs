//! Orders: what a request tells the simulator to do, in its own headers.
//!
//! `x-sim-call: NAME` names the call in the ledger. `x-sim: key=value;key=value` changes the answer:
//!
//! | key | value |
//! | --- | --- |
//! | `fault` | see [`Fault`] |
//! | `input`, `cache_read`, `output`, `reasoning`, `cache_write_5m`, `cache_write_1h` | tokens to report |
//! | `answers` | model that an answer of OpenAI's names |
//! | `events` | content events of a stream |
//! | `greedy` | output is as long as the request allows, at most so many tokens; for each of its prompts and answers |
//! | `bill_usd` | whatever the path is, it is answered, and so many dollars are charged |
//! | `says_usd` | an answer of OpenAI's chat says that the call cost so many dollars, as routers do; what is charged stays |
//! | `early` | `1`: the answer begins as soon as the body so far is JSON, whether or not it has ended |
//! | `cut` | bytes of one write; `event` (one write for each event), `all` (one write), `random` |
//! | `delay_ms` | pause before each write |

use crate::random::Random;

/// What a request asks of the simulator.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Tokens of the whole prompt.
    pub input: Option<u64>,
    /// Tokens read from the cache.
    pub cache_read: Option<u64>,
    /// Tokens written to the cache for five minutes.
    pub cache_write_5m: Option<u64>,
    /// Tokens written to the cache for one hour.
    pub cache_write_1h: Option<u64>,
    /// Tokens of the whole answer.
    pub output: Option<u64>,
    /// Tokens of reasoning.
    pub reasoning: Option<u64>,
    /// Model that the answer names.
    pub answers: Option<String>,
    /// Content events of a stream.
    pub events: Option<u64>,
    /// How the body is written.
    pub cut: Option<Cut>,
    /// Output is as long as the request allows, and at most so many tokens.
    pub greedy: Option<u64>,
    /// Pico-dollars that this request costs, whatever its path is.
    pub bill_pico: Option<i128>,
    /// What the usage says that the call cost, in dollars.
    pub says_usd: Option<String>,
    /// The answer begins as soon as the body so far is JSON.
    pub early: bool,
    /// Pause before each write, milliseconds.
    pub delay_ms: u64,
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// `STATUS`: an error answer in the provider's shape.
    Status(u16),
    /// `reset`: the connection breaks in the middle of the body.
    Reset,
    /// `close`: the connection closes without an answer.
    Close,
    /// `hang`: no answer, until the caller gives up (at most a minute).
    Hang,
    /// `malformed`: the body stops in the middle, its framing says that it is complete.
    Malformed,
    /// `gzip`: the body is compressed although identity was asked for.
    Gzip,
    /// `content-type`: the content type is of something else.
    ContentType,
    /// `error-in-stream`: an error event in the middle of a stream, and no usage.
    ErrorInStream,
}

/// How a body is cut into writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// One write for each event.
    Event,
    /// One write.
    All,
    /// Writes of this many bytes.
    Bytes(usize),
    /// Writes of random sizes.
    Random,
}

impl Orders {
    /// Reads the header `x-sim`; what it does not know, it names.
    ///
    /// # Errors
    /// The part that is not an order.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut orders = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            orders.read(part).ok_or_else(|| format!("`{part}` is not an order"))?;
        }
        Ok(orders)
    }

    fn read(&mut self, part: &str) -> Option<()> {
        let (key, value) = part.split_once('=')?;
        let number = || value.parse::<u64>().ok();
        match key {
            "fault" => self.fault = Some(Fault::parse(value)?),
            "input" => self.input = Some(number()?),
            "cache_read" => self.cache_read = Some(number()?),
            "cache_write_5m" => self.cache_write_5m = Some(number()?),
            "cache_write_1h" => self.cache_write_1h = Some(number()?),
            "output" => self.output = Some(number()?),
            "reasoning" => self.reasoning = Some(number()?),
            "answers" => self.answers = Some(value.to_owned()),
            "events" => self.events = Some(number()?),
            "delay_ms" => self.delay_ms = number()?,
            "greedy" => self.greedy = Some(number()?),
            "bill_usd" => self.bill_pico = Some(pico(value)?),
            "says_usd" => self.says_usd = value.parse::<f64>().ok().map(|_| value.to_owned()),
            "early" => self.early = value == "1",
            "cut" => {
                self.cut = Some(match value {
                    "event" => Cut::Event,
                    "all" => Cut::All,
                    "random" => Cut::Random,
                    bytes => Cut::Bytes(bytes.parse().ok().filter(|bytes| *bytes > 0)?),
                });
            }
            _ => return None,
        }
        Some(())
    }
}

/// Pico-dollars of an amount such as `1.25`.
fn pico(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = (fraction.len() <= 12).then(|| format!("{fraction:0<12}"))?;
    format!("{whole}{fraction}").parse().ok()
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "reset" => Self::Reset,
            "close" => Self::Close,
            "hang" => Self::Hang,
            "malformed" => Self::Malformed,
            "gzip" => Self::Gzip,
            "content-type" => Self::ContentType,
            "error-in-stream" => Self::ErrorInStream,
            status => Self::Status(status.parse().ok().filter(|status| (400..600).contains(status))?),
        })
    }
}

impl Cut {
    /// These pieces, cut anew; the bytes stay the same.
    #[must_use]
    pub fn apply(self, pieces: Vec<Vec<u8>>, random: &mut Random) -> Vec<Vec<u8>> {
        if self == Self::Event {
            return pieces;
        }
        let body = pieces.concat();
        let mut rest = body.as_slice();
        let mut cut = Vec::new();
        while !rest.is_empty() {
            let size = match self {
                Self::Bytes(size) => size,
                Self::Random => usize::try_from(random.between(1, 400)).unwrap_or(1),
                Self::All | Self::Event => rest.len(),
            };
            let (head, tail) = rest.split_at(size.min(rest.len()));
            cut.push(head.to_vec());
            rest = tail;
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_mistakes_are_named() {
        let orders = Orders::parse("fault=529; input=7;cut=3;delay_ms=2").unwrap();
        assert_eq!(orders.fault, Some(Fault::Status(529)));
        assert_eq!((orders.input, orders.cut, orders.delay_ms), (Some(7), Some(Cut::Bytes(3)), 2));
        assert_eq!(Orders::parse("bill_usd=1.25").unwrap().bill_pico, Some(1_250_000_000_000));
        assert!(Orders::parse("fault=200").unwrap_err().contains("fault=200"));
        assert!(Orders::parse("colour=red").is_err());
    }

    #[test]
    fn every_cut_keeps_the_bytes() {
        let pieces = vec![b"one".to_vec(), b"two".to_vec(), vec![b'x'; 1000]];
        for cut in [Cut::Event, Cut::All, Cut::Bytes(1), Cut::Bytes(7), Cut::Random] {
            let after = cut.apply(pieces.clone(), &mut Random::new(1));
            assert_eq!(after.concat(), pieces.concat(), "{cut:?}");
        }
    }
}
