# shellcheck shell=bash
# Starts and stops the real `tollgate serve`. Sourced by ./test.

TOLLGATE_URL=""
tollgate_binary="${CARGO_TARGET_DIR:-target}/debug/tollgate"
tollgate_dir=""
tollgate_pid=""

tollgate_build() {
  cargo build --quiet -p tollgate-server --bin tollgate || die "the binary did not build"
  tollgate_binary=$(readlink -f "$tollgate_binary")
}

# tollgate_start NAME [VARIABLE=VALUE...]: serves from an empty folder of its own, with nothing but these
# settings in its environment, and waits for the line that says it is ready.
tollgate_start() {
  local name=$1 ready
  shift
  tollgate_dir="$run_dir/$name"
  mkdir "$tollgate_dir"
  mkfifo "$tollgate_dir/stdout"
  (cd "$tollgate_dir" && exec env -i PATH="$PATH" "$@" "$tollgate_binary" serve --listen 127.0.0.1:0 \
    >stdout 2>server.log) &
  tollgate_pid=$!
  on_exit tollgate_stop
  exec {tollgate_stdout}<"$tollgate_dir/stdout"
  if ! read -r -t 30 ready <&"$tollgate_stdout" || [[ $ready != "listening on http://"* ]]; then
    cat "$tollgate_dir/server.log" >&2
    die "tollgate serve did not become ready: ${ready:-no line within 30 s}"
  fi
  cat <&"$tollgate_stdout" >>"$tollgate_dir/server.log" &
  exec {tollgate_stdout}<&-
  TOLLGATE_URL=${ready#listening on }
  echo "tollgate on $name at $TOLLGATE_URL"
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
