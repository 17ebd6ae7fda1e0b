# ruff: noqa: E501
"""Files in uWSGI's dialect, written for the comparison with uWSGI itself.

The first file of a case is the one that is read. `environ` are variables beside the usual.
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Case(NamedTuple):
    name: str
    files: dict[str, str]
    environ: Mapping[str, str] = MappingProxyType({})


def _ini(name: str, text: str, environ: dict[str, str] | None = None, **more: str) -> Case:
    others = {key.replace("__", "/").replace("_", "."): value for key, value in more.items()}
    return Case(name, {"vassal.ini": text, **others}, environ or {})


def _sites() -> list[Case]:
    """Whole files, as people have them."""
    texts = {
        "flask": "[uwsgi]\nmodule = wsgi:app\nmaster = true\nprocesses = 5\n"
        "socket = blog.sock\nchmod-socket = 660\nvacuum = true\ndie-on-term = true\n",
        "django": "; the shop\n[uwsgi]\nproject = shop\nbase = /srv/%(project)\n\n"
        "chdir = %(base)\nhome = %(base)/venv\nmodule = %(project).wsgi:application\n"
        "env = DJANGO_SETTINGS_MODULE=%(project).settings\nsocket = /run/%(project).sock\n"
        "chown-socket = www-data:www-data\nvacuum = true\nharakiri = 30\nmax-requests = 5000\n",
        "many-apps": "[uwsgi]\nmount = /wiki=wiki.py\nmount = /blog=blog.wsgi:app\n"
        "manage-script-name = true\ncallable = app\nhttp-socket = :8080\n",
        "cheap": "[uwsgi]\nworkers = 8\ncheaper = 2\ncheaper-initial = 2\ncheaper-step = 1\n"
        "cheaper-algo = busyness\ncheaper-busyness-max = 60\nidle = 600\ndie-on-idle = true\n",
        "logs": "[uwsgi]\nlog-x-forwarded-for = true\nlog-maxsize = 1000000\nlog-4xx = true\n"
        'log-format = %(addr) - %(user) [%(ltime)] "%(method) %(uri)" %(status) %(size)\n',
        "limits": "[uwsgi]\nlimit-as = 512 # MB\nreload-on-rss = 256 MB\nlimit-nproc = 20\n"
        "buffer-size=65535\npost-buffering=8192\n  enable-threads = 1\nthreads\t=\t4\n",
        "static": "[uwsgi]\nstatic-map = /static=/srv/%c/static\nstatic-map = /media=%dmedia\n"
        "static-index = index.html\ncheck-static = %d\noffload-threads = 2\n",
        "tyrant": "[uwsgi]\nuid = %(user)\ngid = %(user)\nuser = daemon\nsocket = /tmp/%(user).sock\n",
        "hosting": "[uwsgi]\ndomain = example.org\nset = chdir=/home/%(domain)/www\n"
        "set-placeholder = pool=/run/pools\nsocket = %(pool)/%(domain).sock\n"
        "py-autoreload = 0\nauto-procname\nprocname-prefix-spaced = %(domain)\n",
        "comments": "# a comment\n;another = one\n[uwsgi]\n ; indented\n\t# too\nmaster=1\n"
        "harakiri = 20 ; not a comment\nenv = A=b # neither\n",
        "quotes": "[uwsgi]\nenv = GREETING=\"hello world\"\nmodule = 'app:app'\nprint = a\\nb\n",
        "equals": "[uwsgi]\nenv = A=B=C\nother = ^/x == y\nkey=\n=value\nempty =   \nmaster\n",
        "carriage": "[uwsgi]\r\nmaster = true\r\nprocesses = 2\r\n",
        "no-newline": "[uwsgi]\nmaster = true\nprocesses = 2",
        "sections": "[other]\nmaster = no\n[uwsgi]\nprocesses = 1\n[third]\nx = y\n[uwsgi]\nthreads = 2\n",
        "accents": "[uwsgi]\nenv = NAME=Zoë Grünwald\ncity = São Paulo\nenv = CITY=%(city)\n",
        "blanks": "[uwsgi]\n\n\n   master   =   true   \n\n",
        "repeated": "[uwsgi]\npythonpath = a\npythonpath = b\npythonpath = a\nenv = X=1\nenv = X=2\n",
        "bracket": "[uwsgi]\nmaster = [true]\n[uwsgi\nprocesses = 3\n",
    }
    return [_ini(f"site-{name}", text) for name, text in texts.items()]


# With it uWSGI 2.0.31 answers nothing in CPython 3.13.
_AFTER_FORK = "" if sys.version_info >= (3, 13) else "py-call-osafterfork = true\n"


def _more_sites() -> list[Case]:
    """Whole files in the ways of hosters' panels, handbooks and frameworks' pages."""
    shop = "chdir = /srv/shop\nmodule = shop.wsgi:application\n"
    texts = {
        "panel": f"[uwsgi]\n{shop}home = /srv/shop/venv\nmaster = 1\nprocesses = 2\n"
        "threads = 2\nsocket = /run/shop.sock\nchmod-socket = 664\nvacuum = true\n"
        "harakiri = 60\nbuffer-size = 32768\nenable-threads = true\ndie-on-term = true\n",
        "handbook": f"[uwsgi]\n{shop}strict = true\nmaster = true\nenable-threads = true\n"
        "vacuum = true\nsingle-interpreter = true\ndie-on-term = true\nneed-app = true\n"
        "disable-logging = true\nlog-4xx = true\nlog-5xx = true\nharakiri = 60\n"
        "max-requests = 1000\nmax-worker-lifetime = 3600\nreload-on-rss = 2048\n"
        f"worker-reload-mercy = 60\n{_AFTER_FORK}auto-procname = true\n",
        "busyness": f"[uwsgi]\n{shop}master = true\nworkers = 6\ncheaper-algo = busyness\n"
        "cheaper = 2\ncheaper-initial = 2\ncheaper-step = 2\ncheaper-overload = 5\n"
        "cheaper-busyness-multiplier = 30\ncheaper-busyness-penalty = 2\n",
        "emperor-template": "[uwsgi]\napp_root = /srv/shop\nchdir = %(app_root)\n"
        "virtualenv = %(app_root)/venv\npythonpath = %(app_root)\nmodule = shop.wsgi\n"
        "socket = /run/%n.sock\npidfile2 = /tmp/%n.pid\nset-placeholder = who=%n\n"
        "env = SITE=%(who)\nprocname-prefix = %n-\n",
        "touch": f"[uwsgi]\n{shop}touch-reload = /srv/shop/reload.txt\nmaster = true\n"
        "touch-chain-reload = /srv/shop/chain.txt\nlazy-apps = true\nprocesses = 2\n",
        "env-many": f"[uwsgi]\n{shop}env = DJANGO_SETTINGS_MODULE=shop.settings\n"
        "env = LANG=C.UTF-8\nenv = DATABASE_URL=postgres://u:p@db/shop?a=b\n"
        "env = SECRET=a b#c;d\nenv = EMPTY=\n",
        "wsgi-file": "[uwsgi]\nchdir = /srv/shop\nwsgi-file = shop/wsgi.py\n"
        "callable = application\nprocesses = 1\nmaster = true\nvacuum = true\n",
        "flask-mount": "[uwsgi]\nmount = /blog=blog.wsgi:app\nmanage-script-name = true\n"
        "master = true\nthreads = 2\nprotocol = uwsgi\nsocket = /run/flask.sock\n",
        "two-mounts": "[uwsgi]\nmount = /=app.py\nmount = /wiki=wiki.py\ncallable = app\n"
        "manage-script-name = 1\nmaster = true\n",
        "static-site": f"[uwsgi]\n{shop}static-map = /static=/srv/shop/static\n"
        "static-expires = /static/* 86400\nstatic-index = index.html\nmaster = true\n",
        "no-master": "[uwsgi]\nmodule = wsgi\nprocesses = 1\nvacuum = true\n",
        "thunder": f"[uwsgi]\n{shop}thunder-lock = true\nmaster = true\nprocesses = 3\n"
        "listen = 64\nso-keepalive = true\nsocket-timeout = 20\nhttp-keepalive = 10\n",
        "limits-more": f"[uwsgi]\n{shop}limit-as = 4096\nlimit-nofile = 1024\nlimit-post = 1048576\n"
        "reload-on-as = 2000\nreload-on-rss = 300\nevil-reload-on-rss = 500\nno-orphans = 1\n",
        "log-format": f"[uwsgi]\n{shop}log-format = %(addr) %(method) %(uri) %(status) %(msecs)ms\n"
        "log-maxsize = 1048576\nlog-reopen = true\n",
        "if-env": f"[uwsgi]\n{shop}if-env = HOME\nenv = AT=%(_)\nendif =\n"
        "if-not-env = NEVER_SET_ANYWHERE\nenv = NOT=there\nendif =\n",
        "for-ports": f"[uwsgi]\n{shop}for = one two three\nenv = NAME_%(_)=%(_)\nendfor =\n",
        "if-file": f"[uwsgi]\n{shop}if-exists = /srv/shop\nenv = FOUND=%(_)\nendif =\n"
        "if-dir = /srv/none\nenv = NONE=1\nendif =\n",
        "harakiri-all": f"[uwsgi]\n{shop}harakiri = 30\nharakiri-verbose = true\nmule-reload-mercy = 4\n"
        "reload-mercy = 8\nworker-reload-mercy = 8\nmax-requests-delta = 10\nmax-requests = 500\n",
        "plugins": f"[uwsgi]\nplugins = python3,logfile\nplugin = http\n{shop}no-default-app = true\n"
        "procname-master = shop master\nmaster = true\n",
        "offload": f"[uwsgi]\n{shop}offload-threads = 2\npost-buffering = 4096\n"
        "post-buffering-bufsize = 8192\nignore-sigpipe = true\nignore-write-errors = true\n"
        "disable-write-exception = true\nmaster = true\n",
        "lower-words": "[uwsgi]\nmodule=wsgi\nmaster=yes\nvacuum=on\nenable-threads=off\nthreads=2\n",
        "words": f"[uwsgi]\n{shop}threads = true\nharakiri = off\nidle = true\nlisten = max\n"
        "max-requests = none\nprocesses = 2\ncheaper = true\npy-autoreload = true\n"
        "log-maxsize = true\ncron = 70 -1 -1 -1 -1 true\n"
        "limit-as = off\ncache = no\nlog-slow =\nworker-reload-mercy = long\n",
        "priority": f"[uwsgi]\n{shop}cpu-affinity = 1\nprio = 5\numask = 027\nmaster = true\n",
    }
    return [_ini(f"whole-{name}", text) for name, text in texts.items()]


def _oddities() -> list[Case]:
    """What nobody's handbook has, and is served."""
    app = "module = wsgi\n"
    texts = {
        "path-glob": f"{app}pythonpath = lib/*\npythonpath = more\n",
        "path-glob-whole": f"{app}pp = %dlib/[ab]\n",
        "path-glob-none": f"{app}pythonpath = nothing/*\n",
        "path-tilde": f"{app}pythonpath = ~/x\n",
        "path-empty": f"{app}pythonpath =\n",
        "no-section": f"{app}ini = :gone\nini = other.ini\n",
        "mount-word": f"{app}mount = shop=wiki.py\n",
        "mount-host": f"{app}mount = www.example.com=wiki.py\n",
        "mount-word-alone": "mount = blog=wiki.py\n",
        "env-names": f"{app}env = A-B=1\nenv = 1X=3\nenv = a.b=5\n",
    }
    folders = {
        "lib__a__x_py": "",
        "lib__b__x_py": "",
        "lib__readme_txt": "",
        "other_ini": "[other]\nx = 1\n",
    }
    return [_ini(f"odd-{name}", f"[uwsgi]\n{text}", **folders) for name, text in texts.items()]


