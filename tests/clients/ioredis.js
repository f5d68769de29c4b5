'use strict';
// ioredis 6, which speaks RESP3 unless told otherwise; the first argument is the protocol, 2 or 3.
const Redis = require('ioredis');
const { Skip, assert, big, control, direct, host, key, near, nearHits, port, runTests, test, until,
    upstream, works } = require('./harness.js');

const PROTOCOL = Number(process.argv[2] || 3);
const BIG = big();

function make(more = {}) {
    const client = new Redis({ host, port, protocol: PROTOCOL, lazyConnect: true,
        retryStrategy: (n) => Math.min(5 * n, 100), maxRetriesPerRequest: null, ...more });
    client.on('error', () => {}); // a broken connection is seen by the command that fails
    return client;
}

/** Runs the body with connected clients, and closes them. */
async function using(n, body, more) {
    const clients = Array.from({ length: n }, () => make(more));
    await Promise.all(clients.map((client) => client.connect()));
    try {
        return await body(...clients);
    } finally {
        for (const client of clients) client.disconnect();
    }
}

async function blocked(client) {
    return Number(/blocked_clients:(\d+)/.exec(await client.info('clients'))[1]);
}

test('values of every type', () => using(1, async (c) => {
    assert.equal(await c.set(key('s'), 'é\r\n', 'EX', 100), 'OK');
    assert.equal(await c.get(key('s')), 'é\r\n');
    assert.equal(await c.get(key('none')), null);
    assert.deepEqual(await c.mget(key('s'), key('none')), ['é\r\n', null]);
    assert.equal(await c.hset(key('h'), { a: '1', b: '2' }), 2);
    assert.deepEqual({ ...await c.hgetall(key('h')) }, { a: '1', b: '2' });
    assert.equal(await c.zadd(key('z'), 1.5, 'x', '+inf', 'y'), 2);
    assert.equal(Number(await c.zscore(key('z'), 'x')), 1.5);
    assert.equal(await c.sadd(key('set'), 'a', 'b'), 2);
    assert.deepEqual([...await c.smembers(key('set'))].sort(), ['a', 'b']);
    assert.deepEqual((await c.lrange(key('none'), 0, -1)), []);
    await assert.rejects(c.lpush(key('s'), 'x'), /WRONGTYPE/);
    await assert.rejects(c.call('NOSUCH', 'a'), /unknown command 'NOSUCH'/);
    assert.equal((await c.role())[0], 'master');
    assert.match(await c.info(), /redis_version:/);
    assert.ok(await c.client('ID') > 0);
}));

if (near) {
    test('hits: what was read once comes from the near cache', () => using(2, async (c, other) => {
        const hits = () => nearHits(() => other.call('LARDER', 'STATS'));
        await other.set(key('s'), 'kept');
        await other.hset(key('h'), { a: '1', b: '2' });
        const read = async () => {
            assert.equal(await c.get(key('s')), 'kept');
            assert.deepEqual({ ...await c.hgetall(key('h')) }, { a: '1', b: '2' });
            assert.deepEqual(await c.mget(key('s'), key('none')), ['kept', null]);
            assert.equal(await c.get(key('none')), null);
        };
        const before = await hits();
        await read();
        const between = await hits();
        for (let i = 0; i < 10; i++) await read();
        const after = await hits();
        assert.ok(between.hits - before.hits <= 1); // MGET finds what GET has brought
        // of 30 and 20: the push about what was just written may have come in between
        assert.ok(after.hits - between.hits >= 20, `${between.hits} ${after.hits}`);
        assert.ok(after.negative - between.negative >= 15, `${between.negative} ${after.negative}`);
        await other.set(key('s'), 'new');
        assert.equal(await c.get(key('s')), 'new');
    }));
}

test('pipeline of 20,000 commands, errors in the middle', () => using(1, async (c) => {
    const pipeline = c.pipeline();
    for (let i = 0; i < 10000; i++) pipeline.set(key(i % 50), `${i}`).get(key(i % 50));
    pipeline.lpush(key(0), 'x').get(key(0));
    const got = await pipeline.exec();
    for (let i = 0; i < 10000; i++) assert.deepEqual([got[2 * i], got[2 * i + 1]], [[null, 'OK'], [null, `${i}`]]);
    assert.match(got[20000][0].message, /WRONGTYPE/);
    assert.deepEqual(got[20001], [null, '9950']);
}));

