"""The names of uWSGI's module that are not here, and what to do instead. Data."""

_TIMERS = "emperord has no signals and timers: let a systemd timer, or a scheduler of the"
_TIMERS += " application's own, do it"
_MULES = "emperord has no mules and no spooler: use a task queue, such as rq, huey or celery"
_ASYNC = "emperord serves WSGI with processes and threads only"
NOT_HERE = (
    (
        """add_cron add_file_monitor add_rb_timer add_timer register_signal signal signal_received
        signal_wait alarm""",
        _TIMERS,
    ),
    (
        """spool send_to_spooler spooler_jobs spooler_pid mule_msg mule_get_msg farm_msg
        farm_get_msg set_spooler_frequency""",
        _MULES,
    ),
    (
        """async_connect async_sleep green_schedule suspend wait_fd_read wait_fd_write
        websocket_handshake websocket_recv websocket_recv_nb websocket_send
        websocket_send_binary chunked_read chunked_read_nb""",
        _ASYNC,
    ),
    (
        """cache_clear cache_dec cache_del cache_div cache_exists cache_get cache_inc cache_keys
        cache_mul cache_num cache_set cache_update""",
        "no cache is there: write cache2 = name=default,items=100",
    ),
    (
        """metric_dec metric_div metric_get metric_inc metric_mul metric_set metric_set_max
        metric_set_min""",
        "use prometheus_client, which works over several processes",
    ),
    (
        """close connect connection_fd disconnect is_connected offload ready_fd recv send sendfile
        start_response""",
        "what a request answers goes by WSGI alone: yield it, or return wsgi.file_wrapper(file)",
    ),
    (
        """SymbolsImporter SymbolsZipImporter ZipImporter cl embedded_data extract magic_table
        parsefile""",
        "nothing is embedded here: read files with open() or importlib.resources",
    ),
    ("i_am_the_lord lord_scroll scrolls", "emperord has no legion: use keepalived or etcd"),
    ("route", "routing is nginx's here: write location blocks there"),
    (
        "listen_queue log_this_request logsize set_warning_message sockets stop",
        "that is the provider's here: see emperor status, emperor logs and emperor stop",
    ),
)
