//! Renders a file of `envoy/` for a run on this machine: the file that users read is the file that runs.
//!
//! The file is read as YAML; addresses, paths and upstreams are replaced; what is written is JSON, which
//! Envoy reads as well. A replacement that finds nothing to replace is an error, so that the files and the
//! harness cannot part ways in silence.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

/// What is replaced.
#[derive(Clone, Debug, Default)]
pub struct Replace {
    /// Port of the only listener, which is bound to loopback.
    pub listener_port: u16,
    /// Port of the admin interface.
    pub admin_port: u16,
    /// The module, wherever one is loaded.
    pub module: Option<PathBuf>,
    /// Access log.
    pub access_log: Option<PathBuf>,
    /// Where clusters, by their names, are on loopback, without TLS.
    pub clusters: BTreeMap<String, SocketAddr>,
    /// More endpoints of clusters, which take turns with the first.
    pub more_endpoints: BTreeMap<String, SocketAddr>,
    /// Paths of other files named in the configuration.
    pub files: BTreeMap<String, PathBuf>,
    /// Set in the filter's plugin configuration; `null` removes a key.
    pub plugin: Map<String, Value>,
    /// More providers to give a route `/PROVIDER/`, to the cluster of the first route that is there.
    pub more_providers: Vec<String>,
}

/// Reads a YAML file, aliases resolved.
///
/// # Errors
/// The file cannot be read or is not YAML.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not YAML", path.display()))
}

/// The configuration of `path`, with everything of `replace` put in.
///
/// # Errors
/// The file has no place for a replacement.
pub fn render(path: &Path, replace: &Replace) -> Result<Value> {
    let mut config = read(path)?;
    let within = || format!("in {}", path.display());
    set_port(&mut config, "/admin", replace.admin_port).with_context(within)?;
    set_port(&mut config, "/static_resources/listeners/0", replace.listener_port).with_context(within)?;
    if let Some(module) = &replace.module {
        set_everywhere(&mut config, "code", &json!({"local": {"filename": module}})).with_context(within)?;
    }
    if let Some(log) = &replace.access_log {
        set_access_log(&mut config, log).with_context(within)?;
    }
    for (name, address) in &replace.clusters {
        set_cluster(&mut config, name, *address).with_context(within)?;
    }
    for (name, address) in &replace.more_endpoints {
        add_endpoint(&mut config, name, *address).with_context(within)?;
    }
    for (named, path) in &replace.files {
        set_text(&mut config, named, &path.to_string_lossy()).with_context(within)?;
    }
    for provider in &replace.more_providers {
        add_route(&mut config, provider).with_context(within)?;
    }
    if !replace.plugin.is_empty() {
        set_plugin(&mut config, &replace.plugin).with_context(within)?;
    }
    Ok(config)
}

/// Replaces the loaded files of a configuration that is only to be validated.
///
/// # Errors
/// A path is not named in the configuration.
pub fn with_files(path: &Path, files: &BTreeMap<String, PathBuf>) -> Result<Value> {
    let mut config = read(path)?;
    for (named, path) in files {
        set_text(&mut config, named, &path.to_string_lossy())?;
    }
    Ok(config)
}

fn set_port(config: &mut Value, at: &str, port: u16) -> Result<()> {
    let address = config
        .pointer_mut(&format!("{at}/address/socket_address"))
        .with_context(|| format!("no socket address at {at}"))?;
    *address = json!({"address": "127.0.0.1", "port_value": port});
    Ok(())
}

/// Sets every field `key` that holds an object.
fn set_everywhere(config: &mut Value, key: &str, value: &Value) -> Result<()> {
    let mut found = 0;
    visit(config, &mut |node| {
        if let Some(field) = node.get_mut(key).filter(|field| field.is_object()) {
            *field = value.clone();
            found += 1;
        }
    });
    if found == 0 {
        bail!("no field `{key}`");
    }
    Ok(())
}

/// Replaces every text that is exactly `from`.
fn set_text(config: &mut Value, from: &str, to: &str) -> Result<()> {
    let mut found = 0;
    visit(config, &mut |node| {
        if node.as_str() == Some(from) {
            *node = to.into();
            found += 1;
        }
    });
    if found == 0 {
        bail!("`{from}` is not named");
    }
    Ok(())
}

fn set_access_log(config: &mut Value, log: &Path) -> Result<()> {
    let mut found = 0;
    visit(config, &mut |node| {
        if type_of(node).is_some_and(|kind| kind.ends_with("FileAccessLog")) {
            node["path"] = json!(log);
            found += 1;
        }
    });
    if found == 0 {
        bail!("no file access log");
    }
    Ok(())
}

fn cluster<'c>(config: &'c mut Value, name: &str) -> Result<&'c mut Value> {
    let clusters = config.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
    let mut clusters = clusters.context("no clusters")?.iter_mut();
    clusters.find(|cluster| cluster["name"] == name).with_context(|| format!("no cluster `{name}`"))
}

