//! How well the detector of anomalies does: `cargo xtask bench --backtest --seed N`.
//!
//! A generator of its own makes five weeks of calls of agents with a daily and weekly pattern, noise, growth,
//! and new agents; some are quiet, some work in office hours only, some fall silent for a while, and for some
//! the collector was started anew. In the last week incidents of stated kinds and sizes are put in. The
//! detector sees it minute by minute as a collector would. An incident counts as found only when it is found
//! as what it is, within one minute after its first minute is over. A finding that no incident explains
//! counts against precision; that a new agent is one is no mistake. The generator knows nothing of the
//! detector.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    missing_docs
)]

use std::collections::{BTreeMap, HashMap};

use tollgate_collector::model::anomaly::Kind;
use tollgate_collector::model::minute::{Hour, Minute};
use tollgate_collector::store::FirstCall;
use tollgate_collector::work::anomalies::baseline::Baseline;
use tollgate_collector::work::anomalies::detect::{Look, detect};
use tollgate_collector::work::anomalies::newcomers::{self, newcomer};
use tollgate_collector::work::anomalies::run::LASTS_MS;
use tollgate_core::money::Picodollars;

/// A Monday.
const EPOCH_MS: u64 = 1_792_972_800_000;
const WEEKS: usize = 5;
const MINUTES: usize = WEEKS * 7 * 24 * 60;
const TEST_FROM: usize = (WEEKS - 1) * 7 * 24 * 60;

fn main() {
    let number = |name: &str, default: u64| {
        let arguments: Vec<String> = std::env::args().collect();
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let (seed, agents) = (number("--seed", 1), number("--agents", 30));
    let mut tally = Tally::default();
    for agent in 0..agents {
        let mut random = Random(seed.wrapping_mul(1_000_003) ^ (agent << 32));
        let style = match agent % 10 {
            9 => Style::New,
            8 => Style::Quiet,
            7 => Style::Office,
            6 => Style::Gap,
            5 => Style::Restart,
            _ => Style::Usual,
        };
        run_agent(&mut random, style, &mut tally);
    }
    tally.print(seed, agents);
    std::process::exit(i32::from(!tally.holds()));
}

/// What is special about an agent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Style {
    Usual,
    /// It begins in the last week.
    New,
    /// A few calls an hour.
    Quiet,
    /// Nothing at night and at weekends.
    Office,
    /// Nothing for half an hour to a day, of it or of its gateway.
    Gap,
    /// The collector is started anew in the last week, and has the minutes of one day only.
    Restart,
}

/// How an agent usually behaves.
struct Character {
    office: bool,
    gap: (usize, usize),
    calls_per_minute: f64,
    night: f64,
    weekend: f64,
    peak_hour: f64,
    growth_per_week: f64,
    dollars_per_call: f64,
    input: f64,
    output: f64,
    error_share: f64,
    denied_share: f64,
    calls_per_run: f64,
    /// A job that runs every day at this minute, for half an hour.
    job_at: Option<usize>,
}

impl Character {
    fn any(random: &mut Random, style: Style) -> Self {
        let (least, most) = if style == Style::Quiet { (0.02f64, 2.0f64) } else { (8.0, 80.0) };
        let gap = TEST_FROM + random.below(6_000);
        let gap_ends = if style == Style::Gap { gap + 30 + random.below(1_410) } else { gap };
        Self {
            office: style == Style::Office,
            gap: (gap, gap_ends),
            calls_per_minute: random.between(least.ln(), most.ln()).exp(),
            night: random.between(0.1, 0.6),
            weekend: random.between(0.2, 1.0),
            peak_hour: random.between(11.0, 17.0),
            growth_per_week: random.between(0.97, 1.12),
            dollars_per_call: random.between(0.001f64.ln(), 0.05f64.ln()).exp(),
            input: random.between(300.0f64.ln(), 9_000.0f64.ln()).exp(),
            output: random.between(50.0f64.ln(), 900.0f64.ln()).exp(),
            error_share: random.between(0.0, 0.025),
            denied_share: random.between(0.0, 0.02),
            calls_per_run: random.between(1.0, 6.0),
            job_at: random.chance(0.3).then(|| random.below(1_440)),
        }
    }

