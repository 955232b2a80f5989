//! The pages without a browser: who sees what, what forms need, what a page says of what is not there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::process::Process;
use support::{message, record};
use tollgate_collector::config::token::Token;

/// Status, head and body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn ask(collector: &Process, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(collector.client.address).unwrap();
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        text.push_str("host: localhost\r\n");
    }
    if method == "POST" {
        text.push_str("content-type: application/x-www-form-urlencoded\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn get(collector: &Process, path: &str, cookie: &str) -> Answer {
    ask(collector, "GET", path, &[("cookie", cookie)], "")
}

/// Signs in; the cookie and the secret of the session's forms.
fn sign_in(collector: &Process, token: &str, page: &str) -> (String, String) {
    let answer = ask(collector, "POST", "/sign-in", &[], &format!("token={token}&to={page}"));
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(answer.head.contains(&format!("location: {page}")), "{}", answer.head);
    let set = answer.head.split("set-cookie: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    for part in ["httponly", "samesite=strict", "path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    let page = get(collector, page, &cookie);
    let csrf =
        page.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    (cookie, csrf)
}

fn tokens() -> String {
    let token = |role: &str| {
        let hash = Token::new(format!("the-{role}-token")).sha256();
        format!("[[access.tokens]]\nrole = '{role}'\nname = '{role}r'\nsha256 = '{hash}'\n")
    };
    format!("[access]\nread = 'token'\n{}{}", token("read"), token("write"))
}

#[test]
fn pages_need_what_the_api_needs_and_a_session_ends() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), &tokens());
    for path in ["/", "/agents", "/budgets", "/records", "/settings", "/audit", "/search?q=x"] {
        let answer = get(&collector, path, "");
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.body.contains("Sign in") && !answer.body.contains("Overview"), "{path}");
        assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    }
    let ingest = std::fs::read_to_string(dir.path().join("token")).unwrap();
    for token in ["nothing", "", ingest.trim()] {
        let answer = ask(&collector, "POST", "/sign-in", &[], &format!("token={token}&to=/"));
        assert_eq!((answer.status, answer.head.contains("set-cookie")), (401, false), "{token}");
    }
    let (cookie, csrf) = sign_in(&collector, "the-read-token", "/settings");
    for path in ["/", "/settings", "/api/v1/summary?format=csv", "/metrics"] {
        assert_eq!(get(&collector, path, &cookie).status, 200, "{path}");
    }
    // A cookie only reads the API: what changes something has to show the token itself.
    let put = ask(&collector, "PUT", "/api/v1/months/2026-09", &[("cookie", &cookie)], "");
    assert_eq!(put.status, 401);
    let out = ask(&collector, "POST", "/sign-out", &[("cookie", &cookie)], &format!("csrf={csrf}"));
    assert_eq!(out.status, 303);
    assert!(out.head.contains("max-age=0"), "{}", out.head);
    assert_eq!(get(&collector, "/settings", &cookie).status, 401);
}

#[test]
fn a_token_that_is_taken_away_takes_its_sessions_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Process::with(dir.path(), &tokens());
    let (cookie, _) = sign_in(&collector, "the-write-token", "/settings");
    let file = dir.path().join("tollgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (kept, _) = text.rsplit_once("[[access.tokens]]").unwrap();
    std::fs::write(&file, kept).unwrap();
    let id = collector.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while get(&collector, "/settings", &cookie).status != 401 {
        assert!(std::time::Instant::now() < until, "the session outlives its token");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(collector.signal("-TERM"), Some(0));
}

#[test]
fn a_form_changes_something_only_with_the_role_the_secret_and_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), &tokens());
    let (reader, reads) = sign_in(&collector, "the-read-token", "/budgets");
    let (writer, writes) = sign_in(&collector, "the-write-token", "/budgets");
    let send = |cookie: &str, csrf: &str, more: &[(&str, &str)]| {
        let headers = [&[("cookie", cookie)], more].concat();
        let body = format!("csrf={csrf}&name=b&limit_usd=5.00&window=month&action=deny&team=&agent=&each=");
        ask(&collector, "POST", "/budgets", &headers, &body)
    };
    let is_there = || get(&collector, "/budgets/b", &writer).status == 200;
    for (cookie, csrf, more, status) in [
        ("", "", &[][..], 401),
        (writer.as_str(), "", &[], 403),
        (&writer, &reads, &[], 403),
        (&writer, &writes, &[("origin", "http://localhost:1")], 403),
        (&writer, &writes, &[("origin", "null")], 403),
        (&writer, &writes, &[("sec-fetch-site", "same-site")], 403),
        // The API refuses it, and the next page says so.
        (&reader, &reads, &[], 303),
    ] {
        assert_eq!(send(cookie, csrf, more).status, status, "{csrf} {more:?}");
        assert!(!is_there(), "{csrf} {more:?}");
    }
    assert!(get(&collector, "/budgets?new=1", &reader).body.contains("a valid token is needed"));
    let made = send(&writer, &writes, &[("origin", "http://localhost"), ("sec-fetch-site", "same-origin")]);
    assert!(made.status == 303 && made.head.contains("location: /budgets/b"), "{}", made.head);
    let page = get(&collector, "/budgets/b", &writer).body;
    assert!(page.contains("Budget b is new.") && page.contains("$5.00"), "{page}");
    assert!(!get(&collector, "/budgets/b", &writer).body.contains("Budget b is new."), "said once");
    let trail = get(&collector, "/audit", &writer).body;
    assert!(trail.contains("writer") && trail.contains("budget"), "{trail}");
}

