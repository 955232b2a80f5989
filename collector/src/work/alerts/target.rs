//! Where deliveries may connect to: not to this machine or its private networks, unless a channel allows it.
//!
//! The addresses that a name resolves to are what is checked and what is connected to, so a name that changes
//! between the two gains nothing. Redirects are not followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// A client for deliveries.
pub fn agent(allow_private: bool) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(WAITS))
        .build();
    Agent::with_parts(config, DefaultConnector::new(), Public { allow_private })
}

/// Resolves names to public addresses only.
#[derive(Debug)]
struct Public {
    allow_private: bool,
}

impl Resolver for Public {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        if self.allow_private {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() {
            return Err(ureq::Error::Other(Box::new(Private)));
        }
        Ok(public)
    }
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the target is in a private network; set `allow_private` for the channel if that is meant")]
pub struct Private;

/// Whether an address is one of the public internet (IANA's special-purpose registries, read 2026-11-25).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = v4.is_unspecified()
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a == 192 && b == 0 && c == 0);
            !special
        }
        // Global unicast is 2000::/3, and who is inside another address is reached through it.
        IpAddr::V6(v6) => is_global(v6) && embedded(v6).all(|inside| is_public(IpAddr::V4(inside))),
    }
}

/// Whether an address of version 6 is global as such, or one form of an address of version 4.
fn is_global(v6: Ipv6Addr) -> bool {
    let [first, second, third, ..] = v6.segments();
    let is_document = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    // 2001::/23 is for protocols; of it, 2001::/32 is Teredo's.
    let is_protocol = first == 0x2001 && (0x0001..0x0200).contains(&second);
    let is_translated = first == 0x64 && second == 0xff9b && third == 0;
    v6.to_ipv4_mapped().is_some()
        || is_translated
        || (first & 0xe000 == 0x2000 && !is_document && !is_protocol)
}

/// The addresses of version 4 in one of version 6: mapped (::ffff:0:0/96), translated (64:ff9b::/96, RFC
/// 6052), tunnelled (6to4, 2002::/16, RFC 3056; Teredo, 2001::/32, RFC 4380, server and client; ISATAP, RFC
/// 5214, in any prefix).
fn embedded(v6: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let octets = v6.octets();
    let four = move |at: usize, mask: u8| {
        let bytes: [u8; 4] = octets.get(at..at.saturating_add(4))?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes.map(|byte| byte ^ mask)))
    };
    let [first, second, ..] = v6.segments();
    let is_isatap = matches!(octets.get(8..12), Some([0 | 2, 0, 0x5e, 0xfe]));
    let is_last = v6.to_ipv4_mapped().is_some() || (first == 0x64 && second == 0xff9b) || is_isatap;
    let is_teredo = first == 0x2001 && second == 0;
    [
        four(12, 0).filter(|_| is_last),
        four(2, 0).filter(|_| first == 0x2002),
        four(4, 0).filter(|_| is_teredo),
        // The client's is stored with each bit turned.
        four(12, 0xff).filter(|_| is_teredo),
    ]
    .into_iter()
    .flatten()
}

/// How long a receiver may take.
const WAITS: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones_in_every_spelling() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("2606:4700::1", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("64:ff9b:1::808:808", false),
            ("2002:7f00:1::", false),
            ("2002:a9fe:a9fe::1", false),
            ("2002:808:808::1", true),
            ("::127.0.0.1", false),
            ("::ffff:0:127.0.0.1", false),
            // Teredo: the server's address, a port, and the client's with its bits turned.
            ("2001:0:808:808:0:0:f7f7:f7f7", true),
            ("2001:0:808:808:0:0:80ff:fffe", false),
            ("2001:0:808:808:8000:63bf:3fff:fdd2", false),
            ("2001:0:7f00:1:0:0:f7f7:f7f7", false),
            ("2606:4700::5efe:7f00:1", false),
            ("2606:4700::200:5efe:a00:1", false),
            ("2606:4700::200:5efe:808:808", true),
            ("2001:db8::1", false),
            ("3fff::1", false),
            ("2001:20::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn a_private_target_is_not_connected_to() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let port = server.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let error =
                agent(false).post(format!("http://{host}:{port}/")).send("x").unwrap_err().to_string();
            assert!(error.contains("private network"), "{host}: {error}");
        }
        assert!(server.accept().is_err(), "nobody came");
    }
}
