'use strict';
// ioredis, node-redis and libraries on top of them, before a sidecar with the policies of policies.ini,
// in RESP3 and RESP2: what was put among their commands is not seen by them.
const Redis = require('ioredis');
const { createClient } = require('redis');
const { RedisStore } = require('connect-redis');
const { RateLimiterRedis } = require('rate-limiter-flexible');
const { Skip, assert, control, host, runTests, sidecarPort, test, until, upstream } = require('./harness.js');

const MINUTE = 60;
const HOUR = 3600;
const LATE = 30; // seconds that a test may have taken, where it looks at a TTL
let number = 0;

/** A key that no other test uses. */
function fresh(prefix) {
    number++;
    return `${prefix}node-${process.pid}-${number}`;
}

/** Runs the body with an ioredis at the sidecar and one at Redis itself. */
async function withIoredis(protocol, body) {
    const c = new Redis({ host, port: sidecarPort, protocol });
    const direct = new Redis({ ...upstream, protocol: 2 });
    try {
        await body(c, direct);
    } finally {
        c.disconnect();
        direct.disconnect();
    }
}

async function withNodeRedis(RESP, body) {
    const c = await createClient({ socket: { host, port: sidecarPort }, RESP }).connect();
    const direct = new Redis({ ...upstream, protocol: 2 });
    try {
        await body(c, direct);
    } finally {
        c.destroy();
        direct.disconnect();
    }
}

async function lives(direct, name, seconds) {
    const found = await direct.ttl(name);
    assert.ok(found > seconds - LATE && found <= seconds, `${name} has a TTL of ${found} s, not ${seconds}`);
}

function both(name, run) {
    for (const protocol of [3, 2]) {
        test(`${name}, RESP${protocol}`, () => {
            if (!sidecarPort) throw new Skip("needs sidecars with policies, and these are somebody else's servers");
            return run(protocol);
        });
    }
}

both('ioredis: writes of every kind', (protocol) => withIoredis(protocol, async (c, direct) => {
    const name = fresh('user:');
    assert.equal(await c.set(`${name}:s`, 'v'), 'OK');
    assert.equal(await c.set(`${name}:s`, 'w', 'GET'), 'v');
    assert.equal(await c.hset(`${name}:h`, { a: 1, b: 2 }), 2);
    assert.equal(await c.incr(`${name}:n`), 1);
    assert.equal(await c.rpush(`${name}:l`, 1, 2), 2);
    assert.equal(await c.zadd(`${name}:z`, 1, 'x'), 1);
    assert.equal(await c.mset({ [`${name}:m1`]: 1, [`${name}:m2`]: 2 }), 'OK');
    assert.equal(await c.eval('return redis.call("SET", KEYS[1], ARGV[1])', 1, `${name}:e`, 'x'), 'OK');
    for (const one of ['s', 'h', 'n', 'l', 'z', 'm1', 'm2', 'e']) await lives(direct, `${name}:${one}`, 15 * MINUTE);
    assert.equal(await c.expire(`${name}:h`, 12 * HOUR), 1);
    await lives(direct, `${name}:h`, HOUR);
    await assert.rejects(c.incr(`${name}:l`), /WRONGTYPE/);
    await assert.rejects(c.set(`${name}:password`, 'x'), /NOPERM policy 'password' of larder denies access to this key/);
    await assert.rejects(c.set(`${name}:s`, 'x'.repeat(10241)), /ERR policy 'user' of larder allows values up to 10240 bytes/);
}));

both('ioredis: MULTI and pipelines', (protocol) => withIoredis(protocol, async (c, direct) => {
    const name = fresh('user:');
    const found = await c.multi().hset(`${name}:h`, 'f', 1).get(`${name}:none`).set(`${name}:s`, 'v')
        .rpush(`${name}:l`, 1, 2).lpush(`${name}:s`, 'x').hgetall(`${name}:h`).exec();
    assert.deepEqual(found.map(([, value]) => (value && typeof value === 'object' ? { ...value } : value)),
        [1, null, 'OK', 2, undefined, { f: '1' }]);
    assert.match(found[4][0].message, /WRONGTYPE/);
    for (const one of ['h', 's', 'l']) await lives(direct, `${name}:${one}`, 15 * MINUTE);
    const many = c.pipeline();
    for (let i = 0; i < 500; i++) many.hset(`${name}:${i}`, 'f', i).hget(`${name}:${i}`, 'f');
    const replies = await many.exec();
    assert.deepEqual(replies.map(([, value]) => String(value)),
        Array.from({ length: 1000 }, (_, i) => (i % 2 ? String((i - 1) / 2) : '1')));
    await lives(direct, `${name}:499`, 15 * MINUTE);
    await assert.rejects(c.multi().set(`${name}:x`, 1).get(`${name}:password`).exec(), /EXECABORT/);
    assert.equal(await direct.exists(`${name}:x`), 0);
}));