    /// Calls of a minute, before chance.
    fn rate(&self, minute: usize) -> f64 {
        let hour = (minute % 1_440) as f64 / 60.0;
        let day = minute / 1_440 % 7;
        if self.office && (day >= 5 || !(8.0..18.0).contains(&hour))
            || (self.gap.0..self.gap.1).contains(&minute)
        {
            return 0.0;
        }
        let wave = ((hour - self.peak_hour) / 24.0 * std::f64::consts::TAU).cos() / 2.0 + 0.5;
        let daily = self.night + (1.0 - self.night) * wave;
        let weekly = if day >= 5 { self.weekend } else { 1.0 };
        let grown = self.growth_per_week.powf(minute as f64 / 10_080.0);
        let job = self.job_at.is_some_and(|at| (at..at + 30).contains(&(minute % 1_440)));
        self.calls_per_minute * daily * weekly * grown * if job { 1.8 } else { 1.0 }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum What {
    Surge,
    DearModel,
    Errors,
    Refusals,
    LongPrompts,
    LongAnswers,
    FanOut,
    RetryLoop,
    NewModel,
}

impl What {
    /// What it is to be found as.
    const fn kind(self) -> Kind {
        match self {
            Self::Surge | Self::DearModel => Kind::Cost,
            Self::Errors => Kind::Errors,
            Self::Refusals => Kind::Denied,
            Self::LongPrompts => Kind::InputTokens,
            Self::LongAnswers => Kind::OutputTokens,
            Self::FanOut => Kind::CallsPerRun,
            Self::RetryLoop => Kind::RetryLoop,
            Self::NewModel => Kind::NewModel,
        }
    }
}

/// Kind, size and length in minutes, the smallest and the largest, and the size's unit.
type Range = (What, (f64, f64), (usize, usize), &'static str);
const INCIDENTS: [Range; 9] = [
    (What::Surge, (7.0, 20.0), (10, 90), "times the calls"),
    (What::DearModel, (8.0, 25.0), (15, 90), "times the price of a call"),
    (What::Errors, (0.45, 0.95), (8, 40), "of the calls fail"),
    (What::Refusals, (0.45, 0.95), (8, 40), "of the calls are refused"),
    (What::LongPrompts, (5.0, 12.0), (10, 60), "times the prompt"),
    (What::LongAnswers, (5.0, 12.0), (10, 60), "times the answer"),
    (What::FanOut, (60.0, 250.0), (5, 20), "calls a minute of one run"),
    (What::RetryLoop, (50.0, 200.0), (5, 20), "times a minute the same request"),
    (What::NewModel, (0.3, 1.0), (10, 90), "of the calls go to a model it never called"),
];

#[derive(Clone, Debug)]
struct Incident {
    what: What,
    size: f64,
    from: usize,
    to: usize,
}

/// Incidents of the last week, at least three hours apart, where the agent is not all but asleep.
fn incidents(random: &mut Random, character: &Character) -> Vec<Incident> {
    let mut incidents = Vec::new();
    let mut at = TEST_FROM + random.below(600);
    while at + 200 < MINUTES {
        let (what, (least, most), (short, long), _) = INCIDENTS[random.below(INCIDENTS.len())];
        if character.rate(at) >= 6.0 {
            let size = random.between(least, most);
            let length = short + random.below(long - short);
            incidents.push(Incident { what, size, from: at, to: at + length });
        }
        at += 180 + random.below(1_500);
    }
    incidents
}

/// One minute of an agent's calls.
fn minute_of(
    random: &mut Random,
    character: &Character,
    at: usize,
    drift: f64,
    incident: Option<&Incident>,
) -> Minute {
    let is = |what: What| incident.filter(|incident| incident.what == what).map(|incident| incident.size);
    let crowd = random.gamma(9.0) / 9.0;
    let rate = character.rate(at) * drift * crowd * is(What::Surge).unwrap_or(1.0);
    let usual = random.poisson(rate);
    let further = is(What::FanOut).or(is(What::RetryLoop)).map_or(0, |size| random.poisson(size));
    let mut minute = Minute::default();
    let mut run = random.next() as u32;
    for call in 0..usual + further {
        let is_further = call >= usual;
        let refused = is(What::Refusals).unwrap_or(character.denied_share);
        if random.chance(refused) {
            minute.denied += 1;
            continue;
        }
        minute.calls += 1;
        let repeated = is_further && is(What::RetryLoop).is_some();
        let failing = if repeated { 0.7 } else { is(What::Errors).unwrap_or(character.error_share) };
        minute.errors += u64::from(random.chance(failing));
        let input = character.input * random.lognormal(0.8) * is(What::LongPrompts).unwrap_or(1.0);
        let output = character.output * random.lognormal(0.7) * is(What::LongAnswers).unwrap_or(1.0);
        let dear = is(What::DearModel).unwrap_or(1.0);
        let length = 0.5 * input / character.input + 0.5 * output / character.output;
        let dollars = character.dollars_per_call * dear * length * random.lognormal(0.3);
        minute.input_tokens += input as u64;
        minute.output_tokens += output as u64;
        minute.cost += Picodollars::from_pico((dollars * 1e12) as i128);
        if random.chance(1.0 / character.calls_per_run) {
            run = random.next() as u32;
        }
        let fans_out = is_further && is(What::FanOut).is_some();
        let from = incident.map_or(0, |incident| incident.from as u32);
        minute.runs.add(if fans_out { from } else { run }, 1);
        minute.requests.add(if repeated { from } else { random.next() as u32 }, 1);
    }
    minute
}

fn run_agent(random: &mut Random, style: Style, tally: &mut Tally) {
    let character = Character::any(random, style);
    let begins = if style == Style::New { TEST_FROM + random.below(4_000) } else { 0 };
    let incidents = if style == Style::New { Vec::new() } else { incidents(random, &character) };
    let restart = (style == Style::Restart).then(|| TEST_FROM + random.below(8_000));
    let mut agent = Agent::default();
    let mut last = vec![Minute::default(); 60];
    let mut baseline = Baseline::default();
    let mut drift = 1.0;
    let mut episodes: HashMap<Kind, usize> = HashMap::new();
    let mut found: Vec<Option<usize>> = vec![None; incidents.len()];
    for at in begins..MINUTES {
        if at % 60 == 0 {
            if at >= begins + 60 {
                agent.finish_hour(at as i64 / 60 - 1, &last);
            }
            if at >= TEST_FROM {
                baseline = Baseline::at(at as i64 / 60, &agent.hours);
            }
            drift = random.lognormal(0.1);
        }
        if restart == Some(at) {
            agent.start_anew(at as i64 / 60);
            baseline = Baseline::at(at as i64 / 60, &agent.hours);
        }
        let here = incidents.iter().position(|incident| (incident.from..incident.to).contains(&at));
        let incident = here.map(|here| &incidents[here]);
        last.remove(0);
        last.push(minute_of(random, &character, at, drift, incident));
        let is_new_model = incident.is_some_and(|incident| incident.what == What::NewModel);
        if let (Some(here), true) = (here, is_new_model) {
            let calls = last[59].calls;
            if (0..calls).any(|_| random.chance(incidents[here].size)) {
                agent.first_calls.entry(format!("new-{here}")).or_insert(at);
            }
        }
        if last[59].calls > 0 {
            agent.first_calls.entry("usual".into()).or_insert(at);
        }
        if at < TEST_FROM {
            continue;
        }
        let mut kinds: Vec<Kind> = detect(Look { minutes: &last, baseline: &baseline })
            .into_iter()
            .map(|finding| finding.kind)
            .collect();
        kinds.extend(agent.newcomers(at));
        for kind in kinds {
            let until = episodes.insert(kind, at + LASTS_MS as usize / 60_000);
            if until.is_some_and(|until| until >= at) {
                continue;
            }
            // The hour after an incident still contains it.
            let cause = incidents.iter().position(|incident| (incident.from..incident.to + 60).contains(&at));
            match cause {
                Some(cause) => {
                    tally.right += 1;
                    if kind == incidents[cause].what.kind() {
                        found[cause] = found[cause].or(Some(at - incidents[cause].from));
                    }
                }
                None if style == Style::New && kind == Kind::NewAgent => tally.newcomers += 1,
                None => *tally.wrong.entry((kind.name(), style)).or_default() += 1,
            }
        }
    }
    for (incident, delay) in incidents.iter().zip(found) {
        tally.kinds.entry(incident.what).or_default().push(delay);
    }
    *tally.agents.entry(style).or_default() += 1;
}

/// What a collector knows of an agent.
#[derive(Default)]
struct Agent {
    hours: BTreeMap<i64, Hour>,
    /// By model, the minute of its first call.
    first_calls: BTreeMap<String, usize>,
}

impl Agent {
    /// Only hours with calls are rows of a summary.
    fn finish_hour(&mut self, hour: i64, minutes: &[Minute]) {
        let sums = hour_of(minutes);
        if sums.calls + sums.denied > 0 {
            self.hours.insert(hour, sums);
        }
    }

    /// Minutes are kept for a day; of the hours before, sums are known.
    fn start_anew(&mut self, hour: i64) {
        for (_, known) in self.hours.range_mut(..hour - 25) {
            (known.busiest_run, known.busiest_request) = (None, None);
        }
    }

    /// What is new when this minute is over. Others were there before it.
    fn newcomers(&self, at: usize) -> Vec<Kind> {
        let ms = |minute: usize| EPOCH_MS + minute as u64 * 60_000;
        let now_ms = ms(at + 1);
        let since = self.first_calls.values().min().map_or(0, |first| ms(*first));
        let firsts = self.first_calls.iter().filter(|(_, first)| ms(**first) + newcomers::NEW_MS >= now_ms);
        let kinds = firsts.filter_map(|(model, first)| {
            let first = FirstCall {
                agent: "a".into(),
                model: model.clone(),
                first_ms: ms(*first),
                agent_since_ms: since,
            };
            newcomer(&first, Some(EPOCH_MS), now_ms)
        });
        kinds.collect()
    }
}

fn hour_of(minutes: &[Minute]) -> Hour {
    let mut sum = Minute::default();
    minutes.iter().for_each(|minute| sum.add(minute));
    Hour {
        calls: sum.calls,
        errors: sum.errors,
        denied: sum.denied,
        input_tokens: sum.input_tokens,
        output_tokens: sum.output_tokens,
        dollars: sum.cost.to_dollars_lossy(),
        busiest_run: minutes.iter().map(|minute| minute.runs.most()).max(),
        busiest_request: minutes.iter().map(|minute| minute.requests.most()).max(),
    }
}

#[derive(Default)]
struct Tally {
    kinds: BTreeMap<What, Vec<Option<usize>>>,
    right: usize,
    /// New agents that were told.
    newcomers: usize,
    agents: BTreeMap<Style, usize>,
    wrong: BTreeMap<(&'static str, Style), usize>,
}

impl Tally {
    fn recall(&self) -> f64 {
        let all: usize = self.kinds.values().map(Vec::len).sum();
        let prompt =
            self.kinds.values().flatten().filter(|delay| delay.is_some_and(|delay| delay <= 1)).count();
        prompt as f64 / all.max(1) as f64
    }

    fn precision(&self) -> f64 {
        let wrong: usize = self.wrong.values().sum();
        self.right as f64 / (self.right + wrong).max(1) as f64
    }

    fn holds(&self) -> bool {
        self.recall() >= 0.95 && self.precision() >= 0.9
    }

    fn print(&self, seed: u64, agents: u64) {
        println!("seed {seed}, {agents} agents {:?}, {WEEKS} weeks, incidents in the last\n", self.agents);
        println!(
            "{:>12} {:>6} {:>8} {:>14} {:>6}  size",
            "incident", "number", "at once", "in one minute", "later"
        );
        for (what, (least, most), (short, long), unit) in INCIDENTS {
            let delays = self.kinds.get(&what).cloned().unwrap_or_default();
            let within = |most: usize| delays.iter().flatten().filter(|delay| **delay <= most).count();
            let (at_once, prompt, ever) = (within(0), within(1), delays.iter().flatten().count());
            println!(
                "{:>12} {:>6} {at_once:>8} {prompt:>14} {:>6}  {least} to {most} {unit}, {short} to {long} minutes",
                format!("{what:?}"),
                delays.len(),
                ever - prompt,
            );
        }
        let wrong: usize = self.wrong.values().sum();
        println!("\nfindings with an incident {}, without one {wrong} {:?}", self.right, self.wrong);
        println!("new agents told {}", self.newcomers);
        println!(
            "recall within one minute {:.4} (bar 0.95), precision {:.4} (bar 0.9)",
            self.recall(),
            self.precision()
        );
    }
}

/// SplitMix64 and what is drawn with it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// With mean 1.
    fn lognormal(&mut self, sigma: f64) -> f64 {
        (sigma * self.normal() - sigma * sigma / 2.0).exp()
    }

    /// Sum of `shape` exponentials; a whole shape is enough here.
    fn gamma(&mut self, shape: f64) -> f64 {
        (0..shape as usize).map(|_| -self.unit().ln()).sum()
    }

    fn poisson(&mut self, mean: f64) -> usize {
        if mean > 60.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as usize;
        }
        let end = (-mean).exp();
        let (mut product, mut count) = (self.unit(), 0);
        while product > end {
            product *= self.unit();
            count += 1;
        }
        count
    }
}
