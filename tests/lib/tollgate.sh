# shellcheck shell=bash
# Starts and stops the real binary. Sourced by ./test.

TOLLGATE_URL=""
tollgate_binary="${CARGO_TARGET_DIR:-target}/debug/tollgate"
tollgate_dir=""
tollgate_pid=""

tollgate_build() {
  cargo build --quiet -p tollgate-server --bin tollgate || die "the binary did not build"
  tollgate_binary=$(readlink -f "$tollgate_binary")
}

# tollgate_spawn NAME [VARIABLE=VALUE...] COMMAND [ARGUMENT...]: runs a command that goes on, from an empty
# folder of its own and with nothing but these settings in its environment. Its output is read from
# the descriptor $tollgate_stdout.
tollgate_spawn() {
  local name=$1 settings=()
  shift
  while [[ ${1:-} == *=* ]]; do
    settings+=("$1")
    shift
  done
  tollgate_dir="$run_dir/tollgate-$name"
  mkdir "$tollgate_dir"
  mkfifo "$tollgate_dir/stdout"
  (cd "$tollgate_dir" && exec env -i PATH="$PATH" "${settings[@]}" "$tollgate_binary" "$@" \
    >stdout 2>server.log) &
  tollgate_pid=$!
  on_exit tollgate_stop
  exec {tollgate_stdout}<"$tollgate_dir/stdout"
}

# Takes the next line into $REPLY; a server that says nothing for half a minute is not coming.
tollgate_read_line() {
  if ! read -r -t 30 <&"$tollgate_stdout"; then
    cat "$tollgate_dir/server.log" >&2
    die "tollgate did not become ready"
  fi
}

# Nobody reads what comes now, but a full pipe would stop the server.
tollgate_read_no_more() {
  cat <&"$tollgate_stdout" >>"$tollgate_dir/server.log" &
  exec {tollgate_stdout}<&-
}

# tollgate_serve NAME [VARIABLE=VALUE...]: serves on a free port and waits until it is ready.
tollgate_serve() {
  tollgate_spawn "$@" serve --listen 127.0.0.1:0
  tollgate_read_line
  [[ $REPLY == "listening on http://"* ]] || die "tollgate serve began with: $REPLY"
  tollgate_read_no_more
  TOLLGATE_URL=${REPLY#listening on }
  echo "tollgate on $1 at $TOLLGATE_URL"
}

# Asks by SIGTERM and waits; a server that does not drain and exit 0 has failed.
tollgate_stop() {
  [[ -n $tollgate_pid ]] || return 0
  local status=0 pid=$tollgate_pid
  tollgate_pid=""
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" || status=$?
  if ((status != 0)); then
    tail -n 20 "$tollgate_dir/server.log" >&2
    echo "tollgate: 0 passed, 1 failed"
    return 1
  fi
  echo "tollgate: 1 passed, 0 failed"
}
