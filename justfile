# Shortcuts for those who have `just`. Nothing needs them: each is a command or two of cargo's.

# Lists what there is.
default:
    @just --list

# Formats the code.
fmt:
    cargo fmt --all

# What CI checks without running anything: format, lints, documentation.
check:
    .ci/run format lint document

# All tests that need nothing but Rust.
test:
    cargo test --workspace

# Test coverage, as a page; needs cargo-llvm-cov.
cover:
    cargo llvm-cov --workspace --html

# The benchmarks beside other servers, in three minutes; `bench/peers/build` builds those first.
bench:
    cargo run --release -p wspulse-bench -- --quick

# Brings the lock files in line with the manifests, and checks what is depended on.
tidy:
    cargo update --workspace
    cd fuzz && cargo update --workspace
    cargo deny check bans licenses sources

# Removes what was built.
clean:
    cargo clean
    rm -rf .cache

# The documentation, with all features, in a browser.
doc:
    cargo doc --workspace --all-features --no-deps --open
