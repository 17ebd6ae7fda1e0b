"""Options of uWSGI's plugins for other languages and stores, which no default build has. Data."""

from emperor.uwsgi.rows import unsupported

_CGI = "let fcgiwrap serve it, behind the web server"
_PHP = "let php-fpm serve it, behind the web server"
_PERL = "let Starman serve it, as a service of its own"
_RUBY = "let Puma serve it, as a service of its own"
_PYPY = "write module and virtualenv: vassals run in CPython"
_OTHER = "only WSGI applications are served; run it as a service of its own"
_STORAGE = "let the web server, or the application, reach it"
_MODULE = "let nginx do it, by its module of the same purpose"
_CONFIG = "write the options in a file"
_PAM = "write user: accounts are opened by systemd, not by a vassal"

LANGUAGES = (
    *unsupported(
        _CGI,
        "cgi= cgi-map-helper= cgi-helper= cgi-from-docroot cgi-buffer-size= cgi-timeout="
        " cgi-index= cgi-allowed-ext= cgi-unset= cgi-loadlib= cgi-optimize cgi-optimized"
        " cgi-path-info cgi-do-not-kill-on-error cgi-async-max-attempts cgi-close-stdin-on-eof"
        " cgi-safe=",
        build="cgi",
    ),
    *unsupported(
        _PHP,
        "php-ini= php-config= php-ini-append= php-config-append= php-set= php-index="
        " php-docroot= php-allowed-docroot= php-allowed-ext= php-allowed-script="
        " php-server-software= php-app= php-app-qs= php-fallback= php-fallback2="
        " php-fallback-qs= php-var= php-constant= php-dump-config php-exec-before="
        " php-exec-begin= php-exec-after= php-exec-end= php-sapi-name=",
        build="php",
    ),
    *unsupported(
        _PHP,
        "php-app-bypass=",
        build="php+pcre",
    ),
    *unsupported(
        _PERL,
        "psgi= psgi-enable-psgix-io perl-no-die-catch perl-local-lib= perl-version perl-args="
        " perl-arg= perl-exec= perl-exec-post-fork= perl-auto-reload= perl-auto-reload-ignore="
        " plshell=? plshell-oneshot perl-no-plack",
        build="psgi",
    ),
    *unsupported(
        _RUBY,
        "rails= rack= ruby-gc-freq= rb-gc-freq= rb-lib= ruby-lib= rb-require= ruby-require="
        " rbrequire= rubyrequire= require= shared-rb-require= shared-ruby-require="
        " shared-rbrequire= shared-rubyrequire= shared-require= gemset= rvm= rvm-path= rbshell=?"
        " rbshell-oneshot",
        build="rack",
    ),
    *unsupported(
        _RUBY,
        "rbthreads rb-threads rbthread rb-thread",
        build="rbthreads",
    ),
    *unsupported(
        _PYPY,
        "pypy-lib= pypy-setup= pypy-home= pypy-wsgi= pypy-wsgi-file= pypy-ini-paste="
        " pypy-paste= pypy-eval= pypy-eval-post-fork= pypy-exec= pypy-exec-post-fork= pypy-pp="
        " pypy-python-path= pypy-pythonpath=",
        build="pypy",
    ),
    *unsupported(
        _OTHER,
        "lua= lua-load= lua-shell luashell lua-gc-freq",
        build="lua",
    ),
    *unsupported(
        _OTHER,
        "jvm-main-class= jvm-opt= jvm-class= jvm-classpath=",
        build="jvm",
    ),
    *unsupported(
        _OTHER,
        "jwsgi=",
        build="jwsgi",
    ),
    *unsupported(
        _OTHER,
        "ring-load= clojure-load= ring-app=",
        build="ring",
    ),
    *unsupported(
        _OTHER,
        "mono-app= mono-gc-freq= mono-key= mono-version= mono-config= mono-assembly= mono-exec="
        " mono-index=",
        build="mono",
    ),
    *unsupported(
        _OTHER,
        "go-load= gccgo-load= go-args= gccgo-args=",
        build="gccgo",
    ),
    *unsupported(
        _OTHER,
        "v8-load= v8-preemptive= v8-gc-freq= v8-module-path= v8-jsgi=",
        build="v8",
    ),
    *unsupported(
        _OTHER,
        "dumbloop-modifier1= dumbloop-code= dumbloop-function=",
        build="dumbloop",
    ),
    *unsupported(
        _OTHER,
        "xslt-docroot= xslt-ext= xslt-var= xslt-stylesheet= xslt-content-type=",
        build="xslt",
    ),
    *unsupported(
        _OTHER,
        "pty-socket= pty-log pty-input pty-connect= pty-uconnect= pty-no-isig pty-exec=",
        build="pty",
    ),
    *unsupported(
        _OTHER,
        "zeromq= zmq= zeromq-socket= zmq-socket= mongrel2=",
        build="mongrel2",
    ),
    *unsupported(
        _STORAGE,
        "gridfs-mount= gridfs-debug",
        build="gridfs",
    ),
    *unsupported(
        _STORAGE,
        "glusterfs-mount= glusterfs-timeout=",
        build="glusterfs",
    ),
    *unsupported(
        _STORAGE,
        "rados-mount= rados-timeout=",
        build="rados",
    ),
    *unsupported(
        _STORAGE,
        "webdav-mount= webdav-css= webdav-javascript= webdav-js= webdav-class-directory="
        " webdav-div= webdav-lock-cache= webdav-principal-base= webdav-add-option="
        " webdav-add-prop= webdav-add-collection-prop= webdav-add-object-prop="
        " webdav-add-prop-href= webdav-add-collection-prop-href= webdav-add-object-prop-href="
        " webdav-add-prop-comp= webdav-add-collection-prop-comp= webdav-add-object-prop-comp="
        " webdav-add-rtype-prop= webdav-add-rtype-collection-prop= webdav-add-rtype-object-prop="
        " webdav-skip-prop=",
        build="webdav",
    ),
    *unsupported(
        _MODULE,
        "geoip-country= geoip-city= geoip-use-disk",
        build="geoip",
    ),
    *unsupported(
        _MODULE,
        "notfound-log",
        build="notfound",
    ),
    *unsupported(
        _CONFIG,
        "sqlite3= sqlite=",
        build="sqlite3",
    ),
    *unsupported(
        _CONFIG,
        "ldap= ldap-schema ldap-schema-ldif",
        build="ldap",
    ),
    *unsupported(
        _PAM,
        "pam= pam-user=",
        build="pam",
    ),
)
