"""What runs inside the tenant's interpreter: mold, worker, WSGI and the wire protocols.

Standard library only, CPython 3.9 and newer. In a tenant's process this package is
loaded from a sealed memory file under the private name `_emperord`; it never appears
on `sys.path`. Licence: MIT (see LICENSE in this folder), so that it may be loaded
beside any application.
"""
