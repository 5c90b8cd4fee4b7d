# shellcheck shell=sh disable=SC2154
# Read by `serve`, `build-deb`, `tests/run` and `.ci/run`: a Rust toolchain that is new enough, and packages of Debian, where
# they are missing. The reader has `say` and `die`, and has set `project`.

# Runs a command as root, or says what root would have to run.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "as root, run: $*"
    fi
}

# install REASON PACKAGE...
install_packages() {
    reason=$1
    shift
    command -v apt-get >/dev/null 2>&1 || die "$reason: please install what Debian calls $*, and try again"
    say "$reason: installing $*"
    # The lists of a fresh machine are empty or old.
    as_root apt-get update -qq >&2 ||
        say "the lists of packages could not be renewed; trying with those that are here"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
        die "apt-get could not install $*"
}

# Can programs be linked? A compiler without the C library's start files can't.
can_link() {
    command -v cc >/dev/null 2>&1 && printf 'int main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null
}

# rustc brings no linker of its own.
need_linker() {
    can_link || install_packages "rustc links programs with cc and the C library's start files" gcc libc6-dev
    can_link || die "cc still can't link a program"
}

# Is the first version at least the second?
at_least() {
    [ -n "$1" ] && printf '%s\n%s\n' "$2" "$1" | sort -V -C
}

# The oldest Rust that builds this, as Cargo.toml says.
oldest_rust() {
    sed -n 's/^rust-version = "\(.*\)"/\1/p' "$project/Cargo.toml"
}

has_rust() {
    command -v cargo >/dev/null 2>&1 && at_least "$(rustc --version 2>/dev/null | cut -d' ' -f2)" "$(oldest_rust)"
}

# The version of a package that apt would install; empty if there is none.
candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'
}

# Finds a toolchain, or installs one: of Debian where it has one that is new enough, else with its rustup.
need_rust() {
    # rustup puts cargo where a shell that was opened before doesn't look; it is newer than the cargo of most distributions.
    has_rust && return
    usual=$PATH
    PATH=${CARGO_HOME:-${HOME-}/.cargo}/bin:$PATH
    has_rust && return
    PATH=$usual
    why="Rust $(oldest_rust) or newer is needed, and here is $(rustc --version 2>/dev/null || echo none)"
    command -v apt-get >/dev/null 2>&1 || die "$why: install it with rustup (https://rustup.rs), and try again"
    as_root apt-get update -qq >&2 || say "the lists of packages could not be renewed; trying with those that are here"
    # A small system knows nobody's certificates, and crates come over TLS: hence ca-certificates.
    # Debian 12 keeps a newer compiler for its browsers, under names of its own.
    if at_least "$(candidate cargo-web)" "$(oldest_rust)"; then
        install_packages "$why" cargo-web rustc-web rust-web-clippy rustfmt-web ca-certificates
    elif at_least "$(candidate cargo)" "$(oldest_rust)"; then
        install_packages "$why" cargo rustc rust-clippy rustfmt ca-certificates
    elif [ -n "$(candidate rustup)" ]; then
        install_packages "$why" rustup ca-certificates
        rustup toolchain install stable --profile minimal --component rustfmt --component clippy >&2
        rustup default stable >&2
    else
        die "$why, and no package has it: install it with rustup (https://rustup.rs), and try again"
    fi
    hash -r
    has_rust || die "$why; what has been installed does not help: $(command -v rustc) is $(rustc --version 2>&1)"
}
