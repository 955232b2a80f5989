//! Speed of metering, natively: `cargo bench -p tollgate-core`. Figures, never a test.
#![allow(missing_docs, clippy::cast_precision_loss, clippy::indexing_slicing)] // a benchmark

use std::hint::black_box;
use std::time::Instant;

use tollgate_core::answer::meter::Meter;
use tollgate_core::estimate::TextCounter;
use tollgate_core::provider::Api;
use tollgate_core::request::RequestMeter;
use tollgate_core::request::prints::PrintKey;

fn main() {
    let chunk = |text: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5.1-2025-11-13\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
    };
    let events = 100_000;
    let stream: Vec<String> =
        (0..events).map(|n| chunk([" about", " 384,400 km", " from", " the Earth."][n % 4])).collect();
    let nanoseconds = fastest(9, || {
        let mut meter = Meter::new("openai", Api::ChatCompletions);
        for event in &stream {
            meter.feed(event.as_bytes());
        }
        meter.finish();
        black_box(meter.reported());
    });
    println!("SSE event, output counted: {:.2} µs", nanoseconds / 1000.0 / events as f64);

    print_requests();
    let prose =
        "The Moon is about 384,400 km from the Earth, which isn't far as such distances go. ".repeat(10_000);
    let nanoseconds = fastest(9, || {
        let mut counter = TextCounter::default();
        counter.feed(prose.as_bytes());
        black_box(counter.tokens());
    });
    println!("text, tokens counted: {:.0} MB/s", prose.len() as f64 * 1000.0 / nanoseconds);

    let image = format!(
        "{{\"data\":[{{\"b64_json\":\"{}\"}}],\"usage\":{{\"input_tokens\":1}}}}",
        "A".repeat(50_000_000)
    );
    print_throughput("JSON, one long string", image.as_bytes());
    let numbers = format!(
        "{{\"data\":[{{\"embedding\":[{}0]}}],\"usage\":{{\"prompt_tokens\":1}}}}",
        "-0.01234567,".repeat(2_000_000)
    );
    print_throughput("JSON, embeddings", numbers.as_bytes());
    let members = format!(
        "{{\"other\":[{}0],\"usage\":{{\"prompt_tokens\":1}}}}",
        r#"{"key":"value","n":[1,2,3],"s":"text \"quoted\""},"#.repeat(400_000)
    );
    print_throughput("JSON, small members", members.as_bytes());
}

/// What a request's prints cost, beside reading it.
fn print_requests() {
    let key = PrintKey::of(b"secret");
    for (name, words) in [("1 kB", 150), ("20 kB", 3_900)] {
        let body = format!(
            "{{\"model\":\"gpt-5.1\",\"messages\":[{{\"role\":\"system\",\"content\":\"Be brief.\"}},\
             {{\"role\":\"user\",\"content\":\"{}\"}}]}}",
            "words ".repeat(words)
        );
        let read = |key: Option<PrintKey>| {
            fastest(9, || {
                for _ in 0..2_000 {
                    let mut meter = RequestMeter::default();
                    if let Some(key) = key {
                        meter.print(key);
                    }
                    meter.feed(body.as_bytes());
                    black_box((meter.input_estimate(), meter.hash(), meter.prompt()));
                }
            }) / 2_000.0
        };
        let (without, with) = (read(None), read(key));
        println!("request of {name}: {without:.0} ns, its prints {:.0} ns more", with - without);
    }
}

fn print_throughput(name: &str, body: &[u8]) {
    let nanoseconds = fastest(5, || {
        let mut meter = Meter::new("openai", Api::Images);
        for piece in body.chunks(64 * 1024) {
            meter.feed(piece);
        }
        meter.finish();
        assert!(black_box(meter.reported()).is_some());
    });
    println!("{name}: {:.0} MB/s", body.len() as f64 * 1000.0 / nanoseconds);
}

/// The fastest of so many rounds: the machine is shared.
fn fastest(rounds: usize, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.first().copied().unwrap_or_default()
}