def _magic() -> list[Case]:
    letters = "vVhkuUgGopsnedcxijOPSDENCXIJ0123456789[%(zq"
    cases = [_ini(f"magic-{letter}", f"[uwsgi]\nx = <%{letter}>\n") for letter in letters]
    cases += [
        _ini("magic-comment", "[uwsgi]\n; 100%\nmaster = true\nprocesses = 2\n"),
        _ini("magic-line-end", "[uwsgi]\nx = 50%\ny = 1\n"),
        _ini("magic-percents", "[uwsgi]\nx = 50%% of %%n and %%%n and %%(y)\ny = 1\n"),
        _ini("magic-end", "[uwsgi]\nx = 1%"),
        _ini("magic-accent", "[uwsgi]\nx = %é|\n"),
        _ini("magic-section", "[%n]\nx = 1\n[uwsgi]\ny = %n\n"),
        _ini("magic-key", "[uwsgi]\n%n = 1\nkey-%e = 2\n"),
        Case("magic-dots", {"my.shop.v2.ini": "[uwsgi]\nx = %n %e %s\n"}),
        Case("magic-colon", {"a b.ini": "[uwsgi]\nx = %n|%j|%p\n"}),
    ]
    return cases


def _placeholders() -> list[Case]:
    sums = [
        "a", "a b", "a + b", "a - b", "a * b", "b / a", "a / zero", "a + b * c", "a b + c",
        "a ++", "a --", "a ++ b", "none", "none + a", "a + none", "a +", "+ a", "7 * 6", "a  b",
        "a + 9223372036854775807", "word + a", "a word", "neg - a", "neg / c", "a b c ++ + c",
    ]  # fmt: skip
    base = "a = 2\nb = 10\nc = 3\nzero = 0\nneg = -7\nword = apple\n"
    cases = [
        _ini(f"sum-{number}", f"[uwsgi]\n{base}x = <%({text})>\n")
        for number, text in enumerate(sums)
    ]
    texts = {
        "first-wins": "a = 1\na = 2\nx = %(a)\n",
        "later": "x = %(a)\na = 1\n",
        "chain": "a = %(b)\nb = %(c)\nc = end\nx = %(a)\n",
        "chain-later": "x = %(a) %(b)\na = %(b)\nb = c\n",
        "unresolved": "x = %(nothing) and %(nobody\n",
        "bare": "flag\nx = [%(flag)]\n",
        "at-start": "a = %(a)\nx = %(a)\n",
        "option": "processes = 4\nthreads = %(processes)\n",
        "nested": "a = b\nb = c\nx = %(%(a))\n",
        "brackets": "a(b) = 1\nx = %(a(b))\ny = %()\nz = %( )\n",
        "spaces": "x = % (a)\na = 1\n",
        "set": "set = a=1\nset = a=2\nx = %(a)\n",
        "set-ph": "set-ph = a=%(b)\nb = 1\nx = %(a)\n",
        "set-option": "set = processes=3\nx = %(processes)\n",
        "immediate": "n = 100\nlisten = %(n)\numask = %(n)\nx = %(listen)\n",
        "twice": "a = 1\nx = %(a)%(a)-%(a)\n",
        "dollar-in": "a = $(HOME)\nx = %(a)\n",
    }
    return cases + [_ini(f"ph-{name}", f"[uwsgi]\n{text}") for name, text in texts.items()]


