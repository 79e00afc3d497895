# shellcheck shell=bash
# Programs that take the sandbox for Stripe: the official SDKs and Stripe's own command line. Sourced by
# ./test, after clients.sh.

stripe_cli() {
  printf '%s/node/node_modules/@stripe/cli-linux-%s/bin/stripe' "$(readlink -f "$clients_dir")" "$(clients_machine)"
}

sandbox_sdks() {
  tollgate_sandbox sandbox-python
  export SANDBOX_URL
  tallied sandbox-python "$clients_dir/python/bin/python" tests/clients/sandbox_python.py
  tallied stop-sandbox-python tollgate_stop
  tollgate_sandbox sandbox-node
  tallied sandbox-node "$clients_node" "$clients_dir/node/sandbox_node.mjs"
  tallied stop-sandbox-node tollgate_stop
}

# Stripe's command line, a sandbox, and a server that knows the secret of `stripe listen`.
sandbox_cli() {
  local sandbox_pid secret database="sqlite:tollgate.db" home="$run_dir/stripe-home"
  mkdir "$home"
  tollgate_sandbox sandbox-cli
  sandbox_pid=$tollgate_pid
  secret=$(env -i PATH="$PATH" HOME="$home" STRIPE_CLI_TELEMETRY_OPTOUT=1 HTTPS_PROXY=http://127.0.0.1:9 \
    NO_PROXY=127.0.0.1 "$(stripe_cli)" listen --print-secret --skip-update --all-snapshot --no-wss \
    --api-base "$SANDBOX_URL" --api-key sk_test_tollgate0123456789abcdef) ||
    die "stripe listen --print-secret failed: $secret"
  tollgate_serve cli-server DATABASE_URL="$database" STRIPE_WEBHOOK_SECRET="$secret"
  export SANDBOX_URL TOLLGATE_URL
  STRIPE_CLI="$(stripe_cli)" STRIPE_HOME="$home" STRIPE_WEBHOOK_SECRET="$secret" DATABASE_URL="$database" \
    TOLLGATE_BINARY="$tollgate_binary" TOLLGATE_DIR="$tollgate_dir" \
    tallied stripe-cli "$clients_node" "$clients_dir/node/stripe_cli.mjs"
  tallied stop-cli-server tollgate_stop
  tallied stop-cli-sandbox tollgate_stop "$sandbox_pid"
}
