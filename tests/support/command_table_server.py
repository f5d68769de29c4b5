"""command_table_server.py - commands on the server and the connection with a fixed answer; errors.

As command_table.py, which it completes: SERVER_GROUPS for everyone, ADMIN_GROUPS for a larder with
admin_commands = allow. Together with ELSEWHERE they name every command of Redis 7.0.
"""

SERVER_GROUPS = {
    "scripts": r'''
EVAL "return 1" 0
EVAL "return {1,2,{3,'four',false,{}}}" 0
EVAL "return redis.call('SET',KEYS[1],ARGV[1])" 1 k v
EVAL "return redis.call('GET',KEYS[1])" 1 k
EVAL_RO "return redis.call('GET',KEYS[1])" 1 k
EVAL_RO "return redis.call('SET',KEYS[1],'x')" 1 k
EVAL "return redis.error_reply('MY error')" 0
EVAL "return redis.error_reply('two\r\nlines')" 0
EVAL "return redis.status_reply('FINE')" 0
EVAL "return redis.status_reply('two\r\nlines')" 0
EVAL "redis.setresp(3); return redis.call('HGETALL',KEYS[1])" 1 nothing
EVAL "redis.setresp(3); return {double=3.5}" 0
EVAL "return {map={a=1}}" 0
EVAL "return {set={a=true}}" 0
EVAL "return {big_number='12345678901234567890'}" 0
EVAL "return {verbatim_string={string='x\ny',format='txt'}}" 0
EVAL "redis.setresp(3); return true" 0
EVAL "return nil" 0
EVAL "return redis.call('NOPE')" 0
EVAL "return redis.pcall('INCR',KEYS[1])" 1 k
EVAL "syntax error here" 0
EVAL "return 1" abc
EVAL "return 1" 5 k
EVAL "return 1" -1
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA short 0
SCRIPT LOAD "return KEYS[1]"
SCRIPT EXISTS 4a2267357833227dd98abdedb8cf24b15a986445 ffff
EVALSHA 4a2267357833227dd98abdedb8cf24b15a986445 1 key
SCRIPT FLUSH
SCRIPT FLUSH ASYNC
SCRIPT FLUSH NOW
SCRIPT KILL
SCRIPT HELP
SCRIPT NOPE
FUNCTION LOAD "#!lua name=mylib\nredis.register_function('hello', function(k,a) return 'hi '..a[1] end)\nredis.register_function{function_name='ro', callback=function(k,a) return redis.call('GET',k[1]) end, flags={'no-writes'}}"
FUNCTION LOAD "#!lua name=mylib\nredis.register_function('hello', function() return 1 end)"
FUNCTION LOAD "nonsense"
FUNCTION LIST LIBRARYNAME my*
FCALL hello 0 world
FCALL nope 0
FCALL ro 1 k
FCALL_RO ro 1 k
FCALL_RO hello 0 x
FUNCTION STATS
FUNCTION DUMP
FUNCTION DELETE mylib
FUNCTION DELETE mylib
FUNCTION RESTORE garbage
FUNCTION KILL
FUNCTION FLUSH
FUNCTION HELP
''',
    "server": r'''
COMMAND COUNT
COMMAND INFO get nope set
COMMAND DOCS get
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS GET
COMMAND GETKEYSANDFLAGS SET a b
COMMAND LIST FILTERBY PATTERN xgroup*
COMMAND HELP
COMMAND NOPE
CONFIG GET databases
CONFIG GET maxmemory*
CONFIG GET nope
CONFIG HELP
CLUSTER INFO
CLUSTER NODES
CLUSTER SLOTS
CLUSTER SHARDS
CLUSTER MYID
CLUSTER KEYSLOT foo
ACL WHOAMI
ACL CAT
ACL CAT string
ACL CAT nope
ACL GENPASS abc
MEMORY USAGE missing
MEMORY DOCTOR extra
MEMORY STATS x
MEMORY HELP
LATENCY HELP
LATENCY LATEST
LATENCY HISTORY nope
SLOWLOG HELP
SLOWLOG LEN x
MODULE LIST
PUBSUB CHANNELS
PUBSUB NUMSUB a b
PUBSUB NUMPAT
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB a
PUBSUB HELP
PUBLISH nobody hello
SPUBLISH nobody hello
ROLE
LOLWUT VERSION 5 1 1 1
READONLY
READWRITE
DBSIZE x
''',
    "errors": r'''
NOPE
nope a "b c" d
FOO "a\r\nb" "\xff\x00"
GET
GET a b
SET a
SET a b c
PING a b
ECHO
SUBSCRIBE
PUBLISH a
XADD
EXEC
DISCARD
UNWATCH
UNWATCH x
WATCH
MULTI x
CLIENT
OBJECT
SELECT
SELECT a b
"" a
"GET " k
HELLO a b c
''',
    "connection": r'''
PING
PING hello
ping "\x00\xff\r\n"
ECHO hello
ECHO ""
SELECT 1
SELECT 0
SELECT 16
SELECT -1
SELECT abc
SELECT 99999999999999999999
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME "has space"
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT NO-EVICT on
CLIENT NO-EVICT maybe
CLIENT NO-TOUCH on
CLIENT SETINFO LIB-NAME x
CLIENT SETINFO LIB-VER 1
CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none
CLIENT NOPE
CLIENT HELP
CLIENT ID x
CLIENT GETREDIR
CLIENT REPLY on
CLIENT REPLY maybe
CLIENT REPLY
CLIENT KILL
CLIENT KILL nope
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID abc
CLIENT KILL ID 99999999
CLIENT KILL TYPE nope
CLIENT KILL ADDR 1.2.3.4:5
CLIENT KILL LADDR 1.2.3.4:5
CLIENT KILL USER nobody
CLIENT KILL SKIPME maybe
CLIENT KILL ID 99999999 SKIPME
CLIENT KILL ID 99999999 NOPE x
CLIENT LIST TYPE nope
CLIENT LIST ID abc
CLIENT LIST NOPE
CLIENT LIST TYPE replica
CLIENT UNBLOCK abc
CLIENT UNBLOCK 99999999
CLIENT UNBLOCK 99999999 NOPE
CLIENT PAUSE abc
CLIENT PAUSE -1
CLIENT PAUSE 10 NOPE
CLIENT PAUSE
CLIENT UNPAUSE
CLIENT UNPAUSE x
CLIENT CACHING yes
CLIENT CACHING maybe
CLIENT TRACKING
AUTH
AUTH wrong
AUTH nobody wrong
AUTH a b c
HELLO 1
HELLO 4
HELLO abc
HELLO 2 NOPE
HELLO 2 AUTH x
HELLO 2 AUTH nobody wrong
HELLO 2 SETNAME "has space"
HELLO 2 SETNAME me AUTH nobody wrong
CLIENT GETNAME
HELLO 2 SETNAME other
CLIENT GETNAME
HELLO
HELLO 3 SETNAME three
HELLO
CLIENT GETNAME
HELLO 2
RESET x
RESET
CLIENT GETNAME
QUIT x y
''',
}

