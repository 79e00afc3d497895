//! The list of parts of the shipped binary, as CycloneDX.
//!
//! Owns which crates are in it, what is told of each, and in which order: by name and version, with no time
//! and nothing random, so that the same lock file gives the same bytes. Must not know how the binary is built
//! beyond what cargo tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::lockfile::{self, Locked};

/// The package whose binary is shipped, and the name of that.
const PACKAGE: &str = "tollgate-server";
const BINARY: &str = "tollgate";
const SPECIFICATION: &str = "1.6";

#[derive(Args)]
pub(crate) struct Arguments {
    /// The file to write
    #[arg(long, default_value = "target/tollgate.cdx.json")]
    output: PathBuf,
    /// The platform of the binary, instead of this machine's
    #[arg(long)]
    target: Option<String>,
}

/// What cargo tells of the workspace, before anything was picked.
struct Told {
    /// `cargo metadata`.
    metadata: Value,
    /// Name and version of every crate that the binary is built of, by `cargo tree`.
    built_of: BTreeSet<(String, String)>,
    locked: Vec<Locked>,
}

/// One crate of the binary.
struct Part<'a> {
    package: &'a Value,
    name: &'a str,
    version: &'a str,
    /// Ids of what it uses when it is built for the binary.
    uses: Vec<&'a str>,
    is_macro: bool,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let target = match &arguments.target {
        Some(target) => target.clone(),
        None => host()?,
    };
    let list = list(&Told::by_cargo(root, &target)?)?;
    let parts = array(list.get("components")).map_or(0, Vec::len);
    let output = root.join(&arguments.output);
    std::fs::create_dir_all(output.parent().unwrap_or(root))?;
    std::fs::write(&output, format!("{list:#}\n")).with_context(|| output.display().to_string())?;
    println!("{}: {parts} parts of {BINARY} on {target}", arguments.output.display());
    Ok(())
}

fn host() -> anyhow::Result<String> {
    let told = output(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV tells no host")?.to_owned())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", told.trim());
    Ok(String::from_utf8(output.stdout)?)
}

impl Told {
    fn by_cargo(root: &Path, target: &str) -> anyhow::Result<Self> {
        let cargo = |arguments: &[&str]| {
            output(Command::new("cargo").current_dir(root).arg("--locked").args(arguments))
        };
        let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", target])?;
        // The features of `cargo metadata` are those of the whole workspace; `cargo tree` has those of the binary.
        let tree = ["--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
        let tree =
            cargo(&[&["tree", "--package", PACKAGE, "--target", target][..], &tree].concat())?;
        Ok(Self {
            metadata: serde_json::from_str(&metadata).context("cargo metadata")?,
            built_of: tree.lines().filter_map(name_and_version).collect(),
            locked: lockfile::read(&std::fs::read_to_string(root.join("Cargo.lock"))?)?,
        })
    }
}

/// Of a line of `cargo tree`: `serde v1.0.228 (proc-macro)`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(' ')?;
    let version = rest.split_whitespace().next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

/// The whole document.
fn list(told: &Told) -> anyhow::Result<Value> {
    let parts = parts(told)?;
    let root = parts.iter().find(|(_, part)| part.name == PACKAGE).map(|(id, _)| *id);
    let root = root.with_context(|| format!("{PACKAGE} is not among its own parts"))?;
    let running = running(&parts, root);
    let mut components = Vec::new();
    let mut dependencies = BTreeMap::new();
    for (id, part) in &parts {
        let uses: BTreeSet<_> =
            part.uses.iter().filter_map(|id| Some(parts.get(id)?.name_in_list())).collect();
        dependencies.insert(part.name_in_list(), uses);
        if *id != root {
            components.push((part.name_in_list(), part.component(told, running.contains(id))));
        }
    }
    components.sort_by(|a, b| a.0.cmp(&b.0));
    let application = parts.get(root).context("the root")?;
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "xtask sbom" }] },
            "component": {
                "type": "application",
                "bom-ref": application.name_in_list(),
                "name": BINARY,
                "version": application.version,
                "licenses": application.licences(),
            },
        },
        "components": components.into_iter().map(|(_, component)| component).collect::<Vec<_>>(),
        "dependencies": dependencies
            .into_iter()
            .map(|(name, uses)| json!({ "ref": name, "dependsOn": uses }))
            .collect::<Vec<_>>(),
    }))
}

