//! The host calls (proxy-wasm ABI 0.2.1) and the few of WASI that the module imports.

use wasmtime::error::Context as _;
use wasmtime::{Caller, Extern, Linker, Memory, Module, Result};

use crate::host::{CallOut, Host, Pair, Phase, Reply};

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const CAS_MISMATCH: u32 = 8;
const UNIMPLEMENTED: u32 = 12;

/// Defines a host call: what is planned to fail does so before anything is done.
macro_rules! host_call {
    ($linker:ident, $name:literal, |$caller:ident $(, $argument:ident : $kind:ty)*| $body:expr) => {
        $linker.func_wrap("env", $name, |mut $caller: Caller<'_, Host> $(, $argument: $kind)*| -> Result<u32> {
            let failed = $caller.data().world.borrow_mut().faults.meet($name);
            match failed {
                Some(status) => Ok(status),
                None => $body,
            }
        })?;
    };
}

/// Everything that `module` may import.
pub(crate) fn link(linker: &mut Linker<Host>, module: &Module) -> Result<()> {
    streams(linker)?;
    headers(linker)?;
    state(linker)?;
    root(linker)?;
    wasi(linker)?;
    // What the SDK imports and the filter never calls.
    for import in module.imports().filter(|import| import.module() == "env") {
        if let wasmtime::ExternType::Func(kind) = import.ty()
            && linker
                .get_by_import(&mut wasmtime::Store::new(module.engine(), Host::default()), &import)
                .is_none()
        {
            linker.func_new("env", import.name(), kind, |_, _, results| {
                for result in results {
                    *result = UNIMPLEMENTED.cast_signed().into();
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn streams(linker: &mut Linker<Host>) -> Result<()> {
    host_call!(
        linker,
        "proxy_get_buffer_bytes",
        |caller, kind: u32, start: u32, length: u32, data: u32, size: u32| {
            let Some(bytes) = buffer(caller.data_mut(), kind) else { return Ok(NOT_FOUND) };
            let start = (start as usize).min(bytes.len());
            let end = start.saturating_add(length as usize).min(bytes.len());
            let part = bytes.get(start..end).unwrap_or_default().to_vec();
            give(&mut caller, &part, data, size)
        }
    );
    host_call!(
        linker,
        "proxy_set_buffer_bytes",
        |caller, kind: u32, start: u32, length: u32, data: u32, size: u32| {
            let new = read(&mut caller, data, size)?;
            let Some(held) = buffer(caller.data_mut(), kind).filter(|_| kind <= 1) else {
                return Ok(NOT_FOUND);
            };
            let length = (length as usize).min(held.len());
            match start as usize {
                0 => drop(held.splice(..length, new)),
                start if start >= held.len() => held.extend(new),
                _ => return Ok(BAD_ARGUMENT),
            }
            Ok(OK)
        }
    );
    host_call!(linker, "proxy_continue_stream", |caller, kind: u32| {
        match caller.data_mut().stream() {
            Some(stream) if kind == 0 => stream.resumed = true,
            Some(_) => {}
            None => return Ok(BAD_ARGUMENT),
        }
        Ok(OK)
    });
    host_call!(
        linker,
        "proxy_send_local_response",
        |caller,
         status: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         pairs: u32,
         pairs_size: u32,
         _grpc: i32| {
            let reply = Reply {
                status,
                details: String::from_utf8_lossy(&read(&mut caller, details, details_size)?).into_owned(),
                body: read(&mut caller, body, body_size)?,
                headers: parsed(&read(&mut caller, pairs, pairs_size)?).unwrap_or_default(),
            };
            let Some(stream) = caller.data_mut().stream() else { return Ok(BAD_ARGUMENT) };
            stream.reply.get_or_insert(reply);
            Ok(OK)
        }
    );
    Ok(())
}

fn headers(linker: &mut Linker<Host>) -> Result<()> {
    host_call!(linker, "proxy_get_header_map_pairs", |caller, kind: u32, data: u32, size: u32| {
        let Some(pairs) = map(caller.data_mut(), kind) else { return Ok(BAD_ARGUMENT) };
        let bytes = serialised(pairs);
        give(&mut caller, &bytes, data, size)
    });
    host_call!(
        linker,
        "proxy_get_header_map_value",
        |caller, kind: u32, name: u32, name_size: u32, data: u32, size: u32| {
            let name = read(&mut caller, name, name_size)?;
            let Some(pairs) = map(caller.data_mut(), kind) else { return Ok(BAD_ARGUMENT) };
            let Some((_, value)) = pairs.iter().find(|(known, _)| *known == name) else {
                return Ok(NOT_FOUND);
            };
            let value = value.clone();
            give(&mut caller, &value, data, size)
        }
    );
    host_call!(
        linker,
        "proxy_replace_header_map_value",
        |caller, kind: u32, name: u32, name_size: u32, value: u32, size: u32| {
            let (name, value) = (read(&mut caller, name, name_size)?, read(&mut caller, value, size)?);
            let Some(pairs) = map(caller.data_mut(), kind) else { return Ok(BAD_ARGUMENT) };
            match pairs.iter().position(|(known, _)| *known == name) {
                Some(at) => {
                    let mut index = 0;
                    pairs.retain(|(known, _)| {
                        index += 1;
                        *known != name || index == at + 1
                    });
                    if let Some(pair) = pairs.get_mut(at) {
                        pair.1 = value;
                    }
                }
                None => pairs.push((name, value)),
            }
            Ok(OK)
        }
    );
    host_call!(linker, "proxy_remove_header_map_value", |caller, kind: u32, name: u32, name_size: u32| {
        let name = read(&mut caller, name, name_size)?;
        let Some(pairs) = map(caller.data_mut(), kind) else { return Ok(BAD_ARGUMENT) };
        pairs.retain(|(known, _)| *known != name);
        Ok(OK)
    });
    Ok(())
}

fn state(linker: &mut Linker<Host>) -> Result<()> {
    host_call!(linker, "proxy_get_property", |caller, path: u32, path_size: u32, data: u32, size: u32| {
        let path = read(&mut caller, path, path_size)?;
        let value = caller.data_mut().stream().and_then(|stream| stream.properties.get(&path).cloned());
        let Some(value) = value else { return Ok(NOT_FOUND) };
        give(&mut caller, &value, data, size)
    });
    host_call!(linker, "proxy_set_property", |caller, path: u32, path_size: u32, value: u32, size: u32| {
        let name = String::from_utf8_lossy(&read(&mut caller, path, path_size)?).into_owned();
        let value = read(&mut caller, value, size)?;
        let Some(stream) = caller.data_mut().stream() else { return Ok(BAD_ARGUMENT) };
        stream.filter_state.insert(name, value);
        Ok(OK)
    });
    host_call!(
        linker,
        "proxy_get_shared_data",
        |caller, key: u32, key_size: u32, data: u32, size: u32, version: u32| {
            let key = read(&mut caller, key, key_size)?;
            let found = caller.data().world.borrow().get(&key);
            let Some((value, held)) = found else { return Ok(NOT_FOUND) };
            write(&mut caller, version, &held.to_le_bytes())?;
            let status = give(&mut caller, &value, data, size)?;
            caller.data().world.borrow_mut().meddle(&key);
            Ok(status)
        }
    );
    host_call!(
        linker,
        "proxy_set_shared_data",
        |caller, key: u32, key_size: u32, value: u32, size: u32, version: u32| {
            let (key, value) = (read(&mut caller, key, key_size)?, read(&mut caller, value, size)?);
            let written = caller.data().world.borrow_mut().set(&key, &value, version);
            Ok(if written { OK } else { CAS_MISMATCH })
        }
    );
    Ok(())
}

fn root(linker: &mut Linker<Host>) -> Result<()> {
    host_call!(linker, "proxy_get_current_time_nanoseconds", |caller, time: u32| {
        let now = caller.data().world.borrow().now_ms * 1_000_000;
        write(&mut caller, time, &now.to_le_bytes())?;
        Ok(OK)
    });
    host_call!(linker, "proxy_set_tick_period_milliseconds", |_caller, _period: u32| Ok(OK));
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut caller: Caller<'_, Host>, context: u32| -> Result<u32> {
            // The SDK makes this call itself before it passes an answer on, and cannot go on without it.
            if !std::mem::take(&mut caller.data_mut().sdk_speaks) {
                let failed = caller.data().world.borrow_mut().faults.meet("proxy_set_effective_context");
                if let Some(status) = failed {
                    return Ok(status);
                }
            }
            caller.data_mut().effective = context;
            Ok(OK)
        },
    )?;
    host_call!(linker, "proxy_define_metric", |caller, _kind: u32, name: u32, name_size: u32, id: u32| {
        let name = String::from_utf8_lossy(&read(&mut caller, name, name_size)?).into_owned();
        let host = caller.data_mut();
        host.metrics.push(name);
        let new = u32::try_from(host.metrics.len() - 1)?;
        write(&mut caller, id, &new.to_le_bytes())?;
        Ok(OK)
    });
    host_call!(linker, "proxy_increment_metric", |caller, id: u32, by: i64| {
        Ok(if caller.data_mut().count(id, by) { OK } else { NOT_FOUND })
    });
    host_call!(linker, "proxy_record_metric", |caller, id: u32, _value: u64| {
        Ok(if caller.data_mut().count(id, 1) { OK } else { NOT_FOUND })
    });
    host_call!(linker, "proxy_log", |caller, level: u32, text: u32, size: u32| {
        let text = String::from_utf8_lossy(&read(&mut caller, text, size)?).into_owned();
        caller.data_mut().log.push((level, text));
        Ok(OK)
    });
    host_call!(linker, "proxy_http_call", |caller,
                                           _cluster: u32,
                                           _cluster_size: u32,
                                           _headers: u32,
                                           _headers_size: u32,
                                           body: u32,
                                           body_size: u32,
                                           _trailers: u32,
                                           _trailers_size: u32,
                                           _timeout_ms: u32,
                                           token: u32| {
        let body = read(&mut caller, body, body_size)?;
        let host = caller.data_mut();
        host.last_token += 1;
        let new = host.last_token;
        host.call_outs.push(CallOut { token: new, context: host.effective, body });
        write(&mut caller, token, &new.to_le_bytes())?;
        Ok(OK)
    });
    Ok(())
}

fn wasi(linker: &mut Linker<Host>) -> Result<()> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(
        WASI,
        "random_get",
        |mut caller: Caller<'_, Host>, at: u32, size: u32| -> Result<u32> {
            let mut bytes = Vec::new();
            while bytes.len() < size as usize {
                let number = caller.data_mut().random.as_mut().map_or(0, |random| random.next());
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.truncate(size as usize);
            write(&mut caller, at, &bytes)?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |mut caller: Caller<'_, Host>, count: u32, size: u32| -> Result<u32> {
            let variables = caller.data().environment.clone();
            let bytes: usize = variables.iter().map(|variable| variable.len() + 1).sum();
            write(&mut caller, count, &u32::try_from(variables.len())?.to_le_bytes())?;
            write(&mut caller, size, &u32::try_from(bytes)?.to_le_bytes())?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        WASI,
        "environ_get",
        |mut caller: Caller<'_, Host>, pointers: u32, text: u32| -> Result<u32> {
            let variables = caller.data().environment.clone();
            let (mut pointer, mut at) = (pointers, text);
            for variable in variables {
                write(&mut caller, pointer, &at.to_le_bytes())?;
                let bytes = [variable.as_bytes(), b"\0"].concat();
                write(&mut caller, at, &bytes)?;
                pointer += 4;
                at += u32::try_from(bytes.len())?;
            }
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |mut caller: Caller<'_, Host>, _file: u32, vectors: u32, count: u32, written: u32| -> Result<u32> {
            let mut text = Vec::new();
            for index in 0..count {
                let vector = read(&mut caller, vectors + index * 8, 8)?;
                let number = |at: usize| {
                    vector.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
                };
                text.extend(read(&mut caller, number(0), number(4))?);
            }
            write(&mut caller, written, &u32::try_from(text.len())?.to_le_bytes())?;
            let line = (u32::MAX, String::from_utf8_lossy(&text).into_owned());
            caller.data_mut().log.push(line);
            Ok(OK)
        },
    )?;
    linker.func_wrap(WASI, "proc_exit", |code: u32| -> Result<()> {
        wasmtime::bail!("the module ended itself with {code}")
    })?;
    Ok(())
}

/// A buffer that can be read now: request body, response body, a call-out's answer, the configuration.
fn buffer(host: &mut Host, kind: u32) -> Option<&mut Vec<u8>> {
    match kind {
        0 => host
            .stream()
            .filter(|stream| stream.phase == Phase::RequestBody)
            .map(|stream| &mut stream.request_body),
        1 => host
            .stream()
            .filter(|stream| stream.phase == Phase::ResponseBody)
            .map(|stream| &mut stream.response_body),
        4 => host.answer.as_mut().map(|(_, body)| body),
        7 => Some(&mut host.configuration),
        _ => None,
    }
}

/// A header map that can be read now.
fn map(host: &mut Host, kind: u32) -> Option<&mut Vec<Pair>> {
    if kind == 6 {
        return host.answer.as_mut().map(|(headers, _)| headers);
    }
    let stream = host.stream()?;
    match (kind, stream.phase) {
        (0, Phase::RequestHeaders | Phase::Log) => Some(&mut stream.request),
        (0, Phase::RequestBody) if stream.headers_wait => Some(&mut stream.request),
        (2, Phase::ResponseHeaders | Phase::Log) => Some(&mut stream.response),
        _ => None,
    }
}

fn serialised(pairs: &[Pair]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = number(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend_from_slice(&number(name.len()));
        bytes.extend_from_slice(&number(value.len()));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

fn parsed(bytes: &[u8]) -> Option<Vec<Pair>> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = number(0)?;
    let mut at = 4 + count * 8;
    let mut pairs = Vec::new();
    for index in 0..count {
        let (name, value) = (number(4 + index * 8)?, number(8 + index * 8)?);
        let value_at = at + name + 1;
        pairs.push((bytes.get(at..at + name)?.to_vec(), bytes.get(value_at..value_at + value)?.to_vec()));
        at = value_at + value + 1;
    }
    Some(pairs)
}

fn memory(caller: &mut Caller<'_, Host>) -> Result<Memory> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    memory.context("the module exports no memory")
}

fn read(caller: &mut Caller<'_, Host>, at: u32, size: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    memory(caller)?.read(&mut *caller, at as usize, &mut bytes)?;
    Ok(bytes)
}

fn write(caller: &mut Caller<'_, Host>, at: u32, bytes: &[u8]) -> Result<()> {
    Ok(memory(caller)?.write(&mut *caller, at as usize, bytes)?)
}

/// Puts bytes into memory of the module's own; nothing where there are none, as Envoy does.
fn give(caller: &mut Caller<'_, Host>, bytes: &[u8], data: u32, size: u32) -> Result<u32> {
    let mut at = 0;
    if !bytes.is_empty() {
        let allocate = caller.get_export("proxy_on_memory_allocate").and_then(Extern::into_func);
        let allocate =
            allocate.context("the module exports no allocator")?.typed::<u32, u32>(&mut *caller)?;
        at = allocate.call(&mut *caller, u32::try_from(bytes.len())?)?;
        write(caller, at, bytes)?;
    }
    write(caller, data, &at.to_le_bytes())?;
    write(caller, size, &u32::try_from(bytes.len())?.to_le_bytes())?;
    Ok(OK)
}
