# shellcheck shell=bash
# Installs Debian packages when a step needs one. Sourced by ./test.

apt_is_fresh=0

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
    sudo "$@"
  else
    return 127
  fi
}

# install_packages WHY PACKAGE...
install_packages() {
  local why=$1
  shift
  command -v apt-get >/dev/null ||
    die "$why is missing, and this is not a Debian system: install it ($*) and run ./test again"
  echo "installing $why: $*"
  if ((apt_is_fresh == 0)); then
    as_root apt-get -q -q update ||
      die "$why is missing: run 'apt-get install $*' as root and then ./test again"
    apt_is_fresh=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -q install -y --no-install-recommends "$@" >"$run_dir/apt.log" 2>&1 || {
    tail -n 20 "$run_dir/apt.log" >&2
    die "apt-get could not install $*"
  }
}
