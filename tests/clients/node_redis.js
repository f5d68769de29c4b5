'use strict';
// node-redis 6, which speaks RESP3 unless told otherwise; the first argument is the protocol, 2 or 3.
const { createClient, createClientPool, defineScript, RESP_TYPES, WatchError } = require('redis');
const { Skip, assert, big, control, direct, host, key, near, nearHits, port, runTests, test, until,
    upstream, works } = require('./harness.js');

const RESP = Number(process.argv[2] || 3);
const BIG = big();
const INCREMENT = defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `-- ${process.pid}\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])`,
    parseCommand(parser, name, by) {
        parser.pushKey(name);
        parser.push(String(by));
    },
    transformReply: undefined,
});

function options(more = {}) {
    return { RESP, socket: { host, port, reconnectStrategy: (n) => Math.min(5 * n, 100) }, ...more };
}

function make(more) {
    const client = createClient(options(more));
    client.on('error', () => {}); // a broken connection is seen by the command that fails
    return client;
}

/** Runs the body with connected clients, and closes them. */
async function using(n, body, more) {
    const clients = await Promise.all(Array.from({ length: n }, () => make(more).connect()));
    try {
        return await body(...clients);
    } finally {
        for (const client of clients) client.destroy();
    }
}

function bytes(client) {
    return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
}

async function blocked(client) {
    return Number(/blocked_clients:(\d+)/.exec(await client.info('clients'))[1]);
}

test('values of every type', () => using(1, async (c) => {
    assert.equal(await c.set(key('s'), 'é\r\n'), 'OK');
    assert.equal(await c.get(key('s')), 'é\r\n');
    assert.equal(await c.get(key('none')), null);
    await c.hSet(key('h'), { a: '1', b: '2' });
    assert.deepEqual({ ...await c.hGetAll(key('h')) }, { a: '1', b: '2' });
    await c.zAdd(key('z'), [{ score: 1.5, value: 'x' }, { score: Infinity, value: 'y' }]);
    assert.deepEqual(await c.zRangeWithScores(key('z'), 0, -1),
        [{ value: 'x', score: 1.5 }, { value: 'y', score: Infinity }]);
    assert.equal(await c.zScore(key('z'), 'x'), 1.5);
    await c.sAdd(key('set'), ['a', 'b']);
    assert.deepEqual([...await c.sMembers(key('set'))].sort(), ['a', 'b']);
    await c.rPush(key('l'), Array.from({ length: 500 }, (_, i) => `${i}`));
    assert.equal((await c.lRange(key('l'), 0, -1)).length, 500);
    assert.equal(await c.incrByFloat(key('f'), 0.5), '0.5');
    assert.equal(await c.copy(key('s'), key('s2')), 1);
    const raw = await c.sendCommand(['HGETALL', key('h')]);
    assert.equal(Array.isArray(raw), RESP === 2);
    await assert.rejects(c.lPush(key('s'), 'x'), /WRONGTYPE/);
    await assert.rejects(c.sendCommand(['NOSUCH', 'a']), /unknown command 'NOSUCH'/);
    assert.ok((await c.configGet('maxmemory*')).maxmemory);
    assert.equal((await c.role()).role, 'master');
}));