#[test]
fn without_a_call_the_overview_says_how_to_send_one_and_turns_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let first = get(&collector, "/", "").body;
    assert!(first.contains("No call yet") && first.contains("x-tollgate-agent"), "{first}");
    assert_eq!(collector.client.sync(&message(1, vec![record(0)])).status, 200);
    let page = get(&collector, "/?from=2026-11-01&to=2026-12-01", "").body;
    assert!(page.contains("Spend over time by team") && !page.contains("No call yet"), "{page}");
}

#[test]
fn everything_of_a_page_comes_from_here_and_nothing_of_it_is_inline() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let page = get(&collector, "/api", "");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "nosniff",
        "x-frame-options: deny",
    ] {
        assert!(page.head.contains(part), "{part}: {}", page.head);
    }
    assert!(!page.body.contains("style=") && !page.body.contains("onclick") && !page.body.contains("<style"));
    let linked = page.body.split('"').filter(|text| text.starts_with("/assets/")).map(str::to_owned);
    let linked: Vec<String> = linked.collect();
    assert_eq!(linked.len(), 3, "{linked:?}");
    for path in linked {
        let asset = get(&collector, &path, "");
        assert_eq!(asset.status, 200, "{path}");
        assert!(asset.head.contains("immutable"), "{}", asset.head);
    }
    let missing = get(&collector, "/assets/style.0.css", "");
    assert_eq!((missing.status, missing.head.contains("immutable")), (404, false));
}

#[test]
fn the_page_of_estimates_alone_may_run_a_module_and_has_the_prices_that_hold() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let page = get(&collector, "/estimate", "");
    assert!(page.head.contains("script-src 'self' 'wasm-unsafe-eval';"), "{}", page.head);
    assert!(!get(&collector, "/what-if", "").head.contains("wasm"));
    // Built without the modules, it says how they are made.
    match page.body.split("data-estimator=\"").nth(1) {
        Some(rest) => {
            for address in rest.split('"').next().unwrap().split(' ') {
                let asset = get(&collector, address, "");
                assert!(asset.status == 200 && asset.head.contains("immutable"), "{address}: {}", asset.head);
                // Whoever takes no gzip gets it unpacked.
                assert!(!asset.head.contains("content-encoding"), "{}", asset.head);
                let begins = if address.ends_with(".js") { "let estimator" } else { "\0asm" };
                assert!(
                    asset.body.trim_start().starts_with(begins),
                    "{address}: {}",
                    asset.body.get(..40).unwrap_or_default()
                );
                let packed = ask(&collector, "GET", address, &[("accept-encoding", "gzip")], "");
                assert!(packed.head.contains("content-encoding: gzip"), "{}", packed.head);
            }
        }
        None => assert!(page.body.contains("cargo xtask estimator"), "{}", page.body),
    }
    let prices = get(&collector, "/estimate/prices", "");
    let book = tollgate_core::plan::prices::read(&prices.body).unwrap();
    let whole = tollgate_core::price::PriceBook::from_files(tollgate_core::price::EMBEDDED).unwrap();
    assert_eq!((book.version(), book.models().len()), (whole.version(), whole.models().len()));
    assert!(prices.body.len() <= 900_000, "{} bytes", prices.body.len());
}

