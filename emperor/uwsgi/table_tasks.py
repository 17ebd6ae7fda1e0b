"""Options of uWSGI about work beside requests, and what processes share. Data."""

from emperor.uwsgi.rows import ignored, supported, unsupported

_CRON = "let a systemd timer or cron run it, as the vassal's user"
_DAEMON = "make it a service of systemd, of the vassal's user"
_QUEUE = "use a task queue, like Celery, RQ or Huey, as a service of its own"
_SHARED = "use Redis, Memcached, or the framework's own cache"
_SIGNALS = "use signals of the application's own: workers share nothing"

TASKS = (
    *supported("cron", "cron= cron2= unique-cron="),
    *ignored(_CRON, "cron-harakiri="),
    *unsupported(
        _CRON,
        "curl-cron= cron-curl= legion-curl-cron= legion-cron-curl= curl-cron-legion="
        " cron-curl-legion=",
        build="curl_cron",
    ),
    *supported(
        "daemon",
        "attach-daemon= attach-daemon2= attach-control-daemon= smart-attach-daemon="
        " smart-attach-daemon2=",
    ),
    *ignored(_DAEMON, "daemons-honour-stdin"),
    *unsupported(_QUEUE, "mule=? mules= farm= Q|spooler= spooler-external="),
    *ignored(
        _QUEUE,
        "mule-harakiri= mule-reload-mercy= mule-msg-size=? touch-mules-reload="
        " touch-spoolers-reload= spooler-ordered spooler-chdir= spooler-processes= spooler-quiet"
        " spooler-max-tasks= spooler-harakiri= spooler-frequency= spooler-freq= spooler-import="
        " spooler-pyimport= spooler-py-import= spooler-python-import=",
    ),
    *unsupported(
        _SIGNALS,
        "signal-timer= timer= signal-rbtimer= rbtimer= A|sharedarea= queue= queue-blocksize="
        " queue-store= queue-store-sync=",
    ),
    *ignored(_SIGNALS, "signal-bufsize= signals-bufsize= rpc-max="),
    *supported("uwsgi_api", "cache= cache2="),
    *unsupported(_SHARED, "add-cache-item= load-file-in-cache= load-file-in-cache-gzip="),
    *ignored(
        _SHARED,
        "cache-blocksize= cache-store= cache-store-sync= cache-no-expire cache-expire-freq="
        " cache-report-freed-items cache-udp-server= cache-udp-node= cache-sync="
        " cache-use-last-modified",
    ),
)