ADMIN_GROUPS = {
    "types": r'''
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL attrib
DEBUG PROTOCOL push
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL true
DEBUG PROTOCOL false
DEBUG PROTOCOL bignum
DEBUG PROTOCOL nope
PING
''',
    "administration": r'''
CONFIG SET maxmemory-samples 5
CONFIG SET nope 1
CONFIG NOPE
CONFIG
CONFIG RESETSTAT
CONFIG REWRITE
ACL LIST
ACL USERS
ACL GETUSER default
ACL GETUSER nobody
ACL SETUSER someone on >pw ~* +@all
ACL SETUSER someone +nope
ACL DRYRUN someone GET k
ACL DELUSER someone nobody
ACL LOAD
ACL SAVE
ACL LOG RESET
ACL LOG
ACL HELP
DEBUG HELP
DEBUG SLEEP 0
DEBUG JMAP
DEBUG OBJECT missing
SLOWLOG RESET
SLOWLOG GET x
LATENCY RESET
LATENCY DOCTOR x
LATENCY GRAPH nope
LATENCY HISTOGRAM nope
MEMORY PURGE
MEMORY MALLOC-STATS x
SWAPDB 1 2
SWAPDB 1 99
REPLICAOF NO ONE
SLAVEOF NO ONE
REPLCONF nope
FAILOVER ABORT
CLUSTER RESET
CLUSTER MEET a b
ASKING
MIGRATE 127.0.0.1 1 missing 0 10
MODULE LOAD /nonexistent
MODULE LOADEX /nonexistent
MODULE UNLOAD nope
MODULE HELP
BGSAVE NOPE
BGREWRITEAOF x
SAVE x
SHUTDOWN ABORT
SHUTDOWN NOPE
RESTORE-ASKING k 0 garbage
PFSELFTEST x
''',
}

# Commands that another test names, with the test: many connections, or not the same twice.
ELSEWHERE = """
    multi exec discard watch unwatch: transactions
    subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe monitor: pubsub
    client|tracking client|trackinginfo: tracking
    client|list client|info client|id client|kill: session
    info time lastsave role: session
    reset quit hello auth select: session
    psync sync: hostile
    command: transparency
    script|debug: scripts
    cluster|: every subcommand passes or is refused alike
"""