#[test]
fn a_plan_is_kept_from_the_page_by_whoever_may_write() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), &tokens());
    let address = "/estimate?models=gpt-4o&prompt_tokens=1000&output_tokens=300&calls=100000/month";
    let (reader, reads) = sign_in(&collector, "the-read-token", "/budgets");
    let (writer, writes) = sign_in(&collector, "the-write-token", "/budgets");
    assert!(!get(&collector, address, &reader).body.contains("/estimate/keep"));
    let page = get(&collector, address, &writer).body;
    assert!(page.contains("/estimate/keep") && page.contains("$550.00"), "{page}");
    let send = |cookie: &str, csrf: &str, agent: &str, models: &str| {
        let body = format!(
            "csrf={csrf}&agent={agent}&models={models}&prompt_tokens=1000&output_tokens=300&calls=5000/day&cache_share=0.8"
        );
        let answer = ask(&collector, "POST", "/estimate/keep", &[("cookie", cookie)], &body);
        (answer.status, get(&collector, "/estimate", cookie).body)
    };
    assert_eq!(send(&writer, &reads, "support", "gpt-4o").0, 403);
    assert!(send(&reader, &reads, "support", "gpt-4o").1.contains("a valid token is needed"));
    assert!(
        send(&writer, &writes, "support", "gpt-4o-minni")
            .1
            .contains("did you mean <code>gpt-4o-mini</code>?")
    );
    let plans = || get(&collector, "/api/v1/plans", &writer).body;
    assert!(plans().contains("\"rows\":[]"), "{}", plans());
    let (status, page) = send(&writer, &writes, "support", "gpt-4o,gpt-4o-mini");
    assert!(status == 303 && page.contains("The plan is kept with support"), "{page}");
    assert!(
        plans().contains("\"cache_share\":\"0.8\"") && plans().contains("\"saved_by\":\"writer\""),
        "{}",
        plans()
    );
}

/// The commands that a page shows.
fn commands(page: &str) -> Vec<String> {
    let lines =
        page.split("<pre tabindex=\"0\">curl ").skip(1).filter_map(|rest| rest.split("</pre>").next());
    let lines = lines.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let shown = lines.filter(|line| line.starts_with("tollgate "));
    shown
        .map(|line| {
            line.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
        })
        .collect()
}

#[test]
fn each_command_that_a_page_shows_works() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let call = record(0);
    let of_agent = format!("/agents/{}", call["agent"].as_str().unwrap());
    assert_eq!(collector.client.sync(&message(1, vec![call])).status, 200);
    let binary = std::path::Path::new(support::process::BINARY);
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let (mut tried, mut failed) = (std::collections::BTreeSet::new(), Vec::new());
    for page in [
        "/?from=2026-11-01&to=2026-12-01&agent=it%27s%20%24(me)",
        "/compare?by=agent&tz=Europe/Zurich",
        "/agents?unattributed=true",
        of_agent.as_str(),
        "/models?not=agent:x",
        "/budgets",
        "/alerts?state=open",
        "/anomalies",
        "/reviews",
        "/registry?status=proposed",
        "/allow",
        "/records?outcome=denied&cost_status=unpriced",
        "/runs?sort=depth",
        "/prompts",
        "/what-if",
        "/what-if?to_model=gpt-4o-mini&model=gpt-4o",
        "/statements?month=2026-10",
        "/prices",
        "/audit",
        "/gateways",
    ] {
        let answer = get(&collector, page, "");
        assert_eq!(answer.status, 200, "{page}: {}", answer.body);
        for command in commands(&answer.body) {
            if !tried.insert(command.clone()) {
                continue;
            }
            let mut shell = std::process::Command::new("sh");
            let url = format!("http://{}", collector.client.address);
            let done =
                shell.args(["-c", &command]).env("PATH", &path).env("TOLLGATE_URL", url).output().unwrap();
            if !done.status.success() {
                failed.push(format!("{page}: {command}: {}", String::from_utf8_lossy(&done.stderr)));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(tried.len() > 20, "{tried:?}");
}

#[test]
fn what_became_of_a_change_is_not_for_a_page_that_renews_its_figures() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), &tokens());
    let (cookie, csrf) = sign_in(&collector, "the-write-token", "/budgets");
    let body = format!("csrf={csrf}&name=b&limit_usd=5.00&window=month&action=deny&team=&agent=&each=");
    assert_eq!(ask(&collector, "POST", "/budgets", &[("cookie", &cookie)], &body).status, 303);
    let says = |headers: &[(&str, &str)]| {
        ask(&collector, "GET", "/budgets/b", headers, "").body.contains("class=\"message done\"")
    };
    assert!(!says(&[("cookie", &cookie), ("x-tollgate-renews", "1")]));
    assert!(says(&[("cookie", &cookie)]) && !says(&[("cookie", &cookie)]));
}

