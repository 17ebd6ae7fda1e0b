"""Options of uWSGI about its processes: how many, how long, when anew. Data."""

from emperor.uwsgi.rows import ignored, satisfied, supported, unsupported

_ALGORITHM = "the number of workers follows the requests that wait, between cheaper and processes"
_TITLE = "processes are named after their vassal; the name is written with procname"
_RELOAD = "emperor reload NAME, or name a file: touch-reload = FILE"

WORKERS = (
    *supported("workers", "p|processes= p|workers= cheaper= cheaper-initial= cheaper-step="),
    *ignored(
        _ALGORITHM,
        "cheaper-algo= cheaper-overload= cheaper-busyness-max="
        " cheaper-busyness-min= cheaper-busyness-multiplier= cheaper-busyness-penalty="
        " cheaper-busyness-verbose cheaper-busyness-backlog-alert="
        " cheaper-busyness-backlog-multiplier= cheaper-busyness-backlog-step="
        " cheaper-busyness-backlog-nonzero=",
    ),
    *ignored(
        "prints a list; nothing is served by it",
        "cheaper-algo-list cheaper-algos-list cheaper-list",
    ),
    *unsupported(
        "write memory_high under [limits]: no worker is added that would not fit into memory_max",
        "cheaper-rss-limit-soft= cheaper-rss-limit-hard=",
    ),
    *supported("on_demand", "cheap"),
    *supported("on_demand, idle_stop", "idle= die-on-idle"),
    *supported("threads", "threads="),
    *satisfied("threads of the application run as it starts them", "T|enable-threads"),
    *ignored(
        "a thread has the stack that the kernel gives it",
        "thread-stacksize= threads-stacksize= thread-stack-size= threads-stack-size=",
    ),
    *ignored(
        "workers that stop wait for stop_timeout, and for no thread beyond it", "no-threads-wait"
    ),
    *supported("procname", "procname= procname-prefix= procname-prefix-spaced="),
    *satisfied(_TITLE, "auto-procname"),
    *ignored(_TITLE, "procname-append= procname-master="),
    *satisfied(
        "every vassal has a master, which has no code of the application's in it", "M|master"
    ),
    *ignored("a reload keeps the master, and its listeners", "exit-on-reload"),
    *ignored("a vassal is a service: nobody reads its standard input", "honour-stdin"),
    *satisfied("when a master goes, the kernel ends all processes below it", "no-orphans"),
    *satisfied("the master reaps every orphan of its vassal", "r|reaper"),
    *ignored("the interpreter ends as Python ends", "skip-atexit skip-atexit-teardown"),
    *ignored("a crash is a signal in the log, and its core is the kernel's affair", "use-abort"),
    *ignored(
        "a worker that dies at once is started again after pauses that grow", "forkbomb-delay="
    ),
    *satisfied(
        "the master sleeps until the next deadline, and is never late for it", "check-interval="
    ),
    *ignored("the clock is the kernel's monotonic one", "clock= clock-list clocks-list"),
    *satisfied("uwsgi.lock() has as many", "locks="),
    *ignored("locks are the kernel's", "lock-engine= ftok= persistent-ipcsem"),
    *unsupported("a vassal starts one application; remove it", "mode="),
    *unsupported("write an application of your own", "no-server command-mode force-gateway"),
    *ignored("reaches plugins that are no part of this", "c|cgi-mode loop-list loops-list"),
)

HARAKIRI = (
    *supported("harakiri", "t|harakiri="),
    *satisfied("the log has the request and the stack of what was killed", "harakiri-verbose"),
    *supported("harakiri_soft, harakiri", "harakiri-graceful-timeout="),
    *ignored(
        "an exception is raised in the request, without a signal", "harakiri-graceful-signal="
    ),
    *ignored("a request that runs too long is killed, whatever waits", "harakiri-queue-threshold="),
    *ignored(
        "there are no hooks after a request",
        "harakiri-no-arh no-harakiri-arh no-harakiri-after-req-hook",
    ),
    *ignored("the stack is Python's, in full", "backtrace-depth="),
)

RECYCLING = (
    *supported("max_requests", "R|max-requests="),
    *supported("max_requests_jitter", "max-requests-delta="),
    *supported("max_worker_lifetime", "max-worker-lifetime="),
    *ignored(
        "workers never recycle all together: the lifetime of each differs by chance",
        "max-worker-lifetime-delta=",
    ),
    *ignored("a worker that is replaced leaves when the new one accepts", "min-worker-lifetime="),
    *supported("reload_on_rss", "reload-on-rss= evil-reload-on-rss="),
    *supported("reload_on_as", "reload-on-as= evil-reload-on-as="),
    *ignored("memory is looked at after each request", "mem-collector-freq="),
    *supported("stop_timeout", "worker-reload-mercy="),
    *ignored("workers never obeyed it; write worker-reload-mercy", "reload-mercy="),
    *supported(
        "touch_reload",
        "touch-reload= touch-workers-reload= touch-chain-reload= fs-reload= fs-brutal-reload=",
    ),
    *unsupported(_RELOAD, "reload-on-fd= brutal-reload-on-fd="),
    *unsupported("let a systemd path unit run the command", "touch-exec= touch-signal= fs-signal="),
    *satisfied("a touched file is noticed whoever runs", "propagate-touch"),
    *unsupported(
        "mount it before the emperor starts: RequiresMountsFor= in the unit",
        "check-mountpoint= mountpoint-check= check-mount= mount-check=",
    ),
)

LIMITS = (
    *supported("limits.limit_as", "limit-as="),
    *supported("limits.limit_nproc", "limit-nproc="),
    *supported("limits.limit_nofile", "max-fd="),
    *supported("limits.nice", "prio="),
    *supported("worker_cpus", "cpu-affinity="),
    *supported("limits.umask", "umask="),
    *unsupported("write memory_swap_max = 0 under [limits]", "never-swap"),
    *ignored("the kernel shares what is equal by copy-on-write: workers are forked", "ksm=?"),
    *unsupported(
        "write memory_max, cpu_quota and tasks_max under [limits]: each vassal has a cgroup",
        "cgroup= cgroup-opt= cgroup-dir-mode=",
    ),
)
