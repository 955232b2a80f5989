//! Who may ask what: roles, TLS with certificates of clients, and a configuration that changes while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use support::process::Process;
use support::{TOKEN, message, record};
use tollgate_collector::config::token::Token;

fn token(role: &str, text: &str) -> String {
    format!(
        "[[access.tokens]]\nrole = '{role}'\nname = '{role}-one'\nsha256 = '{}'\n",
        Token::new(text).sha256()
    )
}

#[test]
fn each_route_needs_its_role_and_the_trail_names_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let more = format!(
        "[access]\nread = 'token'\n{}{}{}",
        token("read", "the-read-token"),
        token("write", "the-write-token"),
        token("ingest", "the-second-ingest-token")
    );
    let collector = Process::with(dir.path(), &more);
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let body = message(1, vec![record(0)]).to_string();
    for (token, status) in
        [(TOKEN, 200), ("the-second-ingest-token", 200), ("the-write-token", 401), (admin.trim(), 401)]
    {
        let sent = collector.client.sync_as(Some(&format!("Bearer {token}")), body.as_bytes());
        assert_eq!(sent.status, status, "{token}");
    }
    for path in ["/api/v1/summary", "/api/v1/records", "/api/v1/audit", "/metrics", "/"] {
        assert_eq!(collector.client.get(path).status, 401, "{path}");
        assert_eq!(collector.client.get_as(path, TOKEN).status, 401, "{path} by a gateway");
        for token in ["the-read-token", "the-write-token", admin.trim()] {
            assert_eq!(collector.client.get_as(path, token).status, 200, "{path}");
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(collector.client.get(path).status, 200, "{path}");
    }
    let reprice = "/api/v1/reprice?since=4w";
    for (method, path, allowed) in [
        ("POST", reprice, &["the-write-token", admin.trim()][..]),
        ("PUT", "/api/v1/months/2026-09", &[admin.trim()]),
    ] {
        for token in ["the-read-token", "the-write-token", admin.trim(), TOKEN, "nothing"] {
            let answer = collector.client.change(method, path, Some(token));
            assert_eq!(
                answer.status == 200,
                allowed.contains(&token),
                "{method} {path} {token}: {}",
                answer.text
            );
        }
    }
    let trail = collector.client.get_as("/api/v1/audit", "the-read-token").json();
    let close = trail["rows"].as_array().unwrap().iter().find(|row| row["action"] == "month.close").unwrap();
    assert_eq!(close["actor"], "admin");
}

#[test]
fn a_changed_configuration_is_taken_at_a_signal_and_a_bad_one_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), "");
    let file = dir.path().join("tollgate.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let hang_up = || {
        let id = collector.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    let wait = |what: &str, holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::fs::write(&file, format!("{good}\n[access]\nread = 'nobody'")).unwrap();
    hang_up();
    wait("the mistake is told", &|| collector.client.get("/readyz").text.contains("access.read"));
    assert_eq!(collector.client.get("/readyz").status, 200, "the configuration from before works on");
    assert_eq!(collector.client.get("/api/v1/summary").status, 200);
    assert!(collector.client.get("/metrics").text.contains("tollgate_collector_config_good 0"));

    std::fs::write(&file, format!("{good}\n[access]\nread = 'token'\n{}", token("read", "the-read-token")))
        .unwrap();
    hang_up();
    wait("the tokens hold", &|| collector.client.get("/api/v1/summary").status == 401);
    assert!(!collector.client.get("/readyz").text.contains("configuration_not_used"));
    let trail = || collector.client.get_as("/api/v1/audit", "the-read-token").json();
    wait("it is in the trail", &|| trail()["rows"].as_array().unwrap().len() == 2);
    let trail = trail();
    let actions: Vec<&str> =
        trail["rows"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["configuration.start", "configuration.reload"]);
}

/// A certificate for 127.0.0.1 and one for a client, both of an authority of this test.
fn certificates(dir: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    for (name, host) in [("server", "127.0.0.1"), ("client", "gateway.example")] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn tls_is_spoken_and_certificates_of_clients_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let tls = format!("[tls]\ncertificate = '{}'\nkey = '{}'\n", at("server.pem"), at("server.key"));

    let collector = Process::with(dir.path(), &tls);
    let url = format!("https://{}", collector.client.address);
    let ask = |more: &[&str]| {
        let mut command = support::process::tollgate();
        command.args(["summary", "--url", &url]).args(more).output().unwrap()
    };
    let answered = ask(&["--ca", &at("ca.pem")]);
    assert!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
    assert!(!ask(&[]).status.success(), "an unknown authority is not trusted");
    drop(collector);

    let collector = Process::with(dir.path(), &format!("{tls}client_ca = '{}'\n", at("ca.pem")));
    let curl = |more: &[&str]| {
        let mut command = std::process::Command::new("curl");
        let url = format!("https://{}/healthz", collector.client.address);
        command
            .args(["--silent", "--show-error", "--noproxy", "*", "--cacert", &at("ca.pem")])
            .args(more)
            .arg(url)
            .output()
    };
    let Ok(without) = curl(&[]) else {
        println!("skipped the rest: there is no curl to present a certificate with");
        return;
    };
    assert!(!without.status.success(), "without a certificate there is no answer");
    let with = curl(&["--cert", &at("client.pem"), "--key", &at("client.key")]).unwrap();
    assert!(
        String::from_utf8_lossy(&with.stdout).contains("ok"),
        "{}",
        String::from_utf8_lossy(&with.stderr)
    );
}
