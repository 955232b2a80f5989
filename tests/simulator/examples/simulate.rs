//! Runs the simulated providers alone: `cargo run -p tollgate-simulator --example simulate`.

fn main() -> std::io::Result<()> {
    let simulator = tollgate_simulator::Simulator::start(1)?;
    println!("http://{}", simulator.address());
    loop {
        std::thread::park();
    }
}