test('autopipelining: 5,000 callers', () => using(1, async (c) => {
    await Promise.all(Array.from({ length: 5000 }, async (_, i) => {
        assert.equal(await c.set(key(`a${i}`), `${i}`), 'OK');
        assert.equal(await c.get(key(`a${i}`)), `${i}`);
        assert.equal(await c.del(key(`a${i}`)), 1);
    }));
}, { enableAutoPipelining: true }));

test('MULTI, an error inside, EXECABORT, without pipeline', () => using(1, async (c) => {
    assert.deepEqual(await c.multi().set(key('a'), 1).incr(key('a')).exec(), [[null, 'OK'], [null, 2]]);
    const got = await c.multi().set(key('a'), 'x').incr(key('a')).exec();
    assert.match(got[1][0].message, /not an integer/);
    await assert.rejects(c.multi().set(key('a'), 'y').call('NOSUCH').exec(), /EXECABORT/);
    await c.multi({ pipeline: false });
    assert.equal(await c.set(key('a'), 5), 'QUEUED');
    assert.equal(await c.incr(key('a')), 'QUEUED');
    assert.deepEqual(await c.exec(), [[null, 'OK'], [null, 6]]);
    await c.multi({ pipeline: false });
    await c.set(key('a'), 7);
    assert.equal(await c.discard(), 'OK');
    assert.equal(await c.get(key('a')), '6');
}));

test('WATCH: a conflict, none, 8 clients count to 400', () => using(8, async (...all) => {
    const [c, other] = all;
    await c.watch(key('w'));
    await other.set(key('w'), '2');
    assert.equal(await c.multi().set(key('w'), 'lost').exec(), null);
    await c.watch(key('w'));
    assert.deepEqual(await c.multi().set(key('w'), '3').exec(), [[null, 'OK']]);
    await c.watch(key('w'));
    await other.set(key('w'), '4');
    await c.unwatch();
    assert.deepEqual(await c.multi().set(key('w'), '5').exec(), [[null, 'OK']]);
    await Promise.all(all.map(async (one) => {
        for (let done = 0; done < 50;) {
            await one.watch(key('n'));
            const n = Number(await one.get(key('n')) || 0);
            done += (await one.multi().set(key('n'), n + 1).exec()) !== null;
        }
    }));
    assert.equal(await c.get(key('n')), '400');
}));

test('publish and subscribe, with patterns and shards', () => using(2, async (c, s) => {
    const seen = [];
    s.on('message', (channel, message) => seen.push(['m', channel, message]));
    s.on('pmessage', (pattern, channel, message) => seen.push(['p', channel, message]));
    s.on('smessage', (channel, message) => seen.push(['s', channel, message]));
    assert.equal(await s.subscribe(key('one'), key('many')), 2);
    assert.equal(await s.psubscribe(key('o*')), 3);
    await s.ssubscribe(key('shard'));
    assert.equal(await c.publish(key('one'), 'hello'), 2);
    assert.equal(await c.spublish(key('shard'), 'part'), 1);
    await until(() => seen.length === 3, 'three messages');
    assert.deepEqual(seen.map(([kind]) => kind).sort(), ['m', 'p', 's']);
    await Promise.all(Array.from({ length: 2000 }, (_, i) => c.publish(key('many'), `${i}`)));
    await until(() => seen.length === 2003, '2,000 messages');
    assert.deepEqual(seen.slice(3).map((m) => m[2]), Array.from({ length: 2000 }, (_, i) => `${i}`));
    assert.match(String(await s.ping()), /pong/i);
    await s.unsubscribe(key('one'), key('many'));
    await s.punsubscribe(key('o*'));
    await s.sunsubscribe(key('shard'));
    assert.equal(await c.publish(key('one'), 'x'), 0);
    assert.equal(await s.set(key('back'), '1'), 'OK');
    const got = new Promise((done) => s.once('messageBuffer', (_, message) => done(message)));
    await s.subscribe(key('big'));
    await c.publish(key('big'), BIG);
    assert.ok(BIG.equals(await got));
}));

test('blocking pops', () => using(4, async (c, a, b, d) => {
    const before = await blocked(c);
    const first = a.blpop(key('q1'), key('q2'), 0);
    const second = b.bzpopmin(key('z'), 15);
    const third = d.blmove(key('q3'), key('q4'), 'LEFT', 'RIGHT', 15);
    await until(async () => await blocked(c) === before + 3, 'all wait');
    await c.rpush(key('q2'), 'x');
    await c.zadd(key('z'), 2, 'm');
    await c.rpush(key('q3'), 'moved');
    assert.deepEqual(await first, [key('q2'), 'x']);
    assert.deepEqual((await second).map(String), [key('z'), 'm', '2']);
    assert.equal(await third, 'moved');
    assert.equal(await a.brpop(key('none'), 0.05), null);
    const all = Promise.all([a.blpop(key('q5'), 15), a.set(key('after'), '1'), a.get(key('after'))]);
    await until(async () => await blocked(c) === before + 1, 'it waits');
    assert.equal(await c.get(key('after')), null);
    await c.rpush(key('q5'), 'y');
    assert.deepEqual((await all).slice(1), ['OK', '1']);
}));

