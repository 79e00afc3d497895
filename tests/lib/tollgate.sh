# shellcheck shell=bash
# Starts and stops the real binary. Sourced by ./test.

TOLLGATE_URL=""
SANDBOX_URL=""
tollgate_binary="${CARGO_TARGET_DIR:-target}/debug/tollgate"
tollgate_dir=""            # of the last that was started
tollgate_pid=""
declare -A tollgate_dirs=() # of all that run, by process id

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
  tollgate_dirs[$tollgate_pid]=$tollgate_dir
  on_exit "tollgate_stop $tollgate_pid"
  exec {tollgate_stdout}<"$tollgate_dir/stdout"
}

# Takes the next line into $REPLY; a server that says nothing for half a minute is not coming.
tollgate_read_line() {
  if ! read -r -t 30 <&"$tollgate_stdout"; then
    cat "$tollgate_dir/server.log" >&2
    die "tollgate did not become ready"
  fi
}

# Takes a JSON object of several lines, as commands print it with --json, into $REPLY.
tollgate_read_json() {
  local told=""
  REPLY=""
  while [[ $REPLY != "}" ]]; do
    tollgate_read_line
    told+=$REPLY$'\n'
  done
  REPLY=$told
}

# Nobody reads what comes now, but a full pipe would stop the server.
tollgate_read_no_more() {
  cat <&"$tollgate_stdout" >>"$tollgate_dir/server.log" &
  exec {tollgate_stdout}<&-
}

# tollgate_listening NAME [VARIABLE=VALUE...] COMMAND [ARGUMENT...]: starts what says first where it listens.
tollgate_listening() {
  tollgate_spawn "$@"
  tollgate_read_line
  [[ $REPLY == "listening on http://"* ]] || die "tollgate $1 began with: $REPLY"
  tollgate_read_no_more
  REPLY=${REPLY#listening on }
  echo "tollgate $1 at $REPLY"
}

# tollgate_serve NAME [VARIABLE=VALUE...]: serves on a free port and waits until it is ready. Nobody reads its
# metrics, so they take no port.
tollgate_serve() {
  tollgate_listening "$@" TOLLGATE__SERVER__METRICS_LISTEN=off serve --listen 127.0.0.1:0
  TOLLGATE_URL=$REPLY
}

# tollgate_sandbox NAME: a Stripe of our own on a free port, empty.
tollgate_sandbox() {
  tollgate_listening "$1" sandbox --port 0
  SANDBOX_URL=$REPLY
}

# Asks one process, or the last that was started, by SIGTERM and waits; a server that does not drain and
# exit 0 has failed.
tollgate_stop() {
  local pid=${1:-$tollgate_pid} status=0
  [[ -n $pid && -n ${tollgate_dirs[$pid]:-} ]] || return 0
  local dir=${tollgate_dirs[$pid]}
  unset "tollgate_dirs[$pid]"
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" || status=$?
  if ((status != 0)); then
    tail -n 20 "$dir/server.log" >&2
    echo "tollgate: 0 passed, 1 failed"
    return 1
  fi
  echo "tollgate: 1 passed, 0 failed"
}
