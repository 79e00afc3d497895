# shellcheck shell=bash
# A throw-away PostgreSQL cluster with durable defaults. Sourced by ./test.
#
# Sets POSTGRES_URL: a superuser on the maintenance database, so that tests can create databases of their
# own. A server you already have can be used instead by setting TOLLGATE_TEST_POSTGRES_URL.

POSTGRES_URL=""
postgres_bin=""
postgres_data=""
postgres_user=""   # whom the server runs as; empty: ourselves

# The newest server among Debian's versioned directories, else whatever is on the path.
postgres_find() {
  local dir
  postgres_bin=""
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5 -n -r); do
    if [[ -x $dir/initdb && -x $dir/postgres ]]; then
      postgres_bin=$dir
      return
    fi
  done
  if dir=$(command -v initdb) && [[ -x $(dirname "$(readlink -f "$dir")")/postgres ]]; then
    postgres_bin=$(dirname "$(readlink -f "$dir")")
  fi
}

postgres_install() {
  # Debian's package would start a cluster of its own on port 5432: nobody asked for one here.
  local keep_off=/etc/postgresql-common/createcluster.d/tollgate-test.conf
  if ! as_root mkdir -p "${keep_off%/*}" ||
    ! as_root tee "$keep_off" >/dev/null <<<'create_main_cluster = false'; then
    die "PostgreSQL is missing: run 'apt-get install postgresql' as root and then ./test again"
  fi
  install_packages PostgreSQL postgresql
  as_root rm -f "$keep_off"
  postgres_find
  [[ -n $postgres_bin ]] || die "PostgreSQL was installed, but no initdb was found"
}

# One test runs behind PgBouncer. Where services are managed, Debian's package would start one of its own
# on port 6432: it is told not to, while it is installed.
pgbouncer_find() {
  local program keep_off=/usr/sbin/policy-rc.d ours=""
  for program in /usr/sbin/pgbouncer /usr/bin/pgbouncer /usr/local/bin/pgbouncer; do
    [[ ! -x $program ]] || return 0
  done
  if [[ ! -e $keep_off ]] && as_root tee "$keep_off" >/dev/null <<<$'#!/bin/sh\nexit 101'; then
    ours=1
    as_root chmod 755 "$keep_off"
  fi
  install_packages PgBouncer pgbouncer
  [[ -z $ours ]] || as_root rm -f "$keep_off"
}

# initdb refuses root, so as root the server runs as the package's user, or as nobody.
as_postgres() {
  if [[ -n $postgres_user ]]; then
    (cd / && runuser -u "$postgres_user" -- "$@")
  else
    "$@"
  fi
}

postgres_start() {
  if [[ -n ${TOLLGATE_TEST_POSTGRES_URL:-} ]]; then
    echo "using the server of TOLLGATE_TEST_POSTGRES_URL"
    POSTGRES_URL=$TOLLGATE_TEST_POSTGRES_URL
    return
  fi
  postgres_find
  [[ -n $postgres_bin ]] || postgres_install
  if ((EUID == 0)); then
    postgres_user=postgres
    id "$postgres_user" >/dev/null 2>&1 || postgres_user=nobody
  fi
  postgres_data="$run_dir/postgres"
  mkdir -m 700 "$postgres_data"

  local password
  password=$(head -c 18 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
  printf '%s\n' "$password" >"$postgres_data.password"
  [[ -z $postgres_user ]] || chown "$postgres_user" "$postgres_data" "$postgres_data.password"
  as_postgres "$postgres_bin/initdb" -D "$postgres_data" -U tollgate --pwfile "$postgres_data.password" \
    --auth=password --encoding=UTF8 --locale=C >"$run_dir/initdb.log" 2>&1 || {
    cat "$run_dir/initdb.log" >&2
    die "initdb failed"
  }
  postgres_configure
  postgres_listen "$password"
}

postgres_configure() {
  as_postgres tee -a "$postgres_data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
fsync = on
synchronous_commit = on
full_page_writes = on
CONF
}

# PostgreSQL cannot be told "any free port", so ports are tried until one is ours.
postgres_listen() {
  local password=$1 port attempt
  for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 12000))
    if as_postgres "$postgres_bin/pg_ctl" start -w -t 60 -s -D "$postgres_data" \
      -l "$postgres_data/server.log" -o "-p $port" >/dev/null 2>&1; then
      on_exit postgres_stop
      POSTGRES_URL="postgres://tollgate:$password@127.0.0.1:$port/postgres"
      echo "PostgreSQL $("$postgres_bin/postgres" --version | awk '{print $3}') on 127.0.0.1:$port"
      return
    fi
    grep -q 'could not create any TCP/IP sockets' "$postgres_data/server.log" 2>/dev/null || break
    : >"$postgres_data/server.log"
  done
  cat "$postgres_data/server.log" >&2 || true
  die "PostgreSQL did not start (attempt $attempt)"
}

# pg_ctl signals the process id in the cluster's own postmaster.pid, and no other server.
postgres_stop() {
  as_postgres "$postgres_bin/pg_ctl" stop -m immediate -w -s -D "$postgres_data"
}

# postgres_create_database NAME: prints the URL of a new, empty database.
postgres_create_database() {
  postgres_do "CREATE DATABASE $1" || return
  printf '%s/%s' "${POSTGRES_URL%/*}" "$1"
}

# postgres_drop_database NAME
postgres_drop_database() {
  postgres_do "DROP DATABASE $1 WITH (FORCE)"
}

postgres_do() {
  PGCONNECT_TIMEOUT=10 "${postgres_bin:+$postgres_bin/}psql" -q -v ON_ERROR_STOP=1 -d "$POSTGRES_URL" -c "$1" >&2
}
