# shellcheck shell=bash
# The first minutes of a newcomer, as the README tells them, with the real binary. Sourced by ./test.

walked=0
stumbled=0

# expect NAME PATTERN TEXT: the text has a line that matches.
expect() {
  if grep -Eq -- "$2" <<<"$3"; then
    walked=$((walked + 1))
    echo "ok    $1"
  else
    stumbled=$((stumbled + 1))
    printf 'FAIL  %s: nothing matches %s in\n%s\n' "$1" "$2" "$3"
  fi
}

# A command of the binary, in the folder of `dev`, with its exit code as the last line.
ask() {
  local status=0
  (cd "$tollgate_dir" && env -i PATH="$PATH" "$tollgate_binary" "$@" 2>&1) || status=$?
  echo "exit code $status"
}

# Starts `dev` and takes from its JSON the line to try.
dev() {
  tollgate_spawn dev dev --port 0 --json
  tollgate_read_json
  curl_line=$(sed -n 's/^ *"curl": "//p' <<<"$REPLY" | sed -e 's/",\{0,1\}$//' -e 's/\\"/"/g')
  tollgate_read_no_more
}

walkthrough() {
  local curl_line feature
  dev
  echo "$curl_line"
  feature=$(sed -n 's/.*"feature":"\([a-z0-9_]*\)".*/\1/p' <<<"$curl_line")

  expect "dev prints a line that is answered with access" '"canAccess": ?true' "$(bash -c "$curl_line" 2>&1)"
  expect "check agrees" 'exit code 0' "$(ask check acme "$feature")"
  expect "why names the subscription" 'sub_' "$(ask why acme)"
  expect "a failed renewal is sent and taken" 'exit code 0' "$(ask trigger scenario dunning --account acme)"
  expect "access is kept in the grace" 'exit code 0' "$(ask check acme "$feature")"
  expect "after the grace it is gone" 'exit code 3' "$(ask check acme "$feature" --at +26h)"
  expect "why explains the loss" 'past due|past_due' "$(ask why acme --at +26h)"
  expect "time is let pass for both" '1 day 2 hours ahead' "$(ask sandbox clock advance 26h)"
  expect "what was foreseen has come" 'exit code 3' "$(ask check acme "$feature")"
  expect "a card that pays is taken" 'exit code 0' "$(ask sandbox card acme good)"
  expect "the payment after all is taken" 'exit code 0' "$(ask trigger scenario dunning_recovered --account acme)"
  expect "the events are listed" 'invoice\.payment_failed' "$(ask events list --limit 100)"
  expect "a bad name is told with the nearest good one" 'dunning' "$(ask trigger scenario duning)"
  tollgate_stop
  echo "walkthrough: $walked passed, $stumbled failed"
  ((stumbled == 0))
}
