"""Options of uWSGI about logs, statistics and alarms. Data."""

from emperor.uwsgi.rows import ignored, satisfied, supported, unsupported

_ONE_LOG = "all that a vassal says is in one log; the journal can tell it apart: logger = syslog"
_CHAIN = "let the journal, or the program that collects logs, take lines apart"
_SOME = "every request is in the log, or none: write access_log"
_STATUS = "see: emperor status NAME --json, or GET /v1/vassals/NAME of the control API"
_ALARM = "let the monitoring read: emperor events --json"

LOGS = (
    *supported("log.target", "logto= logto2= d|daemonize= daemonize2= logger= log-syslog=?"),
    *supported("log.max_size", "log-maxsize="),
    *supported("access_log", "L|disable-logging log-format= logformat= log-micros m|memory-report"),
    *supported(
        "access_log", "log-4xx log-5xx log-zero log-slow= log-big= log-sendfile= log-ioerror="
    ),
    *unsupported("write log-format with %(var.HTTP_X_FORWARDED_FOR)", "log-x-forwarded-for"),
    *unsupported(
        "write log-format with %(ltime) or %(ctime)", "logformat-strftime log-format-strftime"
    ),
    *supported("log.date", "logdate=? log-date=? log-prefix=?"),
    *satisfied(
        "the master writes the log, and a full disk stops no worker", "log-master threaded-logger"
    ),
    *ignored(
        "lines pass through a pipe of the kernel's size",
        "log-master-bufsize= log-master-stream log-master-req-stream",
    ),
    *ignored("the master keeps the log open across reloads, and rotates it", "log-reopen"),
    *unsupported("remove the file before; logs are rotated by size", "log-truncate"),
    *ignored("rotated files are numbered: blog.log.1", "log-backupname="),
    *satisfied("a log file belongs to the vassal's user", "logfile-chown"),
    *ignored("a log file has the mode 640", "logfile-chmod="),
    *supported("log.touch_rotate", "touch-logrotate="),
    *supported("log.touch_reopen", "touch-logreopen="),
    *supported("log.requests", "req-logger= logger-req="),
    *unsupported(_ONE_LOG, "log-socket="),
    *unsupported(_CHAIN, "log-encoder= log-req-encoder="),
    *unsupported(_CHAIN, "log-drain= log-filter= log-route= log-req-route=", build="pcre"),
    *unsupported(_CHAIN, "log-zeromq=", build="logzmq"),
    *ignored("prints a list; nothing is served by it", "logger-list loggers-list"),
    *ignored("lines go to the journal whole", "rsyslog-packet-size= rsyslog-split-messages"),
)

STATISTICS = (
    *supported("stats", "stats= stats-server= stats-http"),
    *ignored(
        "asks for less of the statistics than stats= gives",
        "stats-minified stats-min stats-no-cores stats-no-metrics",
    ),
    *unsupported(_STATUS, "stats-push= stats-pusher-default-freq= stats-pushers-default-freq="),
    *satisfied("what is counted is counted always: emperor status NAME --json", "enable-metrics"),
    *unsupported(
        "count it in the application, with prometheus_client",
        "metric= metrics-dir= metric-dir= metrics-dir-restore metric-dir-restore metrics-no-cores",
    ),
    *unsupported(_ALARM, "metric-threshold= metric-alarm= alarm-metric="),
    *unsupported("let node_exporter read: emperor status --json", "snmp=? snmp-community="),
    *unsupported(
        "let the monitoring read: emperor status --json",
        "carbon= carbon-timeout= carbon-freq= carbon-id= carbon-no-workers carbon-max-retry="
        " carbon-retry-delay= carbon-root= carbon-hostname-dots= carbon-name-resolve"
        " carbon-resolve-names carbon-idle-avg= carbon-use-metrics rrdtool= rrdtool-freq="
        " rrdtool-lib= nagios",
    ),
    *unsupported(
        "let the monitoring read: emperor status --json", "zabbix-template=?", build="zabbix"
    ),
    *unsupported(
        _ALARM,
        "alarm= alarm-cheap= alarm-freq= alarm-fd= alarm-segfault= segfault-alarm= alarm-backlog="
        " backlog-alarm= lq-alarm= alarm-lq= alarm-listen-queue= listen-queue-alarm="
        " alarm-msg-size=",
    ),
    *unsupported(_ALARM, "log-alarm= alarm-log= not-log-alarm= not-alarm-log=", build="pcre"),
    *ignored("prints a list; nothing is served by it", "alarm-list alarms-list"),
    *unsupported("probe it from outside, or: [health] path", "ping= ping-timeout="),
)
