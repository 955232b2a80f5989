//! A way to the collector that loses answers, or is slow: the request arrives, what it is answered does not,
//! or late.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tollgate_simulator::Random;

use crate::http::local;

/// A proxy that passes everything on, loses a part of the answers and delays the others. Dropping it ends it.
#[derive(Debug)]
pub struct Lossy {
    address: SocketAddr,
    lost: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Lossy {
    /// Listens on a free port and passes on to `to`; of a hundred answers `percent` are lost, with their
    /// connection; the others come `late` by so much.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(to: SocketAddr, percent: u64, late: Duration) -> Result<Self> {
        let listener = TcpListener::bind(local(0))?;
        let address = listener.local_addr()?;
        let (lost, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let this = Self { address, lost: Arc::clone(&lost), ended: Arc::clone(&ended) };
        std::thread::spawn(move || {
            for (number, caller) in (0_u64..).zip(listener.incoming()) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(caller), Ok(server)) = (caller, TcpStream::connect(to)) else { continue };
                let lost = Arc::clone(&lost);
                std::thread::spawn(move || {
                    let mut random = Random::named(number, "lossy");
                    let is_lost = || random.chance(percent);
                    let _ = pass(&caller, &server, is_lost, late, &lost);
                    let _ = (caller.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                });
            }
        });
        Ok(this)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Its last wait ends with this.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(
    caller: &TcpStream,
    server: &TcpStream,
    mut is_lost: impl FnMut() -> bool,
    late: Duration,
    lost: &AtomicU64,
) -> Result<()> {
    let (mut from, mut to) = (caller.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut server, mut caller) = (server.try_clone()?, caller.try_clone()?);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = server.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.starts_with(b"HTTP/1.1 200") {
            if is_lost() {
                lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            std::thread::sleep(late);
        }
        caller.write_all(bytes)?;
    }
}
