//! A mail server that keeps what it is given, refuses for a while, or never answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A mail as it came.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// Addresses of the envelope.
    pub to: Vec<String>,
    /// Headers and body.
    pub data: String,
}

/// The server. It answers each receiver with `status`; 0 means that it takes the mail and never says so.
#[derive(Clone)]
pub(crate) struct Smtp {
    pub port: u16,
    pub status: Arc<AtomicU16>,
    /// How often a receiver was named.
    pub tried: Arc<AtomicUsize>,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl Smtp {
    pub(crate) fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            status: Arc::new(AtomicU16::new(status)),
            tried: Arc::default(),
            mails: Arc::default(),
        };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, stream) = (own.clone(), stream.unwrap());
                std::thread::spawn(move || own.serve(stream));
            }
        });
        server
    }

    /// Its channel, for a configuration.
    pub(crate) fn channel(&self, name: &str) -> String {
        format!(
            "[channels.{name}]\ntype = 'email'\nhost = '127.0.0.1'\nport = {}\nencryption = 'none'\n\
             from = 'Tollgate <tollgate@example.com>'\nto = ['ops@example.com']\n",
            self.port
        )
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    pub(crate) fn wait(&self, count: usize) -> Vec<Mail> {
        until(|| self.mails().len() >= count, "a mail");
        self.mails()
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
        let mut line =
            || Some(String::from_utf8(lines.next()?.ok()?).unwrap().trim_end_matches('\r').to_owned());
        stream.write_all(b"220 test\r\n").ok()?;
        let mut to = Vec::new();
        loop {
            let said = line()?;
            let verb = said.split([' ', ':']).next().unwrap().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250 test".to_owned(),
                "RCPT" => {
                    self.tried.fetch_add(1, Ordering::Relaxed);
                    to.push(said.split(['<', '>']).nth(1).unwrap().to_owned());
                    match self.status.load(Ordering::Relaxed) {
                        0 => "250 ok".to_owned(),
                        status => format!("{status} as you say"),
                    }
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").ok()?;
                    let mut data = String::new();
                    loop {
                        let part = line()?;
                        if part == "." {
                            break;
                        }
                        data.push_str(part.strip_prefix('.').unwrap_or(&part));
                        data.push('\n');
                    }
                    self.mails.lock().unwrap().push(Mail { to: std::mem::take(&mut to), data });
                    if self.status.load(Ordering::Relaxed) == 0 {
                        std::thread::sleep(Duration::from_secs(60));
                    }
                    "250 taken".to_owned()
                }
                "QUIT" => {
                    let _ = stream.write_all(b"221 bye\r\n");
                    return None;
                }
                _ => "250 ok".to_owned(),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
        }
    }
}

impl Mail {
    /// A header, with its further lines.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.data.split("\n\n").next().unwrap().replace("\n ", " ");
        let found = head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name} in {head}"))
    }

    /// The part of this content type, decoded.
    pub(crate) fn part(&self, content_type: &str) -> String {
        let boundary = self.data.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let parts: Vec<&str> = self.data.split(&format!("--{boundary}")).collect();
        let wanted = format!("Content-Type: {content_type}");
        let part = parts.iter().find(|part| part.contains(&wanted)).unwrap();
        let (head, body) = part.trim_start().split_once("\n\n").unwrap();
        // The last line end is the boundary's.
        let body = body.strip_suffix('\n').unwrap_or(body);
        match head.contains("quoted-printable") {
            true => unquoted(body),
            false => {
                assert!(head.contains("7bit"), "{head}");
                body.to_owned()
            }
        }
    }
}

/// Waits for something, half a minute at most.
pub(crate) fn until(is_so: impl Fn() -> bool, what: &str) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn unquoted(text: &str) -> String {
    let text = text.replace("=\n", "");
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'=' {
            let digits = std::str::from_utf8(&more[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &more[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}
