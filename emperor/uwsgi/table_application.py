"""Options of uWSGI about the application and its interpreter. Data."""

from emperor.uwsgi.rows import ignored, satisfied, supported, unsupported

_CONFIG_LOADER = "load the file in a module of yours, and name that: module = blog.wsgi:application"
_PROTOCOL = "PEP 444's and its relatives are gone: make the application WSGI, and name it by module"
_IMPORT = "import it in the application's module; that runs once, before the workers are forked"
_SHELL = "run the virtualenv's own python; the application's settings are in: emperor explain NAME"
_LOOP = "write threads for concurrency in a worker; WSGI is served by processes and threads here"

APPLICATION = (
    *supported("app", "w|module= w|wsgi= wsgi-file= file= callable="),
    *supported("mounts", "mount="),
    *supported("mounts", "manage-script-name"),
    *ignored("SCRIPT_NAME comes from mounts, never from the client", "ignore-script-name"),
    *unsupported("write the mounts in full; what is not mounted goes to app", "no-default-app"),
    *unsupported("mount applications in the file: mount = /shop=shop.wsgi:app", "worker-mount="),
    *unsupported("one vassal for each site: a file for each host name", "vhost vhost-host"),
    *ignored("there is no bound to the number of mounts", "max-apps="),
    *satisfied("a vassal whose application cannot be loaded is not served", "need-app=?"),
    *satisfied("a worker has one interpreter", "i|single-interpreter"),
    *supported("directory", "chdir= chdir2="),
    *ignored("a reload begins in the folder of the file", "force-cwd="),
    *supported("python", "H|home= H|virtualenv= H|venv= H|pyhome="),
    *supported("pythonpath", "pythonpath= python-path= pp="),
    *supported("env", "env= unenv="),
    *unsupported("write each variable: env = NAME=value", "envdir= early-envdir="),
    *supported("lazy_apps", "lazy lazy-apps"),
    *unsupported(_CONFIG_LOADER, "pecan= paste= ini-paste= ini-paste-logged= eval="),
    *unsupported("call logging.config.fileConfig() in that module", "paste-logger"),
    *unsupported(_PROTOCOL, "web3= pump= wsgi-lite="),
    *unsupported("speak WSGI, or run the script as a service of its own", "python-raw="),
    *unsupported(
        "run it as a service of its own", "python-worker-override= worker-exec= worker-exec2="
    ),
    *unsupported(
        _IMPORT,
        "import= pyimport= py-import= python-import= shared-import= shared-pyimport="
        " shared-py-import= shared-python-import=",
    ),
    *unsupported(
        "set sys.modules in the application's module", "pymodule-alias= post-pymodule-alias="
    ),
    *unsupported("set sys.argv in the application's module", "pyargv="),
    *unsupported("remove asserts by hand: the interpreter runs without -O", "O|optimize="),
    *unsupported("give it a virtualenv of its own: virtualenv = /srv/blog/.venv", "no-site"),
    *ignored(
        "sys.executable is the virtualenv's interpreter",
        "py-programname= py-program-name= py-executable= py-sys-executable=",
    ),
    *ignored("os.environ is the process's environment from the start", "reload-os-env"),
    *unsupported(_SHELL, "pyshell=? pyshell-oneshot=?"),
    *unsupported("run the script with the virtualenv's own python", "python= py= pyrun="),
    *unsupported("check it first: emperor check FILE, emperor reload --wait NAME", "J|test="),
    *satisfied(
        "the stack of a request that is killed is written to the log; see also py-spy",
        "py-tracebacker=",
    ),
    *supported(
        "autoreload",
        "py-auto-reload= py-autoreload= python-auto-reload= python-autoreload=",
    ),
    *unsupported(
        "remove py-autoreload, and name files that reload the vassal: touch-reload = FILE",
        "py-auto-reload-ignore=",
    ),
    *ignored("each request has an environ of its own", "wsgi-env-behaviour= wsgi-env-behavior="),
    *ignored(
        "headers leave with the first byte of the body, as PEP 3333 has it",
        "start_response-nodelay",
    ),
    *satisfied("PEP 3333 is followed to the letter", "wsgi-strict"),
    *unsupported(
        "yield bytes: PEP 3333 has nothing else", "wsgi-accept-buffer wsgi-accept-buffers"
    ),
    *unsupported(
        "send the file in parts, or let the web server send it by X-Accel-Redirect",
        "wsgi-disable-file-wrapper",
    ),
    *satisfied(
        "workers are forked by Python itself, which runs its hooks",
        "py-call-osafterfork py-call-uwsgi-fork-hooks",
    ),
    *ignored("prints a version; nothing is served by it", "python-version"),
    *unsupported("use multiprocessing.shared_memory in the application", "py-sharedarea="),
    *unsupported(
        _LOOP,
        "gevent= gevent-monkey-patch gevent-early-monkey-patch gevent-wait-for-hub async= loop="
        " ugreen ugreen-stacksize=",
    ),
    *unsupported(
        _LOOP, "asyncio= greenlet tornado= stackless coroae= fiber goroutines=", build="loops"
    ),
    *unsupported("use cProfile in the application, or py-spy from outside", "profiler="),
    *unsupported("use the application's own framework for errors", "catch-exceptions"),
    *unsupported(
        "let the application end its own process: os._exit(1) makes the master fork another",
        "reload-on-exception reload-on-exception-type= reload-on-exception-value="
        " reload-on-exception-repr=",
    ),
    *unsupported(
        "catch it in a WSGI middleware",
        "exception-handler= after-request-hook= after-request-call=",
    ),
)
