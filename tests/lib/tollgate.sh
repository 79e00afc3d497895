# Starts and stops the real `tollgate serve`. Sourced by ./test.

TOLLGATE_URL=""
tollgate_pid=""
