//! One instance of the module, and its callbacks.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use wasmtime::error::Context as _;
use wasmtime::{
    Config, Engine, Instance, InstancePre, Linker, Module, ProfilingStrategy, Result, Store, WasmParams,
    WasmResults, bail,
};

use crate::host::{Host, Pair, World};
use crate::imports;
use crate::random::Random;

/// The root context's id.
pub const ROOT: u32 = 1;
/// Most work of one callback, in wasm instructions: an endless loop ends here.
const FUEL: u64 = 2_000_000_000;

/// The module, compiled once.
pub struct Filter {
    pre: InstancePre<Host>,
}

impl Filter {
    /// Compiles the module in `file`.
    ///
    /// # Errors
    /// It cannot be read or compiled, or imports what no host offers.
    pub fn load(file: &Path) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true);
        if std::env::var_os("MINIHOST_PROFILE").is_some() {
            // `perf` then names the functions of a module that has not been stripped of them.
            config.profiler(ProfilingStrategy::PerfMap);
        }
        let engine = Engine::new(&config)?;
        let bytes =
            fs::read(file).with_context(|| format!("{}: `cargo xtask build` makes it", file.display()))?;
        let module = Module::new(&engine, bytes)?;
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker, &module)?;
        Ok(Self { pre: linker.instantiate_pre(&module)? })
    }

    /// Starts a VM as a worker of `world`, with this plugin configuration and environment (`NAME=value`).
    ///
    /// # Errors
    /// It traps, or refuses the configuration.
    pub fn start(
        &self,
        world: &Rc<RefCell<World>>,
        configuration: &str,
        environment: &[&str],
        seed: u64,
    ) -> Result<Vm> {
        let host = Host {
            world: Rc::clone(world),
            configuration: configuration.as_bytes().to_vec(),
            environment: environment.iter().map(|variable| (*variable).to_owned()).collect(),
            random: Some(Random::new(seed)),
            effective: ROOT,
            ..Host::default()
        };
        let mut store = Store::new(self.pre.module().engine(), host);
        store.set_fuel(FUEL)?;
        let instance = self.pre.instantiate(&mut store)?;
        let mut vm = Vm { store, instance, last_context: ROOT, instructions: 0 };
        vm.call::<(), ()>("_initialize", ())?;
        vm.call::<(u32, u32), ()>("proxy_on_context_create", (ROOT, 0))?;
        vm.call::<(u32, u32), u32>("proxy_on_vm_start", (ROOT, 0))?;
        let size = u32::try_from(configuration.len())?;
        if vm.call::<(u32, u32), u32>("proxy_on_configure", (ROOT, size))? == 0 {
            bail!("the configuration was refused: {:?}", vm.host().log);
        }
        Ok(vm)
    }
}

/// A running instance.
pub struct Vm {
    store: Store<Host>,
    instance: Instance,
    last_context: u32,
    /// Wasm instructions run so far.
    pub instructions: u64,
}

impl Vm {
    /// The state behind its host calls.
    pub fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// Size of its memory in bytes.
    pub fn memory_bytes(&mut self) -> usize {
        self.instance.get_memory(&mut self.store, "memory").map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Makes a stream's context.
    ///
    /// # Errors
    /// The module traps.
    pub fn new_stream(&mut self) -> Result<u32> {
        self.last_context += 1;
        let context = self.last_context;
        self.host().streams.entry(context).or_default();
        self.host().effective = context;
        self.call::<(u32, u32), ()>("proxy_on_context_create", (context, ROOT))?;
        Ok(context)
    }

    /// Runs `proxy_on_tick`.
    ///
    /// # Errors
    /// The module traps.
    pub fn tick(&mut self) -> Result<()> {
        self.host().effective = ROOT;
        self.call("proxy_on_tick", ROOT)
    }

    /// Answers the oldest call-out, if there is one.
    ///
    /// # Errors
    /// The module traps.
    pub fn answer(&mut self, headers: &[Pair], body: &[u8]) -> Result<bool> {
        if self.host().call_outs.is_empty() {
            return Ok(false);
        }
        let call_out = self.host().call_outs.remove(0);
        self.host().answer = Some((headers.to_vec(), body.to_vec()));
        let alive = call_out.context == ROOT || self.host().streams.contains_key(&call_out.context);
        self.host().effective = if alive { call_out.context } else { ROOT };
        self.host().sdk_speaks = alive;
        let arguments =
            (call_out.context, call_out.token, u32::try_from(headers.len())?, u32::try_from(body.len())?, 0);
        let done = self.call::<(u32, u32, u32, u32, u32), ()>("proxy_on_http_call_response", arguments);
        self.host().answer = None;
        self.host().sdk_speaks = false;
        done.map(|()| true)
    }

    /// Calls what the module exports.
    ///
    /// # Errors
    /// It traps; the message names the callback and what the module logged.
    pub fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, arguments: P) -> Result<R> {
        self.store.set_fuel(FUEL)?;
        let function = self.instance.get_typed_func::<P, R>(&mut self.store, name)?;
        let result = function.call(&mut self.store, arguments);
        self.instructions += FUEL.saturating_sub(self.store.get_fuel()?);
        result.with_context(|| {
            let world = self.store.data().world.borrow();
            format!(
                "{name} trapped; failed host calls {:?}; log {:?}",
                world.faults.injected,
                self.store.data().log
            )
        })
    }
}
