//! The list of a small made-up workspace, and of this one.

use super::*;
use crate::tree::root;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn package(name: &str, kind: &str) -> Value {
    json!({
        "id": format!("id-{name}"), "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
        "repository": null, "targets": [{ "kind": [kind] }],
    })
}

fn node(name: &str, uses: &[(&str, Option<&str>)]) -> Value {
    let uses = uses.iter().map(|(name, kind)| {
        json!({ "pkg": format!("id-{name}"), "dep_kinds": [{ "kind": kind, "target": null }] })
    });
    json!({ "id": format!("id-{name}"), "deps": uses.collect::<Vec<_>>() })
}

/// The binary uses a library and a macro; the macro a parser; tests a tool; building a compiler.
fn made_up() -> Told {
    let names = [PACKAGE, "tool", "parser", "macro", "library", "compiler"];
    let kind = |name: &str| if name == "macro" { "proc-macro" } else { "lib" };
    let uses =
        [("macro", None), ("library", None), ("tool", Some("dev")), ("compiler", Some("build"))];
    let tree = "tollgate-server v1.0.0 (crates/x)\nlibrary v1.0.0\nmacro v1.0.0 (proc-macro)\nparser v1.0.0\n";
    let locked = |name: &str| Locked {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        source: (name != PACKAGE).then(|| REGISTRY.to_owned()),
        checksum: (name != PACKAGE).then(|| "00ff".to_owned()),
    };
    Told {
        metadata: json!({
            "packages": names.map(|name| package(name, kind(name))),
            "resolve": { "nodes": [
                node(PACKAGE, &uses), node("macro", &[("parser", None)]), node("library", &[]),
                node("parser", &[]),
            ] },
        }),
        built_of: tree.lines().filter_map(name_and_version).collect(),
        locked: names.map(locked).into(),
    }
}

fn names(list: &Value) -> Vec<&str> {
    let components = list["components"].as_array().unwrap();
    components.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn what_is_for_tests_or_building_alone_is_no_part() {
    let list = list(&made_up()).unwrap();
    assert_eq!(names(&list), ["library", "macro", "parser"]);
    let uses = &list["dependencies"][3];
    assert_eq!(uses["ref"], "pkg:cargo/tollgate-server@1.0.0");
    assert_eq!(uses["dependsOn"], json!(["pkg:cargo/library@1.0.0", "pkg:cargo/macro@1.0.0"]));
}

#[test]
fn each_part_has_licence_source_checksum_and_whether_it_runs() {
    let list = list(&made_up()).unwrap();
    let scope = |at: usize| list["components"][at]["scope"].as_str().unwrap();
    assert_eq!([0, 1, 2].map(scope), ["required", "excluded", "excluded"]);
    let library = &list["components"][0];
    assert_eq!(library["licenses"], json!([{ "expression": "MIT OR Apache-2.0" }]));
    assert_eq!(library["hashes"], json!([{ "alg": "SHA-256", "content": "00ff" }]));
    assert_eq!(library["properties"][0]["value"], REGISTRY);
    assert_eq!(library["purl"], "pkg:cargo/library@1.0.0");
    assert_eq!(list["metadata"]["component"]["name"], BINARY);
}

#[test]
fn a_crate_of_which_cargo_tells_nothing_is_an_error() {
    let mut told = made_up();
    told.built_of.insert(("ghost".to_owned(), "1.0.0".to_owned()));
    assert!(list(&told).unwrap_err().to_string().contains("4 crates where cargo tree has 5"));
}

#[test]
fn the_list_of_this_workspace_has_every_part_once_in_order_and_is_always_the_same() {
    let told = Told::by_cargo(&root(), &host().unwrap()).unwrap();
    let made = list(&told).unwrap();
    let again = list(&Told::by_cargo(&root(), &host().unwrap()).unwrap()).unwrap();
    assert_eq!(format!("{made:#}"), format!("{again:#}"));
    let made: Value = serde_json::from_str(&format!("{made:#}")).unwrap();

    // Everything but the application itself is a component, and everything is in the graph.
    assert_eq!(names(&made).len() + 1, told.built_of.len());
    let of = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
    };
    let (components, graph) =
        (of(&made["components"], "bom-ref"), of(&made["dependencies"], "ref"));
    assert!(components.is_sorted() && graph.is_sorted());
    let all: BTreeSet<_> = graph.iter().cloned().collect();
    assert_eq!(all.len(), graph.len(), "each once");
    assert_eq!(all.len(), told.built_of.len());
    let graph = made["dependencies"].as_array().unwrap();
    for used in graph.iter().flat_map(|one| one["dependsOn"].as_array().unwrap()) {
        assert!(all.contains(used.as_str().unwrap()), "{used} leads nowhere");
    }

    let names = names(&made);
    for part in ["tollgate-domain", "sqlx", "ring", "tokio", "libsqlite3-sys", "serde_derive"] {
        assert!(names.contains(&part), "{part} is missing");
    }
    for tool in ["insta", "proptest", "xtask", "cc"] {
        assert!(!names.contains(&tool), "{tool} is not in the binary");
    }
}

#[test]
fn every_foreign_part_of_this_workspace_has_a_licence_and_a_checksum() {
    let made = list(&Told::by_cargo(&root(), &host().unwrap()).unwrap()).unwrap();
    for component in made["components"].as_array().unwrap() {
        assert_eq!(component["licenses"].as_array().unwrap().len(), 1, "{component}");
        let ours = component["name"].as_str().unwrap().starts_with("tollgate-");
        let checksum = component["hashes"][0]["content"].as_str().map(str::len);
        assert_eq!(checksum, (!ours).then_some(64), "{component}");
    }
}