test('a client that leaves while it blocks takes no element', () => using(2, async (c, quitter) => {
    const before = await blocked(c);
    quitter.blpop(key('left'), 0).catch(() => {});
    await until(async () => await blocked(c) === before + 1, 'it waits');
    quitter.disconnect();
    await until(async () => await blocked(c) === before, 'it is gone');
    await c.rpush(key('left'), 'kept');
    assert.deepEqual(await c.lrange(key('left'), 0, -1), ['kept']);
}));

test('Lua: defineCommand, EVAL', () => using(1, async (c) => {
    c.defineCommand('mine', { numberOfKeys: 1,
        lua: `-- ${process.pid} ${PROTOCOL}\nreturn {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}` });
    assert.deepEqual(await c.mine(key('l'), 'v'), [key('l'), 'v', 1]);
    assert.deepEqual(await c.mine(key('l'), 'v'), [key('l'), 'v', 2]);
    const piped = await c.pipeline().mine(key('l'), 'w').get(key('l')).exec();
    assert.deepEqual(piped, [[null, [key('l'), 'w', 3]], [null, '3']]);
    assert.deepEqual(await c.multi().mine(key('l'), 'w').exec(), [[null, [key('l'), 'w', 4]]]);
    assert.deepEqual(await c.eval('return {1, {2, {3}}, ARGV[1]}', 0, 'x'), [1, [2, [3]], 'x']);
    await assert.rejects(c.eval("return redis.error_reply('MINE broken')", 0), /MINE broken/);
    await assert.rejects(c.evalsha('0'.repeat(40), 0), /NOSCRIPT/);
}));

test('SCAN streams', () => using(1, async (c) => {
    await c.mset(new Map(Array.from({ length: 1000 }, (_, i) => [key(`s${i}`), '1'])));
    const seen = new Set();
    for await (const names of c.scanStream({ match: key('s*'), count: 100 })) for (const n of names) seen.add(n);
    assert.equal(seen.size, 1000);
    await c.zadd(key('z'), ...Array.from({ length: 1000 }, (_, i) => [i, `m${i}`]).flat());
    let members = 0;
    for await (const part of c.zscanStream(key('z'), { count: 100 })) members += part.length / 2;
    assert.equal(members, 1000);
}));

test('streams and consumer groups', () => using(2, async (c, reader) => {
    const s = key('stream');
    await c.xgroup('CREATE', s, 'g', '$', 'MKSTREAM');
    const before = await blocked(c);
    const late = reader.xreadgroup('GROUP', 'g', 'one', 'BLOCK', 15000, 'STREAMS', s, '>');
    await until(async () => await blocked(c) === before + 1, 'the reader waits');
    const first = await c.xadd(s, '*', 'n', '0');
    assert.ok(JSON.stringify(await late).includes(first));
    for (let i = 1; i <= 50; i++) await c.xadd(s, '*', 'n', `${i}`);
    const rest = JSON.stringify(await reader.xreadgroup('GROUP', 'g', 'one', 'COUNT', 100, 'STREAMS', s, '>'));
    assert.equal(rest.match(/"n"/g).length, 50);
    assert.equal((await c.xpending(s, 'g'))[0], 51);
    assert.equal(await c.xack(s, 'g', first), 1);
    assert.equal((await c.xrange(s, '-', '+')).length, 51);
    assert.equal((await c.xautoclaim(s, 'g', 'two', 0, '0-0', 'COUNT', 100))[1].length, 50);
    assert.equal(await reader.xread('BLOCK', 20, 'STREAMS', s, '$'), null);
}));

test('8 MB binary values', () => using(1, async (c) => {
    await c.set(key('big'), BIG);
    assert.ok(BIG.equals(await c.getBuffer(key('big'))));
    const got = await c.pipeline().getBuffer(key('big')).strlen(key('big')).getBuffer(key('big')).exec();
    assert.ok(BIG.equals(got[0][1]) && BIG.equals(got[2][1]));
    assert.equal(got[1][1], BIG.length);
    const inside = await c.multi().set(key('x'), BIG).getBuffer(key('x')).exec();
    assert.ok(BIG.equals(inside[1][1]));
    await c.unlink(key('big'), key('x'));
}));

