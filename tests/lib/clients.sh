# The official Stripe SDKs against a running server. Sourced by ./test.

clients_install() { :; }
clients_run() { :; }
