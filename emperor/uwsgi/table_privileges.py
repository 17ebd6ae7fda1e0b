"""Options of uWSGI about users, jails, and what it runs on the way. Data."""

from emperor.uwsgi.rows import ignored, satisfied, supported, unsupported

_SEALED = "vassals have namespaces and a root of their own: see [sandbox], and emperor explain NAME"
_ROOT = (
    "let the unit run it, as ExecStartPre=: nothing of a vassal's file is run as root; what the"
    " vassal's user may do, exec-as-user does"
)
_WAIT = "let the unit wait: After= and Requires= of systemd"
_DROPPED = "a vassal is born as its user, and was never root"

PRIVILEGES = (
    *supported("user", "uid= immediate-uid="),
    *supported("group", "gid= immediate-gid="),
    *unsupported("make the user a member of the group: usermod -aG GROUP USER", "add-gid="),
    *unsupported("a vassal has the groups of its user", "no-initgroups"),
    *satisfied(_DROPPED, "drop-after-init drop-after-apps"),
    *ignored("the master runs as its user, and needs no root", "master-as-root"),
    *unsupported("write capability_bounding_set under [sandbox]", "cap=", build="cap"),
    *unsupported("write root_directory under [sandbox]", "chroot= pivot-root= pivot_root="),
    *unsupported(
        _SEALED,
        "unshare= unshare2= setns-socket= setns-socket-skip= setns-skip= setns= setns-preopen"
        " namespace= ns= namespace-keep-mount= namespace-net= ns-net=",
    ),
    *ignored(
        _SEALED,
        "jailed refork re-fork refork-as-root re-fork-as-root refork-post-jail re-fork-post-jail",
    ),
    *unsupported(
        _SEALED,
        "jail= jail-ip4= jail-ip6= jidfile= jid-file= jail2= libjail= jail-attach=",
        build="freebsd",
    ),
    *unsupported(
        "install what is to run: no process replaces its own program",
        "privileged-binary-patch= unprivileged-binary-patch= privileged-binary-patch-arg="
        " unprivileged-binary-patch-arg=",
    ),
    *ignored("there is no binary of ours to find", "binary-path="),
    *unsupported(_ROOT, "file-write="),
)

HOOKS = (
    *supported(
        "exec_start_pre",
        "exec-asap= exec-pre-jail= exec-in-jail= exec-post-jail= exec-as-user= exec-pre-app="
        " hook-asap= hook-pre-jail= hook-in-jail= hook-post-jail= hook-as-user= hook-pre-app=",
    ),
    *supported("exec_start_post", "exec-post-app= hook-post-app="),
    *supported("exec_stop_post", "exec-as-user-atexit= hook-as-user-atexit="),
    *unsupported(
        _ROOT,
        "exec-as-root= exec-as-vassal= exec-as-emperor= hook-as-root= hook-as-vassal="
        " hook-as-emperor= hook-emperor-start= hook-emperor-stop= hook-emperor-reload="
        " hook-emperor-lost= hook-as-gateway= call-as-root= call-as-vassal= call-as-vassal1="
        " call-as-vassal3= call-as-emperor= call-as-emperor1= call-as-emperor2="
        " call-as-emperor4=",
    ),
    *unsupported(
        "write bind_paths and temporary_file_system under [sandbox]",
        "mount-asap= mount-pre-jail= mount-post-jail= mount-in-jail= mount-as-root="
        " mount-as-vassal= mount-as-emperor= umount-asap= umount-pre-jail= umount-post-jail="
        " umount-in-jail= umount-as-root= umount-as-vassal= umount-as-emperor=",
    ),
    *unsupported("write exec-post-app", "hook-master-start="),
    *unsupported(
        "let the application do it in each worker: @postfork of uwsgidecorators",
        "hook-post-fork= hook-accepting= hook-accepting1= hook-accepting-once="
        " hook-accepting1-once=",
    ),
    *unsupported("let a path unit of systemd run it, as the vassal's user", "hook-touch="),
    *unsupported("there are no mules", "hook-as-mule="),
    *unsupported(
        "call it in the application's module: ctypes",
        "call-asap= call-pre-jail= call-in-jail= call-post-jail= call-as-user="
        " call-as-user-atexit= call-pre-app= call-post-app=",
    ),
    *ignored("commands are lines for /bin/sh", "binsh="),
    *unsupported(
        _WAIT,
        "wait-for-interface= wait-interface= wait-for-iface= wait-iface= wait-for-fs="
        " wait-for-file= wait-for-dir= wait-for-mountpoint= wait-for-socket=",
    ),
    *ignored(
        _WAIT,
        "wait-for-interface-timeout= wait-interface-timeout= wait-for-iface-timeout="
        " wait-iface-timeout= wait-for-fs-timeout= wait-for-socket-timeout=",
    ),
)