#[test]
fn a_team_that_pays_nothing_in_a_month_is_told_so_with_the_other_months_beside() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::with(dir.path(), "[access]\nread = 'open'\n");
    assert_eq!(collector.client.sync(&message(1, vec![record(1)])).status, 200);
    for (month, payer, says) in [
        ("2026-10", "support", "nobody pays anything in 2026-10"),
        ("2026-11", "sales", "pays nothing in 2026-11; there are"),
    ] {
        let page = get(&collector, &format!("/statements?month={month}&payer={payer}"), "");
        assert!(page.status == 200 && page.body.contains(says), "{}", page.body);
    }
    let team = get(&collector, "/teams/support?from=2026-11-01&to=2026-12-01", "");
    assert_eq!(team.status, 200);
    assert!(!team.body.contains("message problem"), "{}", team.body);
}

#[test]
fn whom_a_proxy_names_may_what_the_configuration_says() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = format!(
        "{}[access.proxy]\nsecret_sha256 = '{}'\ngroups = 'x-forwarded-groups'\nsign_out = '/oauth2/sign_out'\n\
         read = ['group:staff']\nwrite = ['user:ada@example.com']\n[api]\npublic_url = 'https://tollgate.example'\n",
        tokens(),
        Token::new("of-the-proxy").sha256()
    );
    let collector = Process::with(dir.path(), &proxy);
    let secret = ("x-tollgate-proxy-secret", "of-the-proxy");
    let (ada, bo) = (("x-forwarded-email", "ada@example.com"), ("x-forwarded-email", "bo@example.com"));
    let staff = ("x-forwarded-groups", "sales,staff");
    for (headers, status) in [
        (&[ada][..], 401),
        (&[ada, ("x-tollgate-proxy-secret", "guessed")], 401),
        (&[secret], 401),
        (&[secret, bo], 403),
        (&[secret, bo, staff], 200),
        (&[secret, ada], 200),
        // Such as an identity provider's token, which the proxy sends along.
        (&[secret, ada, ("authorization", "Bearer eyJhbGciOi")], 200),
    ] {
        assert_eq!(ask(&collector, "GET", "/budgets", headers, "").status, status, "{headers:?}");
        let api = ask(&collector, "GET", "/api/v1/budgets", headers, "").status;
        assert_eq!(api == 200, status == 200, "{headers:?}");
    }
    let refused = ask(&collector, "GET", "/", &[secret, bo], "");
    assert!(refused.body.contains("access.proxy") && !refused.body.contains("Overview"), "{}", refused.body);
    let page = ask(&collector, "GET", "/budgets", &[secret, ada], "").body;
    assert!(page.contains("ada@example.com (write)") && page.contains("href=\"/oauth2/sign_out\""), "{page}");
    let csrf_of = |page: &str| {
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let csrf = csrf_of(&page);
    let body =
        |csrf: &str| format!("csrf={csrf}&name=b&limit_usd=5.00&window=month&action=deny&team=&agent=&each=");
    let here = ("origin", "https://tollgate.example");
    for (headers, csrf, status) in [
        (&[secret, ada, here][..], "", 403),
        (&[ada, here], &csrf, 401),
        (&[secret, ada, ("origin", "https://evil.example")], &csrf, 403),
        (&[secret, bo, staff, here], &csrf, 403),
        (&[secret, ada, here], &csrf, 303),
    ] {
        let answer = ask(&collector, "POST", "/budgets", headers, &body(csrf));
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    let trail = ask(&collector, "GET", "/api/v1/audit", &[secret, ada], "").body;
    assert!(trail.contains("user:ada@example.com"), "{trail}");
    let put = ask(&collector, "PUT", "/api/v1/months/2026-09", &[secret, ada], "");
    assert_eq!(put.status, 401, "what the proxy says reads the API alone");
}

#[test]
fn whoever_listens_is_told_of_what_is_new_and_let_go_when_the_collector_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Process::with(dir.path(), "[access]\nread = 'open'\n");
    let mut stream = TcpStream::connect(collector.client.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n").unwrap();
    let mut heard = String::new();
    let mut until = |part: &str| {
        let mut piece = [0; 4_096];
        while !heard.contains(part) {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "it ends after {heard}");
            heard.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        heard.clone()
    };
    let head = until("retry: ").to_ascii_lowercase();
    for part in ["content-type: text/event-stream", "cache-control: no-store"] {
        assert!(head.contains(part), "{head}");
    }
    assert!(!head.contains("content-encoding") && !head.contains("event: changed"), "{head}");
    assert_eq!(collector.client.sync(&message(1, vec![record(1)])).status, 200);
    until("event: changed");
    let begun = std::time::Instant::now();
    assert_eq!(collector.signal("-TERM"), Some(0));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "a page that listens holds it up");
}