def _others() -> list[Case]:
    one = {"SITE": "blog", "EMPTY": "", "N": "%(n)"}
    texts = {
        "env": "x = $(SITE).sock\n",
        "env-missing": "x = $(NOT_THERE_AT_ALL)\n",
        "env-empty": "x = [$(EMPTY)]\n",
        "env-with-ph": "n = 3\nx = $(N)\n",
        "env-in-ph": "blog = 1\nx = %($(SITE))\n",
        "env-twice": "x = $(SITE)$(SITE)\n",
        "env-immediate": "listen = $(SITE)\n",
    }
    cases = [_ini(f"env-{name}", f"[uwsgi]\n{text}", one) for name, text in texts.items()]
    at = {
        "file": ("x = <@(secret.txt)>\n", "s3cret\n"),
        "file-two": ("x = <@(secret.txt)>\n", "a\nb\n\n"),
        "file-bare": ("x = <@(secret.txt)>\n", "abc"),
        "file-empty": ("x = <@(secret.txt)>\n", ""),
        "file-with-ph": ("a = 1\nx = @(secret.txt)\n", "%(a)\n"),
        "file-carriage": ("x = <@(secret.txt)>\n", "abc\r\n"),
    }
    cases += [
        _ini(f"at-{name}", f"[uwsgi]\n{text}", secret_txt=content)
        for name, (text, content) in at.items()
    ]
    return cases


