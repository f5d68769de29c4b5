'use strict';
// Libraries that programs put on top of ioredis and node-redis: job queues, sessions, rate limits, locks.
const Redis = require('ioredis');
const { createClient } = require('redis');
const { Queue, QueueEvents, Worker, FlowProducer } = require('bullmq');
const { RedisStore } = require('connect-redis');
const { RateLimiterRedis } = require('rate-limiter-flexible');
const Redlock = require('redlock');
const { assert, control, host, key, port, runTests, test, until, works } = require('./harness.js');

require('node:events').defaultMaxListeners = 0; // 100 jobs are waited for at once
const connection = { host, port, maxRetriesPerRequest: null, retryStrategy: (n) => Math.min(5 * n, 100) };

/** A queue, its events and a worker, closed when the body is done. */
async function queueing(name, job, body, more = {}) {
    const settings = { connection, prefix: key('bull') };
    const queue = new Queue(name, settings);
    const events = new QueueEvents(name, settings);
    const worker = new Worker(name, job, { ...settings, concurrency: 4, ...more });
    for (const part of [queue, events, worker]) part.on('error', () => {});
    try {
        await Promise.all([queue.waitUntilReady(), events.waitUntilReady(), worker.waitUntilReady()]);
        await body(queue, events, worker);
    } finally {
        await Promise.all([worker.close(true), events.close(), queue.close()]);
    }
}

test('BullMQ: 100 jobs, results, events', () => {
    const double = async (job) => job.data.n * 2;
    return queueing('plain', double, async (queue, events) => {
        const seen = new Set();
        events.on('completed', ({ jobId }) => seen.add(jobId));
        const jobs = await queue.addBulk(Array.from({ length: 100 }, (_, n) => ({ name: 'double', data: { n } })));
        const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 15000)));
        assert.deepEqual(results, Array.from({ length: 100 }, (_, n) => n * 2));
        await until(() => seen.size === 100, 'all events');
        assert.equal((await queue.getJobCounts('completed')).completed, 100);
    });
});

test('BullMQ: a delayed job, a priority, a failure and its retry', () => {
    const ran = [];
    const work = async (job) => {
        ran.push(job.name);
        if (job.name === 'fails' && job.attemptsMade === 0) throw new Error('the first time');
        return job.name;
    };
    return queueing('kinds', work, async (queue, events, worker) => {
        const delayed = await queue.add('delayed', {}, { delay: 300 });
        const fails = await queue.add('fails', {}, { attempts: 2, backoff: 20 });
        assert.equal(await fails.waitUntilFinished(events, 15000), 'fails');
        assert.equal(ran.filter((name) => name === 'fails').length, 2);
        assert.equal(await delayed.waitUntilFinished(events, 15000), 'delayed');
        await worker.pause();
        const low = await queue.add('low', {}, { priority: 10 });
        const high = await queue.add('high', {}, { priority: 1 });
        worker.resume();
        await Promise.all([low.waitUntilFinished(events, 15000), high.waitUntilFinished(events, 15000)]);
        assert.ok(ran.indexOf('high') < ran.indexOf('low'));
        await queue.obliterate({ force: true });
    }, { concurrency: 1 });
});

test('BullMQ: a parent waits for its children', () => {
    const add = async (job) => {
        if (job.name !== 'parent') return job.data.n;
        return Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
    };
    return queueing('flow', add, async (queue, events) => {
        const flow = new FlowProducer({ connection, prefix: key('bull') });
        const children = [1, 2, 3].map((n) => ({ name: 'child', queueName: 'flow', data: { n } }));
        const tree = await flow.add({ name: 'parent', queueName: 'flow', children });
        assert.equal(await tree.job.waitUntilFinished(events, 15000), 6);
        await flow.close();
    });
});

function goesOn(how) {
    const echo = async (job) => job.data.n;
    return queueing('again', echo, async (queue, events) => {
        assert.equal(await (await queue.add('a', { n: 1 })).waitUntilFinished(events, 15000), 1);
        await control(how);
        let done = 0;
        events.on('completed', () => { done++; });
        await until(async () => {
            await works(() => queue.add('b', { n: 2 }));
            return done > 0;
        }, 'a job is done, and the event is seen');
    });
}

test('BullMQ: the worker goes on when larder restarts', () => goesOn('restart larder'));
test('BullMQ: the worker goes on when the upstream restarts', () => goesOn('restart upstream'));

async function sessions(RESP) {
    const client = createClient({ RESP, socket: { host, port } });
    client.on('error', () => {});
    await client.connect();
    const store = new RedisStore({ client, prefix: key('sess:'), ttl: 600 });
    const call = (verb, ...words) => new Promise((done, failed) => store[verb](...words,
        (error, got) => (error ? failed(error) : done(got))));
    const session = (user) => ({ user, cookie: { originalMaxAge: 60000 } });
    assert.equal(await call('get', 'nobody') ?? null, null);
    await Promise.all(Array.from({ length: 100 }, (_, i) => call('set', `s${i}`, session(i))));
    const got = await Promise.all(Array.from({ length: 100 }, (_, i) => call('get', `s${i}`)));
    assert.deepEqual(got.map((s) => s.user), Array.from({ length: 100 }, (_, i) => i));
    await call('touch', 's1', session(1));
    assert.ok(await client.ttl(key('sess:s1')) > 0);
    assert.equal((await call('ids')).length, 100);
    assert.equal(await call('length'), 100);
    assert.equal((await call('all')).length, 100);
    await call('destroy', 's1');
    assert.equal(await call('get', 's1') ?? null, null);
    await call('clear');
    assert.equal(await call('length'), 0);
    await client.close();
}

test('connect-redis: sessions, RESP3', () => sessions(3));
test('connect-redis: sessions, RESP2', () => sessions(2));

async function limits(protocol) {
    const client = new Redis({ host, port, protocol });
    const limiter = new RateLimiterRedis({ storeClient: client, keyPrefix: key('rl'), points: 5, duration: 600,
        blockDuration: 300 });
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => limiter.consume('somebody')));
    assert.equal(tries.filter((one) => one.status === 'fulfilled').length, 5);
    assert.equal((await limiter.get('somebody')).remainingPoints, 0);
    assert.equal(await limiter.get('nobody'), null);
    assert.equal(await limiter.delete('somebody'), true);
    assert.equal((await limiter.consume('somebody', 2)).remainingPoints, 3);
    assert.equal((await limiter.penalty('somebody')).consumedPoints, 3);
    client.disconnect();
}

test('rate-limiter-flexible, RESP3', () => limits(3));
test('rate-limiter-flexible, RESP2', () => limits(2));

test('redlock: held, contended, extended, released', async () => {
    const clients = [new Redis({ host, port }), new Redis({ host, port, protocol: 2 })];
    const [mine, theirs] = clients.map((client) => new Redlock([client], { retryCount: 0 }));
    const patient = new Redlock([clients[1]], { retryCount: 500, retryDelay: 5, retryJitter: 2 });
    const lock = await mine.lock(key('lock'), 30000);
    await assert.rejects(theirs.lock(key('lock'), 30000), /unable|attempts|exceeded/i);
    await lock.extend(20000);
    const next = patient.lock(key('lock'), 30000);
    await lock.unlock();
    await (await next).unlock();
    assert.equal(await clients[0].get(key('lock')), null);
    let inside = 0;
    await Promise.all(Array.from({ length: 20 }, async () => {
        const held = await patient.lock(key('many'), 30000);
        assert.equal(++inside, 1);
        await clients[0].ping();
        inside--;
        await held.unlock();
    }));
    for (const client of clients) client.disconnect();
});

runTests('node-apps');
