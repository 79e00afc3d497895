//! The tree as it stands passes; and each kind of fault, planted in a tree of its own, is found.

use super::{check, headers, manifests, words};
use crate::tidy::ratchet::Mode;
use crate::tree::{File, Tree, root};

fn this_repository() -> Tree {
    Tree::read(&root()).unwrap()
}

#[test]
fn the_repository_is_tidy() {
    let findings: Vec<String> =
        check(&this_repository(), Mode::Check).unwrap().iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_crate_of_the_workspace_is_looked_at() {
    let tree = this_repository();
    let manifests = tree.texts(&["toml"]).filter(|(path, _)| path.ends_with("/Cargo.toml")).count();
    let crates = root().join("crates").read_dir().unwrap().count();
    assert_eq!(manifests, crates);
}

#[test]
fn faults_are_reported_with_file_and_line() {
    let text = format!("//! Short.\n// {}: later\n", concat!("TO", "DO"));
    let tree = Tree { files: vec![File { path: "a/utils.rs".to_owned(), text: Some(text) }] };
    let mut places: Vec<_> = words::check(&tree)
        .into_iter()
        .chain(headers::check(&tree))
        .map(|f| (f.path, f.line))
        .collect();
    places.sort();
    let at = |line| ("a/utils.rs".to_owned(), line);
    assert_eq!(places, [at(0), at(1), at(2)]);
    assert!(manifests::check(&tree).is_empty());
}

#[test]
fn a_tree_is_read_without_build_output_and_with_binary_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("target/debug/x.rs", b"fn x() {}");
    write("src/a.rs", b"//! a");
    write("src/a.dict", &[0xff, 0xfe]);
    let tree = Tree::read(folder.path()).unwrap();
    let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["src/a.dict", "src/a.rs"]);
    assert_eq!(tree.text("src/a.rs"), Some("//! a"));
    assert_eq!(tree.text("src/a.dict"), None);
    assert!(tree.contains("src") && !tree.contains("target"));
}
