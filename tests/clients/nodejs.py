"""Installs the node packages that package-lock.json pins, once, into the user's cache directory.

The packages are never part of the repository. An installed set is found again by the digest of its
lock file; a half finished one is never used, because it gets its name only when npm is done.
"""
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

OLDEST_NODE = 18
INSTALL_SECONDS = 180


class Unavailable(Exception):
    """The node tests cannot run here; says why."""


@functools.lru_cache(maxsize=None)
def ready(here):
    """Returns node's path and the directory to find the modules in, or why there is none."""
    try:
        return find(here), None
    except Unavailable as why:
        return None, str(why)


def find(here):
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        raise Unavailable("node is not installed (Debian: nodejs npm)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if not major or int(major.group(1)) < OLDEST_NODE:
        raise Unavailable(f"node {version} is too old for these clients, {OLDEST_NODE} is needed")
    return node, os.path.join(installed(here), "node_modules")


def installed(here):
    with open(os.path.join(here, "package-lock.json"), "rb") as lock:
        digest = hashlib.sha256(lock.read()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.path.join(cache, "larder-clients")
    place = os.path.join(home, digest)
    if not os.path.isdir(place):
        os.makedirs(home, exist_ok=True)
        install(here, home, place)
    return place


def install(here, home, place):
    npm = shutil.which("npm")
    if not npm:
        raise Unavailable("npm is not installed (Debian: npm)")
    work = tempfile.mkdtemp(prefix="installing-", dir=home)
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(here, name), work)
        npm_install(npm, work)
        try:
            os.rename(work, place)
        except OSError:
            if not os.path.isdir(place):  # else another run was faster
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def npm_install(npm, work):
    # Not `npm ci`: it refuses a lock file that leaves out the optional packages of other platforms.
    # `npm install` keeps to the lock file just as well, and checks the digests in it.
    command = [npm, "install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund",
               "--prefer-offline", "--fetch-retry-mintimeout=500", "--fetch-retry-factor=2",
               "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise Unavailable(f"npm install was not done after {INSTALL_SECONDS} s") from late
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise Unavailable("the node packages cannot be installed: " + "; ".join(lines[:3]))
