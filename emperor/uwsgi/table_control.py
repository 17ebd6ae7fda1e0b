"""Options of uWSGI about its files, its plugins, its emperor, and how it is told things. Data."""

from emperor.uwsgi.rows import ignored, satisfied, supported, unsupported

_PRINTS = "prints something and ends; nothing is served by it"
READ = "read with the file"
_STEER = "a vassal is steered by its name: emperor reload NAME, emperor stop NAME"
_EMPEROR = "an emperor is started by itself: emperor run DIR, with emperor.toml for its settings"
_EMPERORS_OWN = "for the emperor's own settings, emperor.toml: this file is a vassal's"
_SUBSCRIPTION = 'write hosts = ["blog.example"] in a file of ours: nginx finds the vassal by it'
_LEGION = "let keepalived or a cluster manager start and stop the unit"
_SHARED = "sockets are held by the emperor, and outlive every reload"

FILES = (
    *supported(
        READ,
        "ini= config= include= inherit= S|set= set-placeholder= set-ph= declare-option="
        " declare-option2= for= for-glob= for-times= for-readline= endfor=? end-for=?"
        " if-opt= if-not-opt= if-env= if-not-env= ifenv= if-reload if-not-reload if-hostname="
        " if-not-hostname= if-exists= if-not-exists= ifexists= if-plugin= if-not-plugin="
        " ifplugin= if-file= if-not-file= if-dir= if-not-dir= ifdir= if-directory= endif=?"
        " end-if=?",
    ),
    *supported(READ, "x|xmlconfig= x|xml=", build="xml"),
    *supported(READ, "y|yaml= y|yml=", build="yaml"),
    *supported(READ, "j|json= j|js=", build="json"),
    *supported(READ, "if-hostname-match= if-not-hostname-match=", build="pcre"),
    *supported("an option that uWSGI does not have is an error", "strict"),
    *ignored("no option is barred here", "blacklist= end-blacklist whitelist= end-whitelist"),
    *unsupported("write it in the file", "inject-before= inject-after= resolve="),
    *unsupported("a file that is wrong changes nothing about what runs", "fallback-config="),
    *ignored(
        _PRINTS,
        "get= print= iprint= print-sym= print-symbol= h|help h|usage version show-config"
        " dump-options plugins-list plugin-list cflags dot-h config-py binary-append-data="
        " build-plugin= extract= connect-and-read=",
    ),
    *unsupported("remove the file, or: emperor stop NAME", "exit=?"),
    *supported("none: Python and HTTP are built in", "plugins= plugin= need-plugins= need-plugin="),
    *ignored("there are no plugins to load", "plugins-dir= plugin-dir= autoload"),
    *unsupported(
        "import it in the application's module: ctypes",
        "dlopen= symcall= symcall-register-rpc= symcall-post-fork=",
    ),
    *ignored("there are no plugins to load", "symcall-use-next"),
    *ignored("regular expressions are Python's", "pcre-jit", build="pcre"),
)

CONTROL = (
    *supported("pidfile", "pidfile= pidfile2= safe-pidfile= safe-pidfile2="),
    *supported("fifo", "master-fifo="),
    *supported("signals", "die-on-term"),
    *unsupported(_STEER, "stop= reload= pause= suspend= resume= signal="),
    *unsupported("a vassal of a name runs once", "flock= flock-wait= flock2= flock-wait2="),
    *unsupported(
        "READY=1 goes to systemd from the emperor", "notify-socket= subscription-notify-socket="
    ),
)

EMPEROR = (
    *unsupported(
        _EMPEROR,
        "emperor= early-emperor emperor-tyrant emperor-procname= emperor-pidfile= emperor-stats="
        " emperor-stats-server=",
    ),
    *unsupported(
        "start a second emperor over the directory", "emperor-proxy-socket= emperor-broodlord="
    ),
    *unsupported(
        "write [defaults] and plans in emperor.toml",
        "vassals-inherit= vassals-include= vassals-inherit-before= vassals-include-before="
        " vassals-set= vassal-set=",
    ),
    *unsupported(
        "nothing is executed for a vassal but its application",
        "emperor-wrapper= emperor-wrapper-override= emperor-wrapper-fallback= emperor-magic-exec"
        " vassals-start-hook= vassals-stop-hook=",
    ),
    *unsupported(
        "write on_demand in the vassal's file: its own socket wakes it",
        "emperor-on-demand-extension= emperor-on-demand-ext= emperor-on-demand-directory="
        " emperor-on-demand-dir= emperor-on-demand-exec=",
    ),
    *unsupported(_EMPERORS_OWN, "emperor-extra-extension= emperor-extra-ext="),
    *unsupported(
        "write capability_bounding_set under [sandbox]",
        "emperor-cap= vassals-cap= vassal-cap=",
        build="cap",
    ),
    *satisfied(
        "a file is opened once, and its owner is that of what was opened",
        "emperor-nofollow emperor-tyrant-nofollow",
    ),
    *satisfied(
        "a vassal that fails waits longer each time, and starts at once when its file changes",
        "emperor-no-blacklist emperor-throttle= emperor-max-throttle=",
    ),
    *satisfied("a stop waits for running requests", "emperor-graceful-shutdown"),
    *satisfied("vassals are born in namespaces of their own", "emperor-use-clone="),
    *ignored("changes are noticed when they happen", "emperor-freq="),
    *ignored(
        "a master that says nothing is noticed by its channel",
        "emperor-required-heartbeat= heartbeat=",
    ),
    *ignored("a vassal that stops is gone after its stop_timeout", "emperor-curse-tolerance="),
    *ignored(_PRINTS, "imperial-monitor-list imperial-monitors-list"),
    *unsupported(
        "write processes and cheaper: workers follow the load", "vassal-sos= vassal-sos-backlog="
    ),
)

CLUSTER = (
    *unsupported(_SHARED, "zerg= zerg-server= zergpool= zerg-pool="),
    *ignored(_SHARED, "zerg-fallback"),
    *unsupported(_SUBSCRIPTION, "subscribe-to= st= subscribe= subscribe2="),
    *ignored(
        _SUBSCRIPTION,
        "subscribe-freq= subscription-tolerance= subscription-algo= subscription-dotsplit"
        " unsubscribe-on-graceful-reload start-unsubscribed subscribe-with-modifier1="
        " subscriptions-credentials-check= subscriptions-use-credentials weight= auto-weight=",
    ),
    *ignored(
        _SUBSCRIPTION,
        "subscriptions-sign-check= subscriptions-sign-check-tolerance="
        " subscriptions-sign-skip-uid=",
        build="ssl",
    ),
    *unsupported(
        _LEGION,
        "legion= legion-mcast= legion-node= legion-freq= legion-tolerance="
        " legion-death-on-lord-error= legion-skew-tolerance= legion-lord= legion-unlord="
        " legion-setup= legion-death= legion-join= legion-node-joined= legion-node-left="
        " legion-quorum= legion-scroll= legion-scroll-max-size= legion-scroll-list-max-size="
        " legion-cron= cron-legion= unique-legion-cron= unique-cron-legion="
        " legion-attach-daemon= legion-smart-attach-daemon= legion-smart-attach-daemon2=",
        build="ssl",
    ),
)