def _logic() -> list[Case]:
    env = {"SITE": "blog"}
    tests = [
        "if-env = SITE", "if-env = SITE=blog", "if-env = SITE=shop", "if-env = NOT_THERE",
        "if-not-env = SITE", "if-not-env = NOT_THERE", "if-not-env = SITE=shop", "ifenv = SITE",
        "if-opt = master", "if-opt = master=true", "if-opt = master=no", "if-opt = nothing",
        "if-not-opt = nothing", "if-not-opt = master=no", "if-not-opt = master",
        "if-exists = there.txt", "if-exists = nowhere", "if-not-exists = nowhere",
        "ifexists = there.txt", "if-file = there.txt", "if-file = .", "if-not-file = .",
        "if-dir = .", "if-dir = there.txt", "if-not-dir = there.txt", "ifdir = .",
        "if-directory = .", "if-reload", "if-not-reload", "if-hostname = no-such-host",
        "if-not-hostname = no-such-host", "if-plugin = python", "if-not-plugin = python",
    ]  # fmt: skip
    cases = [
        _ini(
            f"if-{number}",
            f"[uwsgi]\nmaster = true\n{test}\nx = <%(_)>\ny = 1\nendif =\nz = 1\n",
            env,
            there_txt="1\n",
        )
        for number, test in enumerate(tests)
    ]
    loops = {
        "for": "for = a b  c\nstatic-map = /%(_)=/srv/%(_)\nx = 1\nendfor =\ny = %(x)\n",
        "for-empty": "for = \nx = 1\nend-for =\ny = 1\n",
        "for-times": "for-times = 3\nsocket = /tmp/%(_).sock\nendfor =\n",
        "for-times-none": "for-times = many\nsocket = /tmp/%(_).sock\nendfor =\n",
        "for-glob": "for-glob = *.txt\nx = %(_)\nendfor =\n",
        "for-glob-none": "for-glob = *.nothing\nx = %(_)\nendfor =\n",
        "for-glob-abs": "for-glob = %dsub*\nx = %(_)\nendfor =\n",
        "for-readline": "for-readline = there.txt\nx = <%(_)>\nend =\ny = 1\n",
        "for-open": "for = a b\nx = %(_)\n",
        "for-ph": "items = a b\nfor = %(items)\nx = %(_)\nendfor =\n",
        "for-set": "for = a b\nset = env=%(_)\nendfor =\n",
        "for-include": "for = one two\ninclude = %(_).ini\nendfor =\nx = 1\n",
        "if-include": "if-env = SITE\ninclude = one.ini\nendif =\nz = 1\n",
        "if-not-include": "if-env = NOT_THERE\ninclude = one.ini\nendif =\nz = 1\n",
        "end-alone": "end =\nendif =\nx = 1\n",
        "if-two": "if-env = SITE\nx = 1\nendif =\nif-env = NOT_THERE\ny = 1\nendif =\nz = 1\n",
        "if-no-end": "if-env = NOT_THERE\nx = 1\ny = 1\n",
    }
    others = {
        "there_txt": "first\nsecond line\n\nlast",
        "one_ini": "[uwsgi]\none = 1\n",
        "two_ini": "[uwsgi]\ntwo = %(one)\n",
        "sub__a_txt": "a",
    }
    return cases + [
        _ini(f"loop-{name}", f"[uwsgi]\n{text}", env, **others) for name, text in loops.items()
    ]


