//! Each target on each input of its corpus, without a fuzzer.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wspulse_fuzz_targets::TARGETS;

#[test]
fn no_input_that_was_kept_breaks_a_promise() {
    let panics = count_panics();
    for (name, target) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
        let mut replayed = 0;
        for entry in fs::read_dir(&corpus).expect("each target has a corpus") {
            let path = entry.expect("a readable folder").path();
            target(&fs::read(&path).expect("a readable file"));
            // Some panic in tasks, where the target does not see it.
            assert_eq!(panics.load(Ordering::Relaxed), 0, "on {}", path.display());
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {name} is empty");
    }
}

fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&panics);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        counter.fetch_add(1, Ordering::Relaxed);
        hook(panic);
    }));
    panics
}
