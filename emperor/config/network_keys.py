"""The keys of sockets and the names behind them. Pure."""

from functools import partial

from emperor.config import tightness as tight
from emperor.config import values
from emperor.config.key import Key
from emperor.config.network import host_names, listen_addresses
from emperor.config.schemas import ACCOUNT, BOOLEAN, DURATION, MODE, SIZE, TEXTS, integer
from emperor.config.stats_addresses import stats_addresses

NETWORK_KEYS = (
    Key(
        "listen",
        listen_addresses,
        TEXTS,
        "Addresses: PROTOCOL://HOST:PORT or PROTOCOL+unix:///PATH; http, uwsgi, fastcgi or scgi."
        " PROTOCOL+unix://@NAME is an abstract socket, to which every process can connect.",
        example='["uwsgi+unix:///run/emperor/blog.sock", "http://127.0.0.1:8000"]',
        write=lambda addresses: [address.url for address in addresses],
    ),
    Key(
        "hosts",
        host_names,
        TEXTS,
        "Names that the web server routes here through RUNTIME_DIR/hosts/NAME.sock.",
        default="[]",
        example='["blog.example"]',
    ),
    Key(
        "backlog",
        partial(values.whole, minimum=1, maximum=65535),
        integer(1, 65535),
        "Length of the queue.",
        "1024",
        "4096",
        rule=tight.AT_MOST,
    ),
    Key(
        "stats",
        stats_addresses,
        TEXTS,
        "Addresses that tell statistics in uWSGI's form: tcp://HOST:PORT, unix:///PATH; http://"
        " and http+unix:// as HTTP.",
        "[]",
        '["tcp://127.0.0.1:9191"]',
        write=lambda addresses: [address.url for address in addresses],
    ),
    Key(
        "stats_requests",
        values.boolean,
        BOOLEAN,
        "Statistics tell method and URI of the requests that run now.",
        "false",
        "true",
    ),
    Key("socket.user", values.account_name, ACCOUNT, "Owner of unix sockets.", "", '"blog"'),
    Key("socket.group", values.account_name, ACCOUNT, "Group of unix sockets.", "", '"www-data"'),
    Key(
        "socket.mode",
        values.file_mode,
        MODE,
        "Mode of unix sockets.",
        '"660"',
        '"666"',
        write=lambda mode: f"{mode:03o}",
    ),
    Key(
        "socket_timeout",
        partial(values.duration, minimum=values.SHORTEST_DURATION),
        DURATION,
        "Longest wait for a client that sends or takes nothing.",
        "30",
        '"1m"',
    ),
    Key(
        "keepalive_timeout",
        partial(values.duration, minimum=values.SHORTEST_DURATION),
        DURATION,
        "Longest wait for the next request on an HTTP connection.",
        "15",
        "5",
    ),
    Key(
        "max_head",
        partial(values.size, minimum=1024, maximum=1024 * 1024),
        SIZE,
        "Largest request head; more is answered 431.",
        '"32K"',
        '"64K"',
        rule=tight.AT_MOST,
    ),
    Key(
        "max_body",
        values.size,
        SIZE,
        "Largest request body; more is answered 413. 0 = no limit.",
        "0",
        '"20M"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
)