def _includes() -> list[Case]:
    base = "[uwsgi]\nbase = %n\nfrom-base = %(site)\nfirst = %N\nx = base\n[other]\nz = other\n"
    texts = {
        "include": "site = blog\ninclude = base.ini\nx = own\ny = %(base)\n",
        "include-late": "x = own\ninclude = base.ini\nsite = blog\n",
        "inherit": "inherit = base.ini\nsite = blog\nx = own\ny = %(base)\n",
        "inherit-ph": "name = base\ninherit = %(name).ini\nsite = blog\n",
        "inherit-env": "inherit = $(WHICH).ini\nsite = blog\n",
        "include-ph": "name = base\nmaster = true\ny = %(name)\n",
        "ini": "ini = base.ini\nx = own\n",
        "ini-section": "ini = base.ini:other\nx = own\n",
        "ini-own-section": "ini = :second\nx = own\n[second]\ny = %x\n",
        "both": "inherit = base.ini\ninclude = base.ini\nx = own\n",
        "deep": "include = middle.ini\nx = own\n",
        "inherit-deep": "inherit = middle.ini\nx = own\n",
        "twice": "include = base.ini\ninclude = base.ini\n",
        "strict-known": "strict = true\nmaster = true\nprocesses = 2\n",
        "upper": "include = sub/inner.ini\nx = %n %N\n",
    }
    others = {
        "base_ini": base,
        "middle_ini": "[uwsgi]\nmiddle = %n\ninclude = base.ini\n",
        "sub__inner_ini": "[uwsgi]\ninner = %n %d %c %N\n",
    }
    env = {"WHICH": "base"}
    return [_ini(f"inc-{name}", f"[uwsgi]\n{text}", env, **others) for name, text in texts.items()]