both('ioredis: 32 clients at one rate limit', (protocol) => withIoredis(protocol, async (c, direct) => {
    const name = fresh('limit:');
    const clients = Array.from({ length: 32 }, () => new Redis({ host, port: sidecarPort, protocol }));
    try {
        const numbers = await Promise.all(clients.flatMap((one) => Array.from({ length: 30 }, async () => {
            const [[, count], [, expires]] = await one.multi().incr(name).expire(name, MINUTE).exec();
            assert.equal(expires, 1);
            return count;
        })));
        assert.deepEqual(numbers.sort((a, b) => a - b), Array.from({ length: 960 }, (_, i) => i + 1));
        await lives(direct, name, MINUTE);
    } finally {
        for (const one of clients) one.disconnect();
    }
}));

both('rate-limiter-flexible', (protocol) => withIoredis(protocol, async (c, direct) => {
    const limiter = new RateLimiterRedis({ storeClient: c, keyPrefix: fresh('limit:'), points: 5, duration: 50 });
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => limiter.consume('somebody')));
    assert.equal(tries.filter((one) => one.status === 'fulfilled').length, 5);
    const state = await limiter.get('somebody');
    assert.equal(state.remainingPoints, 0);
    assert.ok(state.msBeforeNext > 0 && state.msBeforeNext <= 50000, `${state.msBeforeNext} ms`);
    assert.equal(await direct.exists(`${limiter.keyPrefix}:somebody`), 1);
}));

both('node-redis: writes, MULTI, LARDER MSETEX', (RESP) => withNodeRedis(RESP, async (c, direct) => {
    const name = fresh('user:');
    assert.equal(await c.set(`${name}:s`, 'v', { EX: 12 * HOUR }), 'OK');
    await lives(direct, `${name}:s`, HOUR);
    assert.deepEqual(await c.multi().hSet(`${name}:h`, { a: '1' }).incr(`${name}:n`).set(`${name}:s`, 'w')
        .get(`${name}:s`).exec(), [1, 1, 'OK', 'w']);
    for (const one of ['h', 'n', 's']) await lives(direct, `${name}:${one}`, 15 * MINUTE);
    await assert.rejects(c.get(`${name}:password`), /NOPERM policy 'password' of larder denies/);
    const users = Array.from({ length: 50 }, (_, i) => [`${name}:${i}`, `user ${i}`]);
    const answers = await c.sendCommand(['LARDER', 'MSETEX', String(20 * MINUTE * 1000), ...users.flat()]);
    assert.deepEqual(answers.map(String), Array.from({ length: 50 }, () => 'OK'));
    await lives(direct, `${name}:49`, 20 * MINUTE);
}));

both('connect-redis: a session that slides', (RESP) => withNodeRedis(RESP, async (c, direct) => {
    const prefix = `${fresh('session:')}:`;
    const store = new RedisStore({ client: c, prefix, ttl: 30 * MINUTE });
    const call = (verb, ...words) => new Promise((done, failed) => store[verb](...words,
        (error, got) => (error ? failed(error) : done(got))));
    const session = { user: 'me', cookie: { originalMaxAge: 30 * MINUTE * 1000 } };
    await call('set', 's1', session);
    await lives(direct, `${prefix}s1`, 30 * MINUTE);
    for (let i = 0; i < 50; i++) {
        assert.equal((await call('get', 's1')).user, 'me');
        await call('touch', 's1', session);
    }
    await lives(direct, `${prefix}s1`, 30 * MINUTE);
    await direct.expire(`${prefix}s1`, 10 * MINUTE);
    await until(async () => (await call('get', 's1')).user === 'me' && await direct.ttl(`${prefix}s1`) > 29 * MINUTE,
        'its use has renewed it');
    assert.deepEqual((await call('ids')), ['s1']); // and no key of larder's own
    await call('destroy', 's1');
    assert.equal(await call('get', 's1') ?? null, null);
}));

both('clients that connect while Redis is away read what is kept', async (protocol) => {
    const name = fresh('catalogue:');
    const c = new Redis({ host, port: sidecarPort, protocol });
    try {
        assert.equal(await c.select(1), 'OK');
        assert.equal(await c.set(name, 'kept'), 'OK');
        await until(async () => await c.get(name) === 'kept' &&
            String(await c.call('LARDER', 'KEY', name)).includes('served=yes'), 'it is kept');
        await control('stop upstream');
        try {
            await until(async () => String(await c.call('LARDER', 'HEALTH')).includes('upstream=down') ||
                await c.get(name) === 'kept', 'the sidecar goes on');
            const late = new Redis({ host, port: sidecarPort, protocol, db: 1 });
            assert.equal(await late.get(name), 'kept');
            late.disconnect();
            const other = await createClient({ socket: { host, port: sidecarPort }, RESP: protocol, database: 1,
                name: 'late' }).connect();
            assert.equal(await other.get(name), 'kept');
            other.destroy();
        } finally {
            await control('start upstream');
        }
        await until(async () => await c.set(name, 'new').catch(() => '') === 'OK', 'Redis is back');
        assert.equal(await c.get(name), 'new');
    } finally {
        c.disconnect();
    }
});

runTests('policies-node');
