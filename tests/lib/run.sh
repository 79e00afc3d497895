# shellcheck shell=bash
# The frame of a test run: steps, logs, the tally, and the cleaning up. Sourced by ./test.
#
# A step that fails does not end the run; it is counted, and the run fails at the end. Only what makes
# later steps meaningless (no PostgreSQL, no binary) calls `die`.

run_dir=""        # everything this run writes outside target/
steps_done=0
steps_total=0
passed=0
failed=0
skipped=0
cleanups=()       # shell commands, run last to first when the run ends, however it ends

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

run_begin() {
  run_dir=$(mktemp -d "${TMPDIR:-/tmp}/tollgate-test.XXXXXXXX")
  # The database server may run as another user: let it reach its own directory below, and no other.
  chmod 711 "$run_dir"
  trap run_cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

on_exit() { cleanups+=("$1"); }

run_cleanup() {
  local status=$? i
  trap - EXIT INT TERM HUP
  for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
    eval "${cleanups[i]}" || true
  done
  rm -rf "$run_dir"
  exit "$status"
}

step() {
  steps_done=$((steps_done + 1))
  printf '\n==> %d/%d %s (%d:%02d)\n' \
    "$steps_done" "$steps_total" "$1" $((SECONDS / 60)) $((SECONDS % 60))
}

# Runs a command, shows and keeps its output, and adds what it reports to the tally. A command that fails
# without reporting a failed test (it did not compile, it crashed) counts as one failure of its own.
tallied() {
  local log="$run_dir/$1.log" status=0 add
  shift
  # Not a pipeline: the command may be a function of this shell that keeps state or starts servers.
  local out tee_pid
  exec {out}> >(exec tee "$log")
  tee_pid=$!
  "$@" >&"$out" 2>&1 || status=$?
  exec {out}>&-
  wait "$tee_pid"
  add=$(awk '
    /^test result: / { for (i = 1; i < NF; i++) { if ($(i+1) == "passed;") p += $i
                       if ($(i+1) == "failed;") f += $i; if ($(i+1) == "ignored;") s += $i } }
    /^[a-z-]+: [0-9]+ passed, [0-9]+ failed$/ { p += $2; f += $4 }
    END { print p + 0, f + 0, s + 0 }' "$log")
  local p f s
  read -r p f s <<<"$add"
  if ((status != 0 && f == 0)); then
    printf 'error: "%s" exited with %d\n' "$*" "$status" >&2
    f=1
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

cargo_test() { tallied cargo-test cargo test --workspace --no-fail-fast; }

run_end() {
  printf '\n==> done in %d:%02d\n' $((SECONDS / 60)) $((SECONDS % 60))
  if ((skipped > 0)); then
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  else
    printf '%d passed, %d failed\n' "$passed" "$failed"
  fi
  ((failed == 0 && passed > 0))
}
