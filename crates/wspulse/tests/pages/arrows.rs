//! The folders of the sources import each other in one direction, but for what is said here.

use std::fs;
use std::path::{Path, PathBuf};

/// From what everything stands on to what stands on everything. A folder imports from itself and
/// from those before it.
const FOLDERS: [&str; 9] =
    ["ground", "cluster", "observe", "settings", "wire", "membership", "app", "task", "entry"];

/// A file, the folder above it that it imports from, and why.
const EXCEPTIONS: [(&str, &str, &str); 8] = [
    (
        "membership/ping_groups/pinger.rs",
        "app",
        "the groups of a runtime are looked after by a task of the server",
    ),
    ("membership/shared.rs", "app", "a connection leads to its server, and that to all others"),
    (
        "membership/turn_writes.rs",
        "app",
        "what is left of a turn is looked after by a task of the server",
    ),
    ("membership/turns.rs", "app", "whose turn it is depends on the runtimes of the server"),
    ("wire/transport.rs", "membership", "a transport remembers when it had its turn"),
    ("wire/transport/upgraded.rs", "entry", "only a listener knows which socket is in a stream"),
    ("app/server.rs", "task", "a server knows which callbacks have held their threads"),
    ("app/server/lifecycle.rs", "task", "a connection that begins gets its task"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The folders that a line of code names.
fn named(line: &str) -> impl Iterator<Item = usize> {
    let code = if line.trim_start().starts_with("//") { "" } else { line };
    code.split("crate::").skip(1).filter_map(|rest| {
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        FOLDERS.iter().position(|folder| *folder == name)
    })
}

#[test]
fn no_folder_imports_from_one_that_stands_on_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut against, mut needed) = (Vec::new(), [false; EXCEPTIONS.len()]);
    for (place, folder) in FOLDERS.iter().enumerate() {
        let mut files = Vec::new();
        sources(&root.join(folder), &mut files);
        assert!(!files.is_empty(), "there is nothing in {folder}");
        for path in files {
            let file = path.strip_prefix(&root).expect("a source").display().to_string();
            let text = fs::read_to_string(&path).expect("a source");
            let above = text.lines().flat_map(named).filter(|named| *named > place);
            for above in above {
                let is_it =
                    |(known, to, _): &(&str, &str, &str)| *known == file && *to == FOLDERS[above];
                match EXCEPTIONS.iter().position(is_it) {
                    Some(exception) => needed[exception] = true,
                    None => against.push(format!("{file} imports from {}", FOLDERS[above])),
                }
            }
        }
    }
    assert!(against.is_empty(), "{against:#?}");
    let idle: Vec<_> = EXCEPTIONS.iter().zip(needed).filter(|(_, needed)| !needed).collect();
    assert!(idle.is_empty(), "exceptions that nothing needs: {idle:#?}");
}
