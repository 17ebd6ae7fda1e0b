"""The worker's settings: parsed once from the text that came over the wire."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping


class WorkerSettings:
    """Seconds are floats, 0 = off or no limit; missing keys take the default."""

    def __init__(self, text: Mapping[str, str]):
        def number(key: str, default: float) -> float:
            return float(text.get(key) or default)

        self.worker = int(number("worker", 0))
        self.threads = max(1, int(number("threads", 1)))
        self.slots = int(number("slots", 1))
        # uWSGI numbers threads where there are several.
        self.tells_core = bool(text.get("uwsgi_api")) and self.threads > 1
        self.apps = int(number("apps", 1))
        self.harakiri_s = number("harakiri_s", 0)
        self.harakiri_max_s = number("harakiri_max_s", 0)
        self.harakiri_soft_s = number("harakiri_soft_s", 0)
        self.access_log = text.get("access_log", "")
        self.requests_fd = int(text.get("requests_fd") or 2)
        self.raw_harakiri = text.get("raw_harakiri") == "1"
        self.socket_timeout_s = number("socket_timeout_s", 30)
        self.keepalive_timeout_s = number("keepalive_timeout_s", 15)
        self.max_requests = int(number("max_requests", 0))
        self.max_requests_jitter = int(number("max_requests_jitter", 0))
        self.max_worker_lifetime_s = number("max_worker_lifetime_s", 0)
        self.reload_on_rss_bytes = int(number("reload_on_rss_bytes", 0))
        self.reload_on_as_bytes = int(number("reload_on_as_bytes", 0))
        self.autoreload_s = number("autoreload_s", 0)
        self.memory_current_fd = int(number("memory_current_fd", -1))
        self.memory_stat_fd = int(number("memory_stat_fd", -1))
        self.head_bytes_max = int(number("head_bytes_max", 32 * 1024))
        self.body_bytes_max = int(number("body_bytes_max", 0))