/// The crates of the binary, by cargo's id.
fn parts(told: &Told) -> anyhow::Result<BTreeMap<&str, Part<'_>>> {
    let nodes = array(told.metadata.pointer("/resolve/nodes")).context("no resolved graph")?;
    let uses: BTreeMap<_, _> =
        nodes.iter().filter_map(|node| Some((text(node, "id")?, normal_uses(node)))).collect();
    let mut parts = BTreeMap::new();
    for package in array(told.metadata.get("packages")).context("no packages")? {
        let field = |key| text(package, key).with_context(|| format!("a package without {key}"));
        let (id, name, version) = (field("id")?, field("name")?, field("version")?);
        if !told.built_of.contains(&(name.to_owned(), version.to_owned())) {
            continue;
        }
        let is_macro = array(package.get("targets")).into_iter().flatten().any(|target| {
            array(target.get("kind")).into_iter().flatten().any(|kind| kind == "proc-macro")
        });
        let uses = uses.get(id).cloned().unwrap_or_default();
        parts.insert(id, Part { package, name, version, uses, is_macro });
    }
    ensure!(
        parts.len() == told.built_of.len(),
        "{} crates where cargo tree has {}",
        parts.len(),
        told.built_of.len()
    );
    Ok(parts)
}

fn array(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

/// What a package uses that is neither for building alone nor for tests.
fn normal_uses(node: &Value) -> Vec<&str> {
    let uses = array(node.get("deps")).into_iter().flatten();
    let normal = |one: &&Value| {
        let kinds = array(one.get("dep_kinds")).into_iter().flatten();
        kinds.into_iter().any(|kind| kind.get("kind").is_some_and(Value::is_null))
    };
    uses.filter(normal).filter_map(|one| text(one, "pkg")).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// What runs in the binary: reached without passing a macro, which runs in the compiler.
fn running<'a>(parts: &BTreeMap<&'a str, Part<'a>>, root: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut pending = vec![root];
    while let Some(id) = pending.pop() {
        if let Some(part) = parts.get(id)
            && !part.is_macro
            && reached.insert(id)
        {
            pending.extend(&part.uses);
        }
    }
    reached
}

impl Part<'_> {
    /// Unique in the document; also where to find it, for what is from a registry.
    fn name_in_list(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    fn licences(&self) -> Value {
        // The slash is how crates said "or" before licence expressions.
        let expression = text(self.package, "license").map(|text| {
            let alternatives: Vec<_> = text.split('/').map(str::trim).collect();
            alternatives.join(" OR ")
        });
        expression.map_or_else(|| json!([]), |expression| json!([{ "expression": expression }]))
    }

    fn component(&self, told: &Told, runs: bool) -> Value {
        let mut component = json!({
            "type": "library",
            "bom-ref": self.name_in_list(),
            "name": self.name,
            "version": self.version,
            "scope": if runs { "required" } else { "excluded" },
            "licenses": self.licences(),
        });
        let locked = told.locked.iter().find(|one| {
            one.name == self.name && one.version == self.version && one.source.is_some()
        });
        let mut add = |key: &str, value: Value| {
            if let Some(fields) = component.as_object_mut() {
                fields.insert(key.to_owned(), value);
            }
        };
        if let Some(Locked { source: Some(source), checksum, .. }) = locked {
            add("purl", json!(self.name_in_list()));
            add("properties", json!([{ "name": "cargo:source", "value": source }]));
            if let Some(checksum) = checksum {
                add("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
            }
        }
        if let Some(repository) = text(self.package, "repository") {
            add("externalReferences", json!([{ "type": "vcs", "url": repository }]));
        }
        component
    }
}

#[cfg(test)]
mod tests;