def _other_dialects() -> list[Case]:
    yaml = {
        "plain": "uwsgi:\n  module: blog.wsgi\n  master: true\n  processes: 4\n  env: A=b\n  env: C=d\n",
        "magic": "uwsgi:\n  socket: /run/%n.sock\n  base: %d\n  chdir: %(base)\n",
        "comment": "# a site\nuwsgi:\n  # its module\n  module: blog.wsgi\n  threads: 2 # two\n",
        "before": "other:\n  master: true\nuwsgi:\n  processes: 2\n",
    }
    xml = {
        "plain": "<uwsgi><module>blog.wsgi</module><master/><processes>4</processes></uwsgi>",
        "lines": "<uwsgi>\n  <socket>/run/%n.sock</socket>\n  <env>A=b</env>\n  <env>C=d</env>\n</uwsgi>",
        "inside": "<config><uwsgi><master>true</master></uwsgi></config>",
        "comment": "<uwsgi><!-- none --><module>a</module></uwsgi>",
        "escape": "<uwsgi><env>A=1&lt;2&amp;3</env></uwsgi>",
    }
    json = {
        "plain": '{"uwsgi": {"module": "blog.wsgi", "master": true, "processes": 4}}',
        "off": '{"uwsgi": {"module": "blog.wsgi", "master": false, "lazy-apps": true}}',
        "list": '{"uwsgi": {"module": "blog.wsgi", "env": ["A=b", "C=d"], "threads": 2}}',
        "magic": '{"uwsgi": {"socket": "/run/%n.sock", "base": "%d", "chdir": "%(base)"}}',
        "text": '{"uwsgi": {"processes": "4", "env": "A=\\u00e9 \\"b\\" \\/"}}',
        "before": '{"other": {"master": true}, "uwsgi": {"processes": 2}, "x": 1}',
        "null": '{"uwsgi": {"module": "blog.wsgi", "master": null, "processes": 2}}',
        "real": '{"uwsgi": {"module": "blog.wsgi", "processes": 2.5, "threads": 1e1}}',
        "map": '{"uwsgi": {"module": "blog.wsgi", "x": {"a": "b"}, "threads": 2}}',
        "lists": '{"uwsgi": {"env": [["A=b"], "C=d", 3, true, false, null]}}',
        "twice": '{"uwsgi": {"processes": 2, "processes": 3}}',
        "negative": '{"uwsgi": {"x": 2147483647, "y": -4}}',
        "lines": '{\n  "uwsgi": {\n    "module": "blog.wsgi",\n    "master": true\n  }\n}\n',
        "empty": '{"uwsgi": {"module": "", "env": []}}',
        "for": '{"uwsgi": {"for": "a b", "env": "X%(_)=1", "endfor": ""}}',
    }
    return [
        *(Case(f"json-{name}", {"vassal.json": text}) for name, text in json.items()),
        Case("js-plain", {"vassal.js": json["plain"]}),
        *(Case(f"yaml-{name}", {"vassal.yaml": text}) for name, text in yaml.items()),
        *(Case(f"xml-{name}", {"vassal.xml": text}) for name, text in xml.items()),
    ]


CASES = [
    *_sites(),
    *_more_sites(),
    *_oddities(),
    *_magic(),
    *_placeholders(),
    *_others(),
    *_logic(),
    *_includes(),
    *_other_dialects(),
]
