'use strict';
// ioredis and node-redis before a larder with leases (tests/system/test_lease_libraries.py starts it).
// Both send all that a process asks over one connection: nobody may wait there for what comes behind.
// leases.js PORT; fails with an error.
const assert = require('node:assert');
const Redis = require('ioredis');
const { createClient } = require('redis');

const port = Number(process.argv[2]);
const LOAD = 200;
const LONG = 20000; // ms; lease_wait is 30 s

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Many that ask for few keys at once, over one connection. */
async function getOrLoad(c, name) {
    const begin = Date.now();
    await Promise.all([...Array(100).keys()].map(async (n) => {
        const key = `${name}:${n % 10}`;
        if (await c.get(key) === null) {
            await pause(LOAD);
            assert.equal(await c.set(key, 'v'), 'OK');
        }
        assert.equal(await c.get(key), 'v');
    }));
    assert.ok(Date.now() - begin < LONG, `${name}: ${Date.now() - begin} ms`);
}

/** Sent together: the read, the write of the same key, the read again. */
async function together(c, name) {
    const begin = Date.now();
    for (let n = 0; n < 20; n++) {
        const key = `${name}:t${n}`;
        const found = await Promise.all([c.get(key), c.set(key, 'v'), c.get(key)]);
        assert.deepEqual(found.slice(1), ['OK', 'v']);
    }
    assert.ok(Date.now() - begin < LONG);
}

/** Two processes, as it were, that load what the other one asks for. */
async function crosswise(a, b, name) {
    const begin = Date.now();
    for (let n = 0; n < 10; n++) {
        const [x, y] = [`${name}:x${n}`, `${name}:y${n}`];
        await Promise.all([a.get(x), b.get(y)]);
        const load = async (c, other, own) => {
            await c.get(other);
            assert.equal(await c.set(own, 'v'), 'OK');
        };
        await Promise.all([load(a, y, x), load(b, x, y)]);
    }
    assert.ok(Date.now() - begin < LONG, `${name}: ${Date.now() - begin} ms`);
}

async function all(name, a, b) {
    await getOrLoad(a, name);
    await together(a, name);
    await crosswise(a, b, name);
}

async function main() {
    for (const enableAutoPipelining of [false, true]) {
        const made = () => new Redis({ host: '127.0.0.1', port, enableAutoPipelining });
        const [a, b] = [made(), made()];
        await all(`ioredis:${enableAutoPipelining}`, a, b);
        a.disconnect();
        b.disconnect();
    }
    for (const RESP of [2, 3]) {
        const made = () => createClient({ socket: { host: '127.0.0.1', port }, RESP }).connect();
        const [a, b] = [await made(), await made()];
        await all(`node-redis:${RESP}`, a, b);
        a.destroy();
        b.destroy();
    }
    console.log('ok');
}

main().catch((e) => {
    console.error(e);
    process.exit(1);
});
