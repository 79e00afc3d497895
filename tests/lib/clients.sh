# shellcheck shell=bash
# The official Stripe SDKs against a running server. Sourced by ./test.
#
# The clients are test-only and pinned; they live under target/ and are installed once.

clients_dir="${CARGO_TARGET_DIR:-target}/clients"
clients_secrets="whsec_tollgate_client_tests_new,whsec_tollgate_client_tests_old"
clients_prices='{"premium": ["price_tollgate_premium"]}'

clients_node=node           # of at least this major version; Debian 12 has 18, then npm brings one
clients_node_oldest=20
clients_node_brought=22.23.3

clients_install() {
  mkdir -p "$clients_dir"
  clients_install_python
  clients_install_node
}

clients_install_python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages Python python3 python3-venv
  # A kept folder may be of another machine, whose interpreter is elsewhere.
  if ! cmp -s tests/clients/requirements.txt "$clients_dir/python/installed.txt" ||
    ! "$clients_dir/python/bin/python" -c 'import stripe' 2>/dev/null; then
    rm -rf "$clients_dir/python"
    python3 -m venv "$clients_dir/python"
    "$clients_dir/python/bin/pip" install --quiet --disable-pip-version-check --no-deps \
      -r tests/clients/requirements.txt || die "pip could not install the Python SDK"
    cp tests/clients/requirements.txt "$clients_dir/python/installed.txt"
  fi
  "$clients_dir/python/bin/python" -c 'import stripe; print("stripe for Python", stripe.VERSION)'
}

clients_install_node() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    install_packages Node.js nodejs npm
  fi
  if ! node -e "process.exit(parseInt(process.versions.node, 10) < $clients_node_oldest ? 1 : 0)"; then
    clients_bring_node
  fi
  if ! cmp -s tests/clients/package.json "$clients_dir/node/installed.json"; then
    rm -rf "$clients_dir/node"
    mkdir -p "$clients_dir/node"
    cp tests/clients/package.json "$clients_dir/node/package.json"
    npm install --prefix "$clients_dir/node" --no-package-lock --ignore-scripts --no-audit --no-fund \
      --loglevel=error || die "npm could not install the Node clients"
    cp tests/clients/package.json "$clients_dir/node/installed.json"
  fi
  cp tests/clients/*.mjs tests/clients/*.mts "$clients_dir/node/"
  "$clients_node" -p '"stripe for Node " + require(process.argv[1]).version' \
    "$(readlink -f "$clients_dir")/node/node_modules/stripe/package.json"
}

# A newer Node.js, from the package that npm has of it; nothing of it leaves target/.
clients_bring_node() {
  local package
  package="node-linux-$(clients_machine)"
  clients_node="$(readlink -f "$clients_dir")/runtime/node_modules/$package/bin/node"
  [[ $("$clients_node" --version 2>/dev/null) == "v$clients_node_brought" ]] ||
    npm install --prefix "$clients_dir/runtime" --no-package-lock --ignore-scripts --no-audit --no-fund \
      --loglevel=error "$package@$clients_node_brought" || die "npm could not install Node.js"
  echo "Node.js $(node --version) is too old for the clients: they run on $("$clients_node" --version)"
}

# The machine, in the words of npm's packages.
clients_machine() {
  case "$(uname -m)" in
    x86_64) echo x64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) die "Stripe's command line is not made for $(uname -m)" ;;
  esac
}

clients_run() {
  # A name of this run's own: the server may be somebody's, and have seen an earlier run.
  local database=tollgate_clients_$$ url
  clients_run_on sqlite "sqlite:tollgate.db"
  url=$(postgres_create_database "$database") || die "no database could be made on $POSTGRES_URL"
  clients_run_on postgres "$url"
  postgres_drop_database "$database"
}

# clients_run_on ENGINE DATABASE_URL
clients_run_on() {
  local engine=$1 key
  tollgate_serve "$engine" DATABASE_URL="$2" STRIPE_WEBHOOK_SECRET="$clients_secrets" \
    STRIPE_PRODUCT_PRICE_MAP="$clients_prices"
  key=$(cd "$tollgate_dir" && env -i PATH="$PATH" DATABASE_URL="$2" \
    "$tollgate_binary" keys create --name clients --scopes check --json) || die "no key could be made"
  key=$(sed -n 's/.*"key": *"\([^"]*\)".*/\1/p' <<<"$key")
  export TOLLGATE_URL TOLLGATE_KEY="$key" STRIPE_WEBHOOK_SECRET="$clients_secrets"
  RUN_ID="py_$engine" tallied "python-$engine" "$clients_dir/python/bin/python" tests/clients/stripe_python.py
  RUN_ID="node_$engine" tallied "node-$engine" "$clients_node" "$clients_dir/node/stripe_node.mjs"
  RUN_ID="openapi_$engine" tallied "openapi-$engine" "$clients_node" "$clients_dir/node/openapi_node.mjs"
  tallied "stop-$engine" tollgate_stop
}
