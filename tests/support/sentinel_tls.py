#!/usr/bin/env python3
"""sentinel_tls.py - a Sentinel before a Redis, all of it over TLS: what LARDER_SENTINEL=1 puts before
the larder of `make conformance`, of the clients and of the coherence tests.

    s = Guard(directory, redis_port, sentinel_port)     ports for TLS
    s.redis_options, s.sentinel_command, s.upstream     for redis-server, to be run, for larder.ini

As a program, `sentinel_tls.py DIRECTORY REDIS_PORT SENTINEL_PORT` prints the options of redis-server
and leaves sentinel.conf and upstream.ini in the directory.
"""
import os
import sys

from certificates import Authority, redis_options

NAME = "mymaster"


class Guard:
    def __init__(self, directory, redis_port, sentinel_port):
        self.authority = Authority(directory=directory)
        own = self.authority.issue("server")
        self.redis_options = redis_options(redis_port, self.authority, own)
        options = redis_options(sentinel_port, self.authority, own, "--tls-replication", "yes")
        config = os.path.join(directory, "sentinel.conf")
        with open(config, "w") as f:
            f.write("\n".join([
                "bind 127.0.0.1", "port 0", f"dir {directory}",
                *(f"{name[2:]} {value}" for name, value in zip(options[::2], options[1::2])),
                f"sentinel monitor {NAME} 127.0.0.1 {redis_port} 1",
                f"sentinel down-after-milliseconds {NAME} 864000000"]) + "\n")
        self.sentinel_command = ["redis-server", config, "--sentinel"]
        self.upstream = (f"sentinels = 127.0.0.1:{sentinel_port}\nmaster = {NAME}\ntls = yes\n"
                         f"tls_ca = {self.authority.cert}\n")


def main(directory, redis_port, sentinel_port):
    guard = Guard(directory, int(redis_port), int(sentinel_port))
    print(*guard.redis_options)
    with open(os.path.join(directory, "upstream.ini"), "w") as f:
        f.write(guard.upstream)


if __name__ == "__main__":
    main(*sys.argv[1:])
