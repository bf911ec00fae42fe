# Sourced by tests/run. Each tests/sabotage/*.patch breaks one promise; its first lines name the test
# that must notice:
#
#   # test: leaks_synthea::no_hidden_value_leaves
#   # package: chartward-tests        (this one unless said; NAME of another for its own tests)
#
# A patch that doesn't apply or build, and a test that doesn't exist or still passes, fail the run.

sabotage() {
    local tree=$parts/sabotage log=$parts/sabotage.log patch failed=0 count=0
    [ $# -gt 0 ] || set -- tests/sabotage/*.patch
    [ -e "$1" ] || { say "no patches"; return 1; }
    git worktree remove --force "$tree" 2>/dev/null || true
    git worktree prune
    git worktree add --quiet --detach "$tree" HEAD
    # shellcheck disable=SC2064
    trap "git worktree remove --force '$tree'" EXIT
    # A target folder of its own: cargo tells neither the two trees' artifacts apart nor, by their
    # times, the spoilt ones from the good.
    target=$parts/sabotage-target
    export CARGO_TARGET_DIR=$target CHARTWARD_REQUIRE=all CHARTWARD_BIN=$target/debug/chartward
    for patch in "$@"; do
        patch=$(realpath "$patch")
        count=$((count + 1))
        git -C "$tree" reset --quiet --hard
        if ! spoil "$tree" "$patch" "$log"; then
            failed=$((failed + 1))
            tail -n 20 "$log" >&2
        fi
    done
    say "sabotage: $count patches, $((count - failed)) noticed, $failed not"
    [ "$failed" = 0 ]
}

spoil() {
    local tree=$1 patch=$2 log=$3 name package
    name=$(sed -n 's/^# test: *//p' "$patch" | head -n 1)
    package=$(sed -n 's/^# package: *//p' "$patch" | head -n 1)
    package=${package:-chartward-tests}
    [ -n "$name" ] || { say "$(basename "$patch"): names no test" | tee "$log"; return 1; }
    git -C "$tree" apply "$patch" >"$log" 2>&1 || { say "$(basename "$patch"): doesn't apply"; return 1; }
    (cd "$tree" && cargo build -p chartward && cargo test -p "$package" --no-run) >"$log" 2>&1 ||
        { say "$(basename "$patch"): doesn't build"; return 1; }
    if (cd "$tree" && cargo test -p "$package" "$name" -- --exact) >"$log" 2>&1; then
        say "$(basename "$patch"): \`$name\` didn't notice (or doesn't exist)"
        return 1
    fi
    grep -q "^test $name .*FAILED" "$log" || { say "$(basename "$patch"): \`$name\` didn't run"; return 1; }
    say "$(basename "$patch"): noticed by \`$name\`"
}
