# shellcheck shell=bash
# A real browser in front of `tollgate dev`. Sourced by ./test, after clients.sh and walkthrough.sh.

browser_find() {
  command -v chromium >/dev/null || install_packages "a browser" chromium
  CHROMIUM=$(command -v chromium)
  "$CHROMIUM" --version 2>/dev/null
}

browser_run() {
  local told key url
  tollgate_spawn browser dev --port 0 --json
  tollgate_read_json
  told=$REPLY
  tollgate_read_no_more
  tell() { sed -n "s/^ *\"$1\": *\"\([^\"]*\)\".*/\1/p" <<<"$told"; }
  url=$(tell url) key=$(tell key)
  CHROMIUM="$CHROMIUM" TOLLGATE_URL="$url" TOLLGATE_KEY="$key" SANDBOX_URL="$(tell sandbox)" \
    SCREENSHOTS="${TOLLGATE_TEST_SCREENSHOTS:-}" \
    tallied browser "$clients_node" "$clients_dir/node/browser.mjs"
  tallied stop-browser tollgate_stop
}