/// Adds an endpoint, and what `envoy.yaml` says to add with it: one that fails is left out for a while.
fn add_endpoint(config: &mut Value, name: &str, address: SocketAddr) -> Result<()> {
    let cluster = cluster(config, name)?;
    cluster["outlier_detection"] = json!({"consecutive_5xx": 1, "interval": "1s", "base_ejection_time": "3s", "max_ejection_percent": 50});
    let endpoints = cluster.pointer_mut("/load_assignment/endpoints/0/lb_endpoints");
    let endpoints = endpoints.and_then(Value::as_array_mut);
    let endpoints = endpoints.with_context(|| format!("cluster `{name}` has no endpoints"))?;
    let address = json!({"address": address.ip(), "port_value": address.port()});
    endpoints.push(json!({"endpoint": {"address": {"socket_address": address}}}));
    Ok(())
}

/// Puts a cluster on loopback, without TLS.
fn set_cluster(config: &mut Value, name: &str, address: SocketAddr) -> Result<()> {
    let cluster = cluster(config, name)?;
    let fields = cluster.as_object_mut().context("a cluster is an object")?;
    fields.remove("transport_socket");
    fields.insert("type".into(), "STATIC".into());
    let endpoint = cluster
        .pointer_mut("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address")
        .with_context(|| format!("cluster `{name}` has no endpoint"))?;
    *endpoint = json!({"address": address.ip(), "port_value": address.port()});
    Ok(())
}

/// Adds a route like the first one; `unknown` names no provider.
fn add_route(config: &mut Value, provider: &str) -> Result<()> {
    let mut added = false;
    visit(config, &mut |node| {
        let routes = node.get_mut("routes").and_then(Value::as_array_mut).filter(|_| !added);
        if let Some(routes) = routes
            && let Some(mut route) = routes.first().cloned()
        {
            let metadata = match provider {
                "unknown" => json!({}),
                provider => json!({"filter_metadata": {"tollgate": {"provider": provider}}}),
            };
            if let Some(fields) = route.as_object_mut() {
                fields.insert("name".into(), json!(provider));
                fields.insert("match".into(), json!({"prefix": format!("/{provider}/")}));
                fields.insert("metadata".into(), metadata);
            }
            routes.push(route);
            added = true;
        }
    });
    if !added {
        bail!("no routes");
    }
    Ok(())
}

/// Sets keys of the JSON text that configures the filter (root id `tollgate`).
fn set_plugin(config: &mut Value, keys: &Map<String, Value>) -> Result<()> {
    let mut outcome = Err(anyhow::anyhow!("no plugin with root_id `tollgate`"));
    visit(config, &mut |node| {
        if node.get("root_id").is_some_and(|id| id == "tollgate") {
            outcome = set_json_text(node, keys);
        }
    });
    outcome
}

fn set_json_text(plugin: &mut Value, keys: &Map<String, Value>) -> Result<()> {
    let text = plugin.pointer_mut("/configuration/value").context("the plugin has no configuration")?;
    let mut parsed: Map<String, Value> = serde_json::from_str(text.as_str().unwrap_or_default())
        .context("the plugin's configuration is not a JSON object")?;
    for (key, value) in keys {
        match (parsed.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(new)) => known.extend(new.clone()),
            (_, Value::Null) => {
                parsed.remove(key);
            }
            _ => {
                parsed.insert(key.clone(), value.clone());
            }
        }
    }
    *text = Value::Object(parsed).to_string().into();
    Ok(())
}

fn type_of(node: &Value) -> Option<&str> {
    node.get("@type")?.as_str()
}

/// Calls `change` on every value of the tree, parents first.
fn visit(node: &mut Value, change: &mut impl FnMut(&mut Value)) {
    change(node);
    match node {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| visit(field, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_without_a_place_is_an_error() {
        let mut config = json!({"a": {"path": "/etc/x"}});
        set_text(&mut config, "/etc/x", "/tmp/y").unwrap();
        assert_eq!(config, json!({"a": {"path": "/tmp/y"}}));
        assert!(set_text(&mut config, "/etc/x", "/tmp/y").is_err());
        assert!(set_everywhere(&mut config, "code", &json!({})).is_err());
        assert!(set_plugin(&mut config, &Map::new()).is_err());
    }

    #[test]
    fn plugin_keys_are_merged_into_the_json_text() {
        let text = r#"{"gateway": "a", "collector": {"cluster": "c"}}"#;
        let mut config = json!([{"root_id": "tollgate", "configuration": {"value": text}}]);
        let keys = json!({"gateway": "b", "collector": {"interval_ms": 100}});
        set_plugin(&mut config, keys.as_object().unwrap()).unwrap();
        let written = config[0]["configuration"]["value"].as_str().unwrap();
        let written: Value = serde_json::from_str(written).unwrap();
        assert_eq!(written, json!({"gateway": "b", "collector": {"cluster": "c", "interval_ms": 100}}));
    }
}
