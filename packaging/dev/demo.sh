#!/usr/bin/env bash
# Serves packaging/examples/ in the foreground; Ctrl-C stops it and removes what it made.
set -u
cd "$(dirname "$0")/../.."

examples=$PWD/packaging/examples
emperor=$PWD/.venv/bin/emperor
temporary=$(mktemp -d -t emperor-demo.XXXXXX)
trap 'rm -rf "$temporary"' EXIT
chmod 755 "$temporary"

# As root the examples run as nobody, who may not look into /root.
if [ "$(id -u)" = 0 ] && ! setpriv --reuid nobody --clear-groups test -r "$examples/hello.toml"; then
    echo "$examples is closed to the user nobody: serving a copy, $temporary/examples."
    cp -r "$examples" "$temporary/examples"
    chmod -R a+rX "$temporary/examples"  # cloned under umask 077, it is root's alone
    examples=$temporary/examples
fi

# What Python compiles beside the applications goes with the rest, if it was not there before.
compiled=$examples/apps/__pycache__
[ -e "$compiled" ] || trap 'rm -rf "$temporary" "$compiled"' EXIT

cat <<BANNER
Serving $examples. Try, from another terminal:

    curl http://127.0.0.1:8000/               hello: a page of the request's environment
    curl 'http://127.0.0.1:8001/sleep?30'     slow: killed after 2 s; watch the log here
    ls -l /tmp/emperor-demo-shop.sock         shop: the uwsgi protocol, for nginx
    .venv/bin/emperor status --runtime-dir $temporary/run
    touch $examples/apps/hello.py
                                              a new generation, without a refused connection

Ctrl-C stops all of it.

BANNER

# In a process group of its own (-m), so that Ctrl-C reaches it once: through us.
set -m
"$emperor" run --config packaging/dev/demo.toml --runtime-dir "$temporary/run" "$examples" \
    </dev/null &
pid=$!
set +m

stopping=
stop() {
    [ -z "$stopping" ] || return
    stopping=yes
    kill -TERM "$pid" 2>/dev/null
}
trap stop INT TERM HUP

# wait returns early when a signal was trapped.
while kill -0 "$pid" 2>/dev/null; do
    wait "$pid"
    status=$?
done
# Stopped as asked is a success; ended by itself is not.
[ -n "$stopping" ] || exit "$status"
