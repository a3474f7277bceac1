# What the suites in shell share: a clean copy of the repository, and checks that are counted. Sourced;
# `root` is the repository, `logs` a folder.
# shellcheck shell=bash
passed=0 failed=0

# The repository as a clone would have it, with what git would know once it is told; the names into `list`.
copy_clone() { # folder, list
    (
        cd "$root" && git ls-files -co --exclude-standard | while IFS= read -r file; do
            [ ! -e "$file" ] || echo "$file"
        done >"$2"
        tar cf - -T "$2" | tar xf - -C "$1"
    )
}

# Runs the command in a shell of its own, its output into the log of its first word.
check() { # what it shows, command
    local started=$SECONDS
    # Not in a condition: `set -e` would be off inside.
    (
        set -e
        "${@:2}"
    ) >"$logs/$2" 2>&1 </dev/null
    count "$1" $? $((SECONDS - started)) "$logs/$2"
}

count() { # what it shows, exit code, seconds, log
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        echo "ok     $1 ($3 s)"
    else
        failed=$((failed + 1))
        echo "FAILED $1 ($3 s, exit $2)"
        tail -n 40 "$4" | sed 's/^/    /'
    fi
}

# The last line, and the exit code.
conclude() {
    echo "$passed passed, $failed failed"
    [ $failed = 0 ] && [ $passed -gt 0 ]
}
