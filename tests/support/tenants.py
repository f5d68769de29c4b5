"""tenants.py - a larder with tenants, and connections that are theirs."""
from near import rows
from resp import Error
from servers import Larder, make_ini

# name -> prefix; the password is the name with -pw behind it. The second has what is special in a
# glob, and would match the others if that were not escaped.
PREFIXES = {"a": "acme:", "b": "b[*c]?:", "c": "acme"[::-1] + ":"}


def password(name):
    return name + "-pw"


def tenants_ini(upstream, tenants=None, sections="", listener=None, larder=None):
    """The text of a larder.ini; tenants: name -> further settings."""
    text = make_ini(("127.0.0.1", 0), upstream, larder,
                    {"address": "127.0.0.1:@PORT@", "password": "operator", **(listener or {})}, None)
    for name, more in (tenants or {n: {} for n in PREFIXES}).items():
        text += rows("tenant " + name, {"prefix": PREFIXES.get(name, name + ":"),
                                        "password": password(name), **more})
    return text + sections


def tenants_larder(w, upstream, *args, **more):
    return w.add(Larder(upstream, ini=tenants_ini(upstream, *args, **more)))


def session(w, larder, name, proto=2, **more):
    """A connection of the tenant's, logged in."""
    c = w.conn(larder, **more)
    if proto == 3:
        c.ok("HELLO", 3, "AUTH", name, password(name))
    else:
        c.ok("AUTH", name, password(name))
    return c


def operator(w, larder):
    c = w.conn(larder)
    c.ok("AUTH", "operator")
    return c


def refused(reply, code="NOPERM"):
    assert isinstance(reply, Error) and reply.startswith(code.encode()), reply
    return True
