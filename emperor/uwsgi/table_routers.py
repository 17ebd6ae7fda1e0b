"""Options of uWSGI's routers: those in front of it, and the one for requests. Data."""

from emperor.uwsgi.rows import ignored, unsupported

_FRONT = "let nginx or HAProxy pass requests on to vassals"
_RULES = "write the rule in nginx, or as a WSGI middleware"

ROUTING = (
    *unsupported(
        _RULES,
        "route= route-host= route-uri= route-qs= route-remote-addr= route-user-agent="
        " route-remote-user= route-referer= route-label= route-if= route-if-not= route-run="
        " final-route= final-route-status= final-route-host= final-route-uri= final-route-qs="
        " final-route-remote-addr= final-route-user-agent= final-route-remote-user="
        " final-route-referer= final-route-label= final-route-if= final-route-if-not="
        " final-route-run= error-route= error-route-status= error-route-host= error-route-uri="
        " error-route-qs= error-route-remote-addr= error-route-user-agent="
        " error-route-remote-user= error-route-referer= error-route-label= error-route-if="
        " error-route-if-not= error-route-run= response-route= response-route-status="
        " response-route-host= response-route-uri= response-route-qs= response-route-remote-addr="
        " response-route-user-agent= response-route-remote-user= response-route-referer="
        " response-route-label= response-route-if= response-route-if-not= response-route-run=",
        build="routing",
    ),
    *ignored("prints a list; nothing is served by it", "router-list routers-list", build="routing"),
)

FRONTS = (
    *unsupported(
        _FRONT,
        "fastrouter= fastrouter-processes= fastrouter-workers= fastrouter-zerg="
        " fastrouter-use-cache=? fastrouter-use-pattern= fastrouter-use-base= fastrouter-fallback="
        " fastrouter-use-code-string= fastrouter-use-socket=? fastrouter-to= fastrouter-gracetime="
        " fastrouter-events= fastrouter-quiet= fastrouter-cheap fastrouter-subscription-server="
        " fastrouter-subscription-slot= fastrouter-timeout= fastrouter-post-buffering="
        " fastrouter-post-buffering-dir= fastrouter-stats= fastrouter-stats-server= fastrouter-ss="
        " fastrouter-harakiri= fastrouter-uid= fastrouter-gid= fastrouter-resubscribe="
        " fastrouter-resubscribe-bind= fastrouter-buffer-size= fastrouter-fallback-on-no-key"
        " fastrouter-subscription-fallback-key=",
    ),
    *unsupported(
        _FRONT,
        "rawrouter= rawrouter-processes= rawrouter-workers= rawrouter-zerg= rawrouter-use-cache=?"
        " rawrouter-use-pattern= rawrouter-use-base= rawrouter-fallback= rawrouter-use-code-string="
        " rawrouter-use-socket=? rawrouter-to= rawrouter-gracetime= rawrouter-events="
        " rawrouter-max-retries= rawrouter-quiet= rawrouter-cheap rawrouter-subscription-server="
        " rawrouter-subscription-slot= rawrouter-timeout= rawrouter-stats= rawrouter-stats-server="
        " rawrouter-ss= rawrouter-harakiri= rawrouter-xclient rawrouter-buffer-size=",
    ),
    *unsupported(
        _FRONT,
        "sslrouter= sslrouter2= sslrouter-session-context= sslrouter-processes= sslrouter-workers="
        " sslrouter-zerg= sslrouter-use-cache=? sslrouter-use-pattern= sslrouter-use-base="
        " sslrouter-fallback= sslrouter-use-code-string= sslrouter-use-socket=? sslrouter-to="
        " sslrouter-gracetime= sslrouter-events= sslrouter-max-retries= sslrouter-quiet="
        " sslrouter-cheap sslrouter-subscription-server= sslrouter-timeout= sslrouter-stats="
        " sslrouter-stats-server= sslrouter-ss= sslrouter-harakiri= sslrouter-sni"
        " sslrouter-buffer-size=",
        build="ssl",
    ),
    *unsupported(
        _FRONT,
        "forkptyrouter= forkpty-router= forkptyurouter= forkpty-urouter= forkptyrouter-command="
        " forkpty-router-command= forkptyrouter-cmd= forkpty-router-cmd= forkptyrouter-rows="
        " forkptyrouter-cols= forkptyrouter-processes= forkptyrouter-workers= forkptyrouter-zerg="
        " forkptyrouter-fallback= forkptyrouter-events= forkptyrouter-cheap forkptyrouter-timeout="
        " forkptyrouter-stats= forkptyrouter-stats-server= forkptyrouter-ss="
        " forkptyrouter-harakiri=",
        build="forkptyrouter",
    ),
    *unsupported(
        "let systemd-networkd make it",
        "tuntap-router= tuntap-device= tuntap-use-credentials=? tuntap-router-firewall-in="
        " tuntap-router-firewall-out= tuntap-router-route= tuntap-router-stats="
        " tuntap-device-rule=",
        build="tuntap",
    ),
)
