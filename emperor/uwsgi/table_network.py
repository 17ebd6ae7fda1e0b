"""Options of uWSGI about sockets, protocols and its HTTP router. Data."""

from emperor.uwsgi.rows import ignored, satisfied, supported, unsupported

_TLS = "let nginx speak TLS, and pass requests on: socket = /run/emperor/blog.sock"
_PROXY = "let nginx pass requests on to several vassals"
_NO_ROUTER = "http is served by the workers themselves: there is no router process"
_MODIFIER = "requests go to the WSGI application, whatever their modifier"
_RESPONSE = "set headers in the application, or in the web server"
_WEBSOCKETS = "run an ASGI server for websockets beside it, and route to it in nginx"

SOCKETS = (
    *supported(
        "listen",
        "s|socket= s|uwsgi-socket= http-socket= http11-socket= fastcgi-socket= scgi-socket="
        " protocol= socket-protocol= shared-socket= undeferred-shared-socket=",
    ),
    *unsupported(_TLS, "suwsgi-socket= ssl-socket= https-socket=", build="ssl"),
    *ignored(_TLS, "https-socket-modifier1= https-socket-modifier2=", build="ssl"),
    *unsupported(
        "write http-socket, socket, fastcgi-socket or scgi-socket",
        "fastcgi-nph-socket= scgi-nph-socket= raw-socket= puwsgi-socket= udp= multicast=",
    ),
    *ignored(
        _MODIFIER,
        "http-socket-modifier1= http-socket-modifier2= fastcgi-modifier1= fastcgi-modifier2="
        " scgi-modifier1= scgi-modifier2= raw-modifier1= raw-modifier2= allowed-modifiers="
        " remap-modifier= multicast-ttl= multicast-loop=",
    ),
    *supported("socket.mode", "C|chmod-socket=? C|chmod=?"),
    *supported("socket.user, socket.group", "chown-socket="),
    *unsupported("write the path of a file: socket = /run/emperor/blog.sock", "a|abstract-socket"),
    *supported("backlog", "l|listen="),
    *supported("max_head", "b|buffer-size="),
    *ignored("there is no bound but buffer-size", "v|max-vars="),
    *supported("socket_timeout", "z|socket-timeout= http-timeout="),
    *satisfied("workers accept from one queue, and the kernel wakes one of them", "thunder-lock"),
    *ignored("every worker serves every socket", "map-socket="),
    *ignored("one socket is shared by all workers, and outlives them", "reuse-port"),
    *ignored("requests are answered as they come", "no-defer-accept"),
    *satisfied("answers leave at once", "tcp-nodelay"),
    *ignored(
        "the kernel's defaults are kept for sockets; see sysctl net.ipv4 and net.core",
        "so-keepalive socket-sndbuf= socket-rcvbuf= tcp-fast-open= tcp-fastopen="
        " tcp-fast-open-client tcp-fastopen-client freebind shutdown-sockets",
    ),
    *ignored(
        "socket_timeout counts for both directions",
        "so-send-timeout socket-send-timeout so-write-timeout socket-write-timeout",
    ),
    *satisfied(
        "listening sockets stay open whatever happens to a vassal, and go with its file", "vacuum"
    ),
    *satisfied("no process of the application's inherits a socket", "close-on-exec close-on-exec2"),
    *ignored(
        "the environment of a worker is clean: no other descriptors are there",
        "safe-fd= fd-safe= no-fd-passing skip-zero",
    ),
    *unsupported("let nginx take PROXY protocol apart: real_ip_header", "enable-proxy-protocol"),
    *supported("max_body", "limit-post="),
    *satisfied(
        "a body is read as the application asks for it, and what it leaves is taken and dropped",
        "post-buffering= post-buffering-bufsize=",
    ),
    *ignored("memory is bounded by limits.memory_max", "body-read-warning="),
    *unsupported("use the upload progress of the browser, or nginx's", "upload-progress="),
    *ignored(
        "a chunked body is bounded by max_body and socket_timeout",
        "chunked-input-limit= chunked-input-timeout=",
    ),
    *unsupported(
        _WEBSOCKETS,
        "websockets-ping-freq= websocket-ping-freq= websockets-pong-tolerance="
        " websocket-pong-tolerance= websockets-max-size= websocket-max-size= http-websockets",
    ),
    *satisfied(
        "a client that leaves is no error of the application: one line in the log at most",
        "ignore-sigpipe ignore-write-errors write-errors-tolerance= disable-write-exception",
    ),
    *satisfied(
        "a write to a client that left raises in the application", "write-errors-exception-only"
    ),
    *unsupported(
        _RESPONSE,
        "add-header= rem-header= del-header= collect-header= response-header-collect= pull-header=",
    ),
    *ignored("response headers have no bound but memory", "response-headers-limit="),
    *unsupported(
        "answer errors in the application, or in nginx: error_page",
        "error-page-403= error-page-404= error-page-500=",
    ),
)

