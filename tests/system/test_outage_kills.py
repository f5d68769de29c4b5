"""redis-server is killed again and again under load: who reads what is kept notices nothing."""
from outage import armed, is_out, outage_larder, policy_row
from outage_kills import WARM, Load, read_all
from resp import SLOW, TIMEOUT, eventually
from servers import scaled

KILLS = 6


def test_kills_under_load(w):
    """Reads of warm keys are all answered; nothing that was answered is lost, or undone; nobody
    storms the upstream."""
    redis = w.redis("--appendonly", "yes", "--appendfsync", "always")
    larder = outage_larder(w, redis, {"k": {"on_outage": "stale", "local": "yes",
                                            "stale_ttl": "10m"}},
                           up={"command_timeout": "20s", "backoff_min": "50ms",
                               "backoff_max": "500ms"})
    load = Load(larder.address, timeout=60 * SLOW)
    load.begin()
    eventually(load.is_warm, timeout=4 * TIMEOUT)
    load.mark("kills")
    before = larder.stats()
    for _ in range(scaled(KILLS, 2)):
        stale = larder.stats()["outage_stale"]
        redis.kill()
        eventually(lambda: larder.stats()["outage_stale"] > stale + 300, timeout=4 * TIMEOUT)
        redis.start()
        eventually(lambda: not is_out(larder), timeout=4 * TIMEOUT)
        armed(larder)
        filled = larder.stats()["cache_hits"]
        eventually(lambda: larder.stats()["cache_hits"] > filled + 300, timeout=4 * TIMEOUT)
    after = larder.stats()
    load.end()
    assert load.unanswered_count == 0, (load.unanswered_count, load.unanswered[:5])
    assert load.old_count == 0, (load.old_count, load.old[:5])
    assert len(load.times["kills"]) > 1000, "hardly a read was judged"
    newest = load.newest()
    for server in (larder, redis):
        late = [(k, got, least) for k, (got, least) in enumerate(zip(read_all(server), newest))
                if got < least]
        assert not late, late[:5]
    tries = after["upstream_connects"] - before["upstream_connects"]
    # a kill costs the links there were, and a try each 250 ms on average once it has backed off
    assert tries < 40 * KILLS, f"{tries} attempts to connect"
    assert int(policy_row(larder, "k")["outage-stale"]) >= 300 * scaled(KILLS, 2)


test_kills_under_load.timeout = 120