if (near) {
    test('hits: what was read once comes from the near cache', () => using(2, async (c, other) => {
        const hits = () => nearHits(() => other.sendCommand(['LARDER', 'STATS']));
        await other.set(key('s'), 'kept');
        await other.hSet(key('h'), { a: '1', b: '2' });
        const read = async () => {
            assert.equal(await c.get(key('s')), 'kept');
            assert.deepEqual({ ...await c.hGetAll(key('h')) }, { a: '1', b: '2' });
            assert.deepEqual(await c.mGet([key('s'), key('none')]), ['kept', null]);
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

test('20,000 commands at once, in order', () => using(1, async (c) => {
    const sent = [];
    for (let i = 0; i < 10000; i++) sent.push(c.set(key(i % 100), `${i}`), c.get(key(i % 100)));
    const got = await Promise.all(sent);
    for (let i = 0; i < 10000; i++) assert.deepEqual([got[2 * i], got[2 * i + 1]], ['OK', `${i}`]);
}));

test('MULTI, an error inside, EXECABORT, a pipeline', () => using(1, async (c) => {
    assert.deepEqual(await c.multi().set(key('a'), '1').incr(key('a')).get(key('a')).exec(), ['OK', 2, '2']);
    const replies = await c.multi().set(key('a'), 'x').incr(key('a')).exec().catch((e) => e.replies);
    assert.equal(replies[0], 'OK');
    assert.match(replies[1].message, /not an integer/);
    await assert.rejects(c.multi().addCommand(['NOSUCH']).set(key('a'), 'y').exec(), /EXECABORT|unknown command/);
    assert.equal(await c.get(key('a')), 'x');
    assert.deepEqual(await c.multi().set(key('p'), '1').incr(key('p')).execAsPipeline(), ['OK', 2]);
}));

test('WATCH: a conflict and none', () => using(2, async (c, other) => {
    await c.set(key('w'), '1');
    await c.watch(key('w'));
    await other.set(key('w'), '2');
    await assert.rejects(c.multi().set(key('w'), 'lost').exec(), WatchError);
    assert.equal(await c.get(key('w')), '2');
    await c.watch(key('w'));
    assert.deepEqual(await c.multi().set(key('w'), '3').exec(), ['OK']);
    await c.watch(key('w'));
    await other.set(key('w'), '4');
    await c.unwatch();
    assert.deepEqual(await c.multi().set(key('w'), '5').exec(), ['OK']);
}));

test('WATCH: a pool of 8 counts to 400', async () => {
    const pool = await createClientPool(options(), { minimum: 8, maximum: 8, acquireTimeout: 20000 }).connect();
    pool.on('error', () => {});
    async function count(client) {
        for (;;) {
            await client.watch(key('n'));
            const n = Number(await client.get(key('n')) || 0);
            try {
                return await client.multi().set(key('n'), `${n + 1}`).exec();
            } catch (error) {
                if (!(error instanceof WatchError)) throw error;
            }
        }
    }
    await Promise.all(Array.from({ length: 400 }, () => pool.execute(count)));
    assert.equal(await pool.get(key('n')), '400');
    await pool.destroy();
});

test('publish and subscribe, with patterns and shards', () => using(2, async (c, s) => {
    const seen = [];
    const note = (message, channel) => seen.push([String(channel), String(message)]);
    await s.subscribe(key('one'), note);
    await s.pSubscribe(key('o*'), note);
    await s.sSubscribe(key('shard'), note);
    assert.equal(await c.publish(key('one'), 'hello'), 2);
    assert.equal(await c.sPublish(key('shard'), 'part'), 1);
    await until(() => seen.length === 3, 'three messages');
    assert.deepEqual(seen.sort(), [[key('one'), 'hello'], [key('one'), 'hello'], [key('shard'), 'part']].sort());
    await s.subscribe(key('many'), note);
    await Promise.all(Array.from({ length: 2000 }, (_, i) => c.publish(key('many'), `${i}`)));
    await until(() => seen.length === 2003, '2,000 messages');
    assert.deepEqual(seen.slice(3).map(([, m]) => m), Array.from({ length: 2000 }, (_, i) => `${i}`));
    assert.equal((await c.pubSubNumSub([key('one')]))[key('one')], 1);
    await s.unsubscribe();
    await s.pUnsubscribe();
    await s.sUnsubscribe();
    await until(async () => await c.publish(key('one'), 'x') === 0, 'nobody listens');
    assert.equal(String(await s.ping()), 'PONG');
}));

test('a message of 8 MB, as bytes', () => using(2, async (c, s) => {
    const got = new Promise((done) => s.subscribe(key('big'), done, true)
        .then(() => c.publish(key('big'), BIG)));
    assert.ok(BIG.equals(await got));
}));

const testRESP3 = RESP === 3 ? test : () => {};

testRESP3('commands between messages on one connection', () => using(2, async (c, other) => {
    let seen = 0;
    await c.subscribe(key('mixed'), () => { seen++; });
    for (let i = 0; i < 500; i++) {
        const [, number] = await Promise.all([other.publish(key('mixed'), 'x'), c.incr(key('n'))]);
        assert.equal(number, i + 1);
    }
    await until(() => seen === 500, 'all messages');
    assert.deepEqual(await c.multi().incr(key('n')).exec(), [501]);
}));

test('blocking pops', () => using(3, async (c, a, b) => {
    const before = await blocked(c);
    const first = a.blPop([key('q1'), key('q2')], 0);
    const second = b.bzPopMin(key('z'), 15);
    await until(async () => await blocked(c) === before + 2, 'both wait');
    await c.rPush(key('q2'), 'x');
    await c.zAdd(key('z'), { score: 2, value: 'm' });
    assert.deepEqual({ ...await first }, { key: key('q2'), element: 'x' });
    assert.deepEqual({ ...await second }, { key: key('z'), value: 'm', score: 2 });
    assert.equal(await a.brPop(key('none'), 0.05), null);
    const moved = bytes(b).blMove(key('q3'), key('q4'), 'LEFT', 'RIGHT', 15);
    await until(async () => await blocked(c) === before + 1, 'it waits');
    await c.rPush(key('q3'), BIG);
    assert.ok(BIG.equals(await moved));
    // Commands behind a blocking one wait for it and are then served in order.
    const all = Promise.all([a.blPop(key('q5'), 15), a.set(key('after'), '1'), a.get(key('after'))]);
    await until(async () => await blocked(c) === before + 1, 'it waits');
    assert.equal(await c.get(key('after')), null);
    await c.rPush(key('q5'), 'y');
    assert.deepEqual((await all).slice(1), ['OK', '1']);
}));

test('Lua: a defined script, EVAL, functions', () => using(1, async (c) => {
    assert.equal(await c.increment(key('l'), 5), 5);
    assert.equal(await c.increment(key('l'), 2), 7);
    assert.deepEqual(await c.multi().increment(key('l'), 1).get(key('l')).exec(), [8, '8']);
    assert.deepEqual(await c.eval('return {KEYS[1], ARGV[1], 3}', { keys: ['k'], arguments: ['v'] }),
        ['k', 'v', 3]);
    await assert.rejects(c.eval("return redis.error_reply('MINE broken')"), /MINE broken/);
    if (RESP === 3) {
        const map = await c.eval("redis.setresp(3) return redis.call('HGETALL', KEYS[1])", { keys: [key('h')] });
        assert.equal(typeof map, 'object');
    }
    const library = `larder_clients_node_${process.pid}`;
    await c.functionLoad(`#!lua name=${library}\n`
        + `redis.register_function('${library}', function(k) return k[1] end)`);
    assert.equal(await c.fCall(library, { keys: [key('f')], arguments: [] }), key('f'));
    await c.functionDelete(library);
}, { scripts: { increment: INCREMENT } }));

test('SCAN, HSCAN, SSCAN, ZSCAN', () => using(1, async (c) => {
    await c.mSet(Array.from({ length: 1000 }, (_, i) => [key(`s${i}`), '1']));
    const seen = new Set();
    for await (const names of c.scanIterator({ MATCH: key('s*'), COUNT: 100 })) for (const n of names) seen.add(n);
    assert.equal(seen.size, 1000);
    await c.hSet(key('h'), Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, `${i}`])));
    let fields = 0;
    for await (const entries of c.hScanIterator(key('h'), { COUNT: 100 })) fields += entries.length;
    assert.equal(fields, 1000);
}));

test('streams and consumer groups', () => using(2, async (c, reader) => {
    const s = key('stream');
    await c.xGroupCreate(s, 'g', '$', { MKSTREAM: true });
    const before = await blocked(c);
    const late = reader.xReadGroup('g', 'one', { key: s, id: '>' }, { BLOCK: 15000 });
    await until(async () => await blocked(c) === before + 1, 'the reader waits');
    const first = await c.xAdd(s, '*', { n: '0' });
    const got = await late;
    assert.ok(JSON.stringify(got).includes(first), JSON.stringify(got));
    for (let i = 1; i <= 50; i++) await c.xAdd(s, '*', { n: `${i}` });
    const rest = await reader.xReadGroup('g', 'one', { key: s, id: '>' }, { COUNT: 100 });
    assert.equal(JSON.stringify(rest).match(/"n":/g).length, 50);
    assert.equal((await c.xPending(s, 'g')).pending, 51);
    assert.equal(await c.xAck(s, 'g', first), 1);
    assert.equal((await c.xRange(s, '-', '+')).length, 51);
    assert.equal((await c.xInfoGroups(s))[0].pending, 50);
    assert.equal((await c.xAutoClaim(s, 'g', 'two', 0, '0-0', { COUNT: 100 })).messages.length, 50);
    assert.equal(await reader.xRead({ key: s, id: '$' }, { BLOCK: 20 }), null);
}));

test('8 MB binary values', () => using(1, async (c) => {
    const b = bytes(c);
    await c.set(key('big'), BIG);
    assert.ok(BIG.equals(await b.get(key('big'))));
    const got = await Promise.all(Array.from({ length: 5 }, () => b.get(key('big'))));
    assert.ok(got.every((value) => BIG.equals(value)));
    await c.hSet(key('h'), 'f', BIG);
    assert.ok(BIG.equals(await b.hGet(key('h'), 'f')));
    const inside = await c.multi().set(key('x'), BIG).strLen(key('x')).get(key('big')).exec();
    assert.deepEqual([inside[0], inside[1], inside[2] === BIG.toString()], ['OK', BIG.length, true]);
    await c.unlink([key('big'), key('h'), key('x')]);
}));

testRESP3('client side cache: pushes reach it', () => using(1, async (other) => {
    await using(1, async (c) => {
        await other.set(key('c'), '1');
        assert.equal(await c.get(key('c')), '1');
        assert.equal(await c.get(key('c')), '1');
        await other.set(key('c'), '2');
        await until(async () => await c.get(key('c')) === '2', 'the push has come');
    }, { clientSideCache: { ttl: 0, maxEntries: 100 } });
}));

test('database, name, MONITOR', () => using(1, async (c) => {
    await using(1, async (two) => {
        await two.set(key('d'), 'two');
        assert.equal(await c.get(key('d')), null);
        assert.equal(await two.clientGetName(), 'node-app');
        assert.equal((await two.clientInfo()).db, 2);
        await two.select(0);
        assert.equal(await two.get(key('d')), null);
        await assert.rejects(two.select(99), /out of range/);
    }, { database: 2, name: 'node-app' });
    await using(1, async (m) => {
        const seen = [];
        await m.monitor((line) => seen.push(String(line)));
        await c.set(key('m'), '1');
        await until(() => seen.some((line) => line.includes(`"SET" "${key('m')}" "1"`)), 'the SET is seen');
    });
}));

test('username and password', async () => {
    const admin = await createClient({ socket: upstream }).connect();
    const user = 'larder-clients-node';
    const made = await admin.sendCommand(
        ['ACL', 'SETUSER', user, 'reset', 'on', '>p4ss of node', '~*', '&*', '+@all']).catch((error) => error);
    admin.destroy();
    if (made instanceof Error) throw new Skip(`no user can be made: ${made.message}`);
    await using(1, async (c) => assert.equal(await c.aclWhoAmI(), user),
        { username: user, password: 'p4ss of node' });
    await assert.rejects(using(1, async (c) => c.ping(), { username: user, password: 'wrong',
        socket: { host, port, reconnectStrategy: false } }), /WRONGPASS/);
    const locked = { host, port: Number(process.env.LOCKED_PORT), reconnectStrategy: false };
    if (!locked.port) return;
    await using(1, async (c) => assert.equal(await c.ping(), 'PONG'),
        { socket: locked, password: process.env.LOCKED_PASSWORD });
    await assert.rejects(using(1, async (c) => c.ping(), { socket: locked, password: 'wrong' }), /WRONGPASS/);
});

async function survives(how) {
    await using(3, async (c, s, blocker) => {
        const seen = [];
        await s.subscribe(key('ch'), (message) => seen.push(message));
        await c.set(key('r'), 'before');
        const waiting = await blocked(c);
        const pop = blocker.blPop(key('q'), 0).catch((error) => error);
        await until(async () => await blocked(c) === waiting + 1, 'it waits');
        await control(how);
        await until(() => works(() => c.set(key('r'), 'after')), 'the client is back');
        assert.equal(await c.get(key('r')), 'after');
        // Queued while larder is away and asked again, or failed: never an answer without an element.
        const state = await Promise.race([pop, c.get(key('none'))]);
        assert.ok(state === null || state instanceof Error, String(state));
        await until(() => works(async () => assert.equal(await c.publish(key('ch'), how), 1)),
            'the subscriber is back');
        await until(() => seen.includes(how), 'the message');
        assert.deepEqual(await c.multi().set(key('r'), '5').incr(key('r')).exec(), ['OK', 6]);
        const all = await Promise.all(Array.from({ length: 500 }, () => c.incr(key('count'))));
        assert.deepEqual(all, Array.from({ length: 500 }, (_, i) => i + 1));
    });
}

test('larder restarts', () => survives('restart larder'));
test('larder crashes', () => survives('crash larder'));
test('the upstream restarts', () => survives('restart upstream'));

test('the upstream restarts while commands run', () => using(2, async (c, idle) => {
    const before = await idle.clientId();
    const wrong = [];
    let good = 0;
    let stop = false;
    const load = (async () => {
        for (let i = 0; !stop; i++) {
            const value = `v${i}`;
            const ran = await works(async () => {
                const [, got, echo] = await Promise.all([c.set(key('t'), value), c.get(key('t')), c.echo(value)]);
                if ((got !== value && got !== null) || echo !== value) wrong.push([value, got, echo]);
            });
            good += ran;
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
    if (!direct) assert.equal(await idle.clientId(), before);
}));

runTests(`node-redis RESP${RESP}`);
