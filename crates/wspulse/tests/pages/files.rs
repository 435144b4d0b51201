//! A file of tests that no `mod` line names would never run, and nothing would tell.

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 3] = ["wspulse", "wspulse-core", "wspulse-client"];

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The files of this folder that its root does not name.
fn unnamed(folder: &Path) -> Vec<PathBuf> {
    let roots = ["main.rs", "mod.rs"].map(|root| folder.join(root));
    let Some(root) = roots.iter().find(|root| root.exists()) else { return Vec::new() };
    let source = fs::read_to_string(root).unwrap();
    let mut files = entries(folder);
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.retain(|file| file != root);
    files.retain(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (private, shared) = (format!("mod {name};"), format!("pub(crate) mod {name};"));
        !source.lines().any(|line| line == private || line == shared)
    });
    files
}

#[test]
fn every_file_of_tests_is_part_of_a_binary() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = CRATES.map(|name| entries(&server.with_file_name(name).join("tests"))).concat();
    let folders: Vec<_> = folders.into_iter().filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 15, "{folders:?}");
    let unnamed: Vec<_> = folders.iter().flat_map(|folder| unnamed(folder)).collect();
    assert!(unnamed.is_empty(), "no main.rs or mod.rs names these: {unnamed:#?}");
}