STATIC = (
    *supported("static", "static-map= static-map2="),
    *supported("check_static", "check-static= static-check="),
    *supported("static_index", "static-index="),
    *unsupported(
        "name the folder: check-static = /srv/blog/public", "check-static-docroot static-skip-ext="
    ),
    *unsupported(
        "put the files below the folder of static-map; links out of it are refused", "static-safe="
    ),
    *unsupported(
        "let nginx set Expires: location /static/ { expires 1h; }",
        "static-expires-type= static-expires-type-mtime=",
    ),
    *unsupported(
        "let nginx set Expires: location /static/ { expires 1h; }",
        "static-expires= static-expires-mtime= static-expires-uri= static-expires-uri-mtime="
        " static-expires-path-info= static-expires-path-info-mtime=",
        build="pcre",
    ),
    *unsupported("let nginx serve them: gzip_static on", "static-gzip=", build="pcre"),
    *unsupported(
        "let nginx serve them: gzip_static on",
        "static-gzip-all static-gzip-dir= static-gzip-prefix= static-gzip-ext= static-gzip-suffix=",
    ),
    *ignored(
        "paths are looked up anew: the kernel caches them",
        "static-cache-paths= static-cache-paths-name=",
    ),
    *unsupported(
        "types are known by the file's name; let nginx serve others", "mimefile= mime-file="
    ),
    *satisfied("a part of a file is sent to who asks for it", "honour-range"),
    *ignored(
        "files are sent by the kernel from the worker: sendfile",
        "offload-threads= offload-thread= file-serve-mode= fileserve-mode= disable-sendfile",
    ),
    *unsupported("let nginx cache answers: uwsgi_cache", "check-cache=?"),
)

HTTP = (
    *supported("listen", "http= httprouter="),
    *supported("keepalive_timeout", "http-keepalive=?"),
    *unsupported(
        _TLS, "https= https2= https-export-cert https-session-context= http-to-https=", build="ssl"
    ),
    *ignored(
        _NO_ROUTER,
        "http-processes= http-workers= http-events= http-quiet= http-cheap http-gracetime="
        " http-harakiri= http-uid= http-gid= http-connect-timeout= http-use-socket=?"
        " http-server-name-as-http-host= http-manage-source",
    ),
    *ignored(_MODIFIER, "http-modifier1= http-modifier2="),
    *satisfied(
        "a head that takes longer than socket_timeout ends the connection", "http-headers-timeout="
    ),
    *supported("max_head", "http-buffer-size="),
    *unsupported("read it in the application from os.environ: env = NAME=value", "http-var="),
    *unsupported(
        _PROXY,
        "http-to= http-zerg= http-fallback= http-use-cache=? http-use-pattern= http-use-base="
        " http-use-code-string= http-subscription-server= http-subscription-fallback-key="
        " http-resubscribe= http-stud-prefix= http-manage-rtsp",
    ),
    *unsupported("see: emperor status NAME", "http-stats= http-stats-server= http-ss="),
    *satisfied("100 Continue is answered when the application reads", "http-manage-expect=?"),
    *satisfied("an answer without length is sent in chunks over HTTP/1.1", "http-auto-chunked"),
    *unsupported("let nginx compress: gzip on", "http-auto-gzip"),
    *satisfied("a chunked body is decoded for the application", "http-chunked-input http-raw-body"),
    *unsupported(
        "let nginx take PROXY protocol apart: real_ip_header", "http-enable-proxy-protocol=?"
    ),
)

TLS = (
    *unsupported(
        _TLS,
        "ssl-verbose ssl-verify-depth=? sni= sni-dir= sni-dir-ciphers= ssl-enable3"
        " ssl-enable-sslv3 ssl-enable-tlsv1 ssl-option ssl-tmp-dir=",
        build="ssl",
    ),
    *unsupported(_TLS, "sni-regexp=", build="ssl+pcre"),
    *unsupported(
        _TLS,
        "ssl-sessions-use-cache=? ssl-session-use-cache=? ssl-sessions-timeout="
        " ssl-session-timeout=",
        build="ssl-sessions",
    ),
)
