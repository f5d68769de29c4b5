'use strict';
// What the node suites share: where larder is, names of keys, waiting, one line per test.
const assert = require('node:assert/strict');
const net = require('node:net');
const path = require('node:path');

const env = process.env;
const host = env.LARDER_HOST;
const port = Number(env.LARDER_PORT);
const sidecarPort = Number(env.SIDECAR_PORT || 0); // a larder with policies.ini
const direct = env.LARDER_HOST === env.UPSTREAM_HOST && env.LARDER_PORT === env.UPSTREAM_PORT;
const near = Boolean(env.LARDER_NEAR) && !direct;
const upstream = { host: env.UPSTREAM_HOST, port: Number(env.UPSTREAM_PORT) };
const TEST_MS = 25000;
const tests = [];
let current = 0;

class Skip extends Error {}

/** A name that no other test uses, of no other run and no other suite. */
function key(name) {
    return `larder-clients:${path.basename(process.argv[1])}:${process.pid}:${current}:${name}`;
}

function test(name, run) {
    tests.push({ name, run });
}

function pause() {
    return new Promise((done) => setTimeout(done, 2));
}

/** Waits until the condition holds, and returns what it returned. */
async function until(condition, what, ms = 15000) {
    const deadline = Date.now() + ms;
    for (;;) {
        const got = await condition();
        if (got) return got;
        if (Date.now() > deadline) throw new Error(`still not after ${ms} ms: ${what}`);
        await pause();
    }
}

/** Whether the call succeeds now, with no judgement on why it does not: a server is away. */
async function works(call) {
    try {
        await call();
        return true;
    } catch {
        return false;
    }
}

/** Has a server restarted, see servers.py. */
function control(line) {
    if (!env.CONTROL_PORT) throw new Skip('the servers were started by somebody else');
    return new Promise((done, failed) => {
        const asked = net.connect(Number(env.CONTROL_PORT), '127.0.0.1');
        let answer = '';
        asked.on('data', (part) => { answer += part; });
        asked.on('error', failed);
        asked.on('end', () => (answer === 'ok\n' ? done() : failed(new Error(answer))));
        asked.write(`${line}\n`);
    });
}

/** Larder may just be starting again, because it crashed in the test before. */
function reachable() {
    return new Promise((done) => {
        const probe = net.connect(port, host);
        probe.on('connect', () => done(true));
        probe.on('error', () => done(false));
        probe.on('connect', () => probe.destroy());
    });
}

function limited(run) {
    let timer;
    const late = new Promise((_, failed) => {
        timer = setTimeout(() => failed(new Error(`not finished after ${TEST_MS} ms`)), TEST_MS);
    });
    return Promise.race([run(), late]).finally(() => clearTimeout(timer));
}

/** Runs what was registered, then ends the process. */
async function runTests(client) {
    let failed = 0;
    for (const [number, { name, run }] of tests.entries()) {
        if (!name.includes(env.CLIENT_TESTS || '')) continue;
        current = number;
        const started = Date.now();
        try {
            await until(reachable, 'larder can be reached', 5000);
            await limited(run);
            const took = env.V ? ` # ${(Date.now() - started) / 1000} s` : '';
            console.log(`ok ${client}: ${name}${took}`);
        } catch (error) {
            if (error instanceof Skip) {
                console.log(`skip ${client}: ${name}: ${error.message}`);
                continue;
            }
            failed++;
            console.log(`FAIL ${client}: ${name}: ${String(error.message || error).split('\n').slice(0, 12).join(' ')}`);
            for (const line of String(error.stack).split('\n')) console.log(`    ${line}`);
        }
    }
    process.exit(failed ? 1 : 0);
}

// A promise that fails with nobody waiting is a bug of the test or of larder: it must be seen.
process.on('unhandledRejection', (error) => {
    console.log(`FAIL ${path.basename(process.argv[1])}: nobody waited for: ${error && error.stack}`);
    process.exit(1);
});

/** A reply of pairs as an object: RESP2 has a list, RESP3 a map, which clients show in their way. */
function paired(reply) {
    if (reply instanceof Map) return Object.fromEntries(reply);
    if (!Array.isArray(reply)) return reply;
    return Object.fromEntries(reply.flatMap((name, i) => (i % 2 ? [] : [[name, reply[i + 1]]])));
}

/** What larder's near cache has answered. stats asks for LARDER STATS; waits until it is in service. */
async function nearHits(stats) {
    const got = await until(async () => {
        const told = paired(await stats());
        return Number(told.cache_trust) === 2 && told;
    }, 'the near cache is in service');
    return { hits: Number(got.cache_hits), negative: Number(got.cache_negative) };
}

/** 8 MB of bytes of every value. */
function big() {
    return Buffer.alloc(8 << 20, require('node:crypto').randomBytes(1 << 16));
}

module.exports = { Skip, assert, big, control, direct, host, key, near, nearHits, port, runTests,
    sidecarPort, test, until, upstream, works };