test('database, name, key prefix, MONITOR, QUIT', () => using(1, async (c) => {
    await using(1, async (two) => {
        await two.set('d', 'two');
        assert.equal(await c.get(key('d')), null);
        assert.equal(await two.client('GETNAME'), 'io-app');
        await c.select(2);
        assert.equal(await c.get(key('d')), 'two');
        await c.select(0);
    }, { db: 2, connectionName: 'io-app', keyPrefix: key('') });
    const monitor = await make().monitor();
    const seen = [];
    monitor.on('monitor', (_, words) => seen.push(words.join(' ').toLowerCase()));
    await c.set(key('m'), '1');
    await until(() => seen.includes(`set ${key('m')} 1`), 'the SET is seen');
    monitor.disconnect();
    const quitter = make();
    await quitter.connect();
    const last = Promise.all([quitter.incr(key('q')), quitter.quit()]);
    assert.deepEqual(await last, [1, 'OK']);
    await until(() => quitter.status === 'end', 'it has ended');
}));

test('username and password', async () => {
    const user = 'larder-clients-io';
    const admin = new Redis({ ...upstream });
    const made = await admin.call('ACL', 'SETUSER', user, 'reset', 'on', '>p4ss of io', '~*', '&*', '+@all')
        .catch((error) => error);
    admin.disconnect();
    if (made instanceof Error) throw new Skip(`no user can be made: ${made.message}`);
    await using(1, async (c) => assert.equal(await c.acl('WHOAMI'), user),
        { username: user, password: 'p4ss of io' });
    await using(1, async (c) => assert.equal(await c.acl('WHOAMI'), user),
        { username: user, password: 'p4ss of io', db: 3, connectionName: 'x' });
    const wrong = make({ username: user, password: 'wrong', retryStrategy: null });
    await assert.rejects(wrong.connect().then(() => wrong.get('x')));
    wrong.disconnect();
    if (!process.env.LOCKED_PORT) return;
    await using(1, async (c) => assert.equal(await c.set(key('p'), '1'), 'OK'),
        { port: Number(process.env.LOCKED_PORT), password: process.env.LOCKED_PASSWORD });
});

async function survives(how) {
    await using(2, async (c, s) => {
        const seen = [];
        s.on('message', (_, message) => seen.push(message));
        await s.subscribe(key('ch'));
        await c.set(key('r'), 'before');
        await control(how);
        await until(() => works(() => c.set(key('r'), 'after')), 'the client is back');
        assert.equal(await c.get(key('r')), 'after');
        await until(() => works(async () => assert.equal(await c.publish(key('ch'), how), 1)),
            'the subscriber is back');
        await until(() => seen.includes(how), 'the message');
        assert.deepEqual(await c.multi().set(key('r'), '5').incr(key('r')).exec(), [[null, 'OK'], [null, 6]]);
        const all = await Promise.all(Array.from({ length: 500 }, () => c.incr(key('count'))));
        assert.deepEqual(all, Array.from({ length: 500 }, (_, i) => i + 1));
    });
}

test('larder restarts', () => survives('restart larder'));
test('larder crashes', () => survives('crash larder'));
test('the upstream restarts', () => survives('restart upstream'));

test('larder restarts with 1,000 commands waiting offline', () => using(1, async (c) => {
    await control('stop larder');
    await until(() => c.status !== 'ready', 'the client has seen it');
    const all = Promise.all(Array.from({ length: 1000 }, (_, i) => c.echo(`${i}`)));
    await control('start larder');
    assert.deepEqual(await all, Array.from({ length: 1000 }, (_, i) => `${i}`));
}));

test('the upstream restarts while commands run', () => using(2, async (c, idle) => {
    const before = await idle.client('ID');
    const wrong = [];
    let good = 0;
    let stop = false;
    const load = (async () => {
        for (let i = 0; !stop; i++) {
            const value = `v${i}`;
            good += await works(async () => {
                const [, got, echo] = await Promise.all([c.set(key('t'), value), c.get(key('t')), c.echo(value)]);
                if ((got !== value && got !== null) || echo !== value) wrong.push([value, got, echo]);
            });
        }
    })();
    await until(() => good > 50, 'the load runs');
    await control('crash upstream');
    const then = good;
    await until(() => good > then + 50, 'the load runs again');
    stop = true;
    await load;
    assert.deepEqual(wrong, []);
    await until(() => works(() => idle.set(key('i'), '1')), 'the idle client is served');
    if (!direct) assert.equal(await idle.client('ID'), before);
}));

runTests(`ioredis RESP${PROTOCOL}`);
