"""policy_rows.py - the commands of the table in test_policy_table.py: what is said, to keys of
which type, and what kind of write that is to the policies of expiry.

A line is `kind type command`. Kinds, `a|b` where a policy may take it for either:

    none     a SET that says nothing of expiry          zero     RESTORE with 0
    own      gives so long from now on                  at       gives a point in time
    keep     any other command that can make a key: it says nothing of the expiry
    move     one that brings a key with its expiry from a key under the same policy
    script   one that may do anything with it
    persist  takes the expiry away
    read     a read that renews what slides             free     makes no key, renews none
    wrong    refused by Redis, whatever the key is

Types are those of VALUES; `list<set`: the key @a is a list (where it exists at all), the other keys
that exist are sets. Keys: @a is in the state of the case (absent, without expiry, ..), the others
begin absent or without expiry:

    @a @i @y  in the state      @b @s @x  exists      @n @z  absent
    of these @a @b @n may be changed by the command, @i @s @z are only read by it (or are not
    there), and @x @y are what it takes things from, and may get an expiry or not.

Times: @soon and @far in seconds, the latter beyond every max_ttl, @soonms, @farms; @atsoon .. the
same as Unix times. @dump: what DUMP says of a string; @sha: of the script SCRIPT. For SIZES, @most
is as large as max_value, @big a byte larger.
"""

SCRIPT = "return redis.call('SET', KEYS[1], ARGV[1])"
LIBRARY = """#!lua name=table
redis.register_function('table_set', function(keys, args)
    return redis.call('SET', keys[1], args[1])
end)
"""

# How a key of the type is made, and another one of it.
VALUES = {
    "string": ("SET @ old", "SET @ other"),
    "number": ("SET @ 7", "SET @ 8"),
    "hash": ("HSET @ f 1 g 2", "HSET @ f 3 h 4"),
    "list": ("RPUSH @ 2 1", "RPUSH @ 4 3"),
    "set": ("SADD @ 1 2", "SADD @ 2 3"),
    "zset": ("ZADD @ 1 a 2 b", "ZADD @ 3 b 4 c"),
    "stream": ("XADD @ 1-1 f v", "XADD @ 2-2 f v"),
    "geo": ("GEOADD @ 13.361389 38.115556 Palermo", "GEOADD @ 15.087269 37.502669 Catania"),
    "hll": ("PFADD @ a b", "PFADD @ b c"),
}

STRINGS = r"""
none    string  SET @a new
none    string  set @a new nx
none    string  SET @a new XX
none    string  SET @a new GET
none    string  SET @a new XX GET
none    string  SET @a new GET NX
none    list    SET @a new
none    list    SET @a new GET
none    string  SET @a ""
keep    string  SET @a new KEEPTTL
keep    string  SET @a new NX KEEPTTL
keep    string  SET @a new keepttl xx
keep    string  SET @a new KEEPTTL GET
own     string  SET @a new EX @soon
own     string  SET @a new EX @far
own     string  SET @a new PX @soonms
own     string  SET @a new px @farms
own     string  SET @a new NX EX @far
own     string  SET @a new ex @far nx
own     string  SET @a new PX @farms XX GET
own     string  SET @a new NX GET EX @soon
own     list    SET @a new GET EX @far
at      string  SET @a new EXAT @atsoon
at      string  SET @a new EXAT @atfar
at      string  SET @a new PXAT @atsoonms
at      string  SET @a new pxat @atfarms
at      string  SET @a new NX PXAT @atfarms
at      string  SET @a new XX EXAT @atfar GET
at      string  SET @a new EXAT 1
at      string  SET @a new PXAT 1
wrong   string  SET @a
wrong   string  SET @a new EX
wrong   string  SET @a new NX XX
wrong   string  SET @a new EX 0
wrong   string  SET @a new PX -1
wrong   string  SET @a new EX abc
wrong   string  SET @a new EX 10 PX 10
wrong   string  SET @a new EX 10 KEEPTTL
wrong   string  SET @a new PERSIST
wrong   string  SET @a new NOSUCH
wrong   string  SET @a new EX 9223372036854775807
wrong   string  SET @a new PX 9223372036854775807
wrong   string  SET @a new EX 99999999999999999999
wrong   string  SET @a new EXAT 9223372036854775807
own     string  SETEX @a @soon new
own     string  SETEX @a @far new
own     list    setex @a @far new
own     string  PSETEX @a @soonms new
own     string  PSETEX @a @farms new
wrong   string  SETEX @a 10
wrong   string  SETEX @a 0 new
wrong   string  SETEX @a abc new
wrong   string  SETEX @a 9223372036854775807 new
wrong   string  PSETEX @a -1 new
wrong   string  PSETEX @a 9223372036854775807 new
keep    string  SETNX @a new
wrong   string  SETNX @a
keep    string  GETSET @a new
keep    list    GETSET @a new
free    string  GETEX @a
own     string  GETEX @a EX @soon
own     string  GETEX @a EX @far
own     string  GETEX @a PX @soonms
own     string  getex @a px @farms
own     list    GETEX @a EX @far
at      string  GETEX @a EXAT @atsoon
at      string  GETEX @a EXAT @atfar
at      string  GETEX @a PXAT @atfarms
at      string  GETEX @a EXAT 1
persist string  GETEX @a PERSIST
wrong   string  GETEX @a EX
wrong   string  GETEX @a EX 0
wrong   string  GETEX @a EX 10 PERSIST
keep    string  MSET @a new
keep    string  MSET @a new @b new @n new
keep    string  MSET @a new @a newer
keep    list    MSET @b new @a new
wrong   string  MSET @a
wrong   string  MSET @a new @b
keep    string  MSETNX @a new @n new
keep    string  MSETNX @n new @a new @b new
wrong   string  MSETNX @a new @b
keep    string  APPEND @a more
keep    string  APPEND @a ""
keep    hash    APPEND @a more
keep    string  SETRANGE @a 2 xy
keep    string  SETRANGE @a 0 ""
wrong   string  SETRANGE @a -1 x
keep    string  SETBIT @a 7 1
wrong   string  SETBIT @a 7 2
keep    number  INCR @a
keep    string  INCR @a
keep    number  INCRBY @a 10
wrong   number  INCRBY @a x
keep    number  INCRBYFLOAT @a 1.5
keep    number  DECR @a
keep    number  DECRBY @a 10
keep    list    DECRBY @a 10
keep    string  BITOP AND @a @s @s
keep    string  BITOP NOT @a @s
keep    list<string  BITOP OR @a @s @z
keep    string  BITOP OR @a @z
wrong   string  BITOP NOT @a @s @s
keep    string  BITFIELD @a SET u8 0 65
keep    string  BITFIELD @a INCRBY u4 4 3 GET u8 0
keep|free  string  BITFIELD @a GET u8 0
wrong   string  BITFIELD @a SET u99 0 1
keep    hll     PFADD @a x y
keep    hll     PFADD @a a
keep    hll     PFADD @a
keep    list    PFADD @a x
keep    hll     PFMERGE @a @s
keep    hll     PFMERGE @a @s @z
keep    hll     PFMERGE @a
read    string  GET @a
free    string  EXISTS @a
free    string  TYPE @a
free    string  DEL @a
free    string  GETDEL @a
free    string  UNLINK @a
"""

COLLECTIONS = r"""
keep    hash    HSET @a f v
keep    hash    HSET @a x v y w
keep    string  HSET @a f v
wrong   hash    HSET @a f
keep    hash    HMSET @a f v g w
keep    hash    HSETNX @a f v
keep    hash    HSETNX @a x v
keep    hash    HINCRBY @a f 2
keep    hash    HINCRBY @a f 9223372036854775807
keep    hash    HINCRBYFLOAT @a f 1.5
wrong   hash    HINCRBY @a f x
read    hash    HGETALL @a
read    hash    HMGET @a f x
free    hash    HDEL @a f
free    hash    HDEL @a f g
keep    list    LPUSH @a x y
keep    list    RPUSH @a x
keep    hash    RPUSH @a x
wrong   list    RPUSH @a
free    list    LPUSHX @a x
free    list    RPUSHX @a x
free    list    LSET @a 0 x
free    list    LINSERT @a BEFORE 1 x
free    list    LPOP @a
keep    list    LMOVE @x @a LEFT RIGHT
keep    list    LMOVE @a @a LEFT RIGHT
keep    list    LMOVE @y @n RIGHT LEFT
keep    list    LMOVE @z @a LEFT LEFT
keep    list    RPOPLPUSH @x @a
keep    list    RPOPLPUSH @y @b
keep    list    BLMOVE @x @a LEFT RIGHT 1
keep    list    BRPOPLPUSH @x @a 1
keep    set<list  BLMOVE @x @a LEFT RIGHT 1
keep    set     SADD @a 3 4
keep    set     SADD @a 1
keep    list    SADD @a 1
keep    set     SMOVE @x @a 3
keep    set     SMOVE @y @n 1
keep    set     SMOVE @x @a 99
keep    set     SINTERSTORE @a @s @s
keep    set     SINTERSTORE @a @s @z
keep    list<set  SUNIONSTORE @a @s @z
keep    set     SUNIONSTORE @a @s @a
keep    set     SDIFFSTORE @a @s @z
free    set     SREM @a 1
keep    zset    ZADD @a 5 a 6 x
keep    zset    ZADD @a XX CH 5 a
keep    zset    ZADD @a XX 5 nosuch
keep    zset    ZADD @a GT 5 a
keep    zset    ZADD @a NX INCR 5 a
keep    string  ZADD @a 5 a
wrong   zset    ZADD @a 5
wrong   zset    ZADD @a NX XX 5 a
keep    zset    ZINCRBY @a 2.5 a
keep    zset    ZUNIONSTORE @a 2 @s @z WEIGHTS 2 3
keep    zset    ZINTERSTORE @a 2 @s @s AGGREGATE MAX
keep    zset    ZINTERSTORE @a 2 @s @z
keep    zset    ZDIFFSTORE @a 2 @s @z
keep    set<zset  ZRANGESTORE @a @s 0 -1
keep    zset    ZRANGESTORE @a @z 0 -1
wrong   zset    ZUNIONSTORE @a 0 @s
free    zset    ZREM @a a
free    zset    ZPOPMIN @a
keep    stream  XADD @a 5-1 f v
keep    stream  XADD @a NOMKSTREAM MAXLEN 1 5-1 f v
keep    stream  XADD @a 0-1 f v
keep    hash    XADD @a 5-1 f v
wrong   stream  XADD @a 5-1 f
keep    stream  XGROUP CREATE @a group $ MKSTREAM
keep    stream  XGROUP CREATE @a group 0 MKSTREAM ENTRIESREAD 1
keep    hash    XGROUP CREATE @a group $ MKSTREAM
keep|free  stream  XGROUP CREATE @a group 0
free    stream  XDEL @a 1-1
free    stream  XTRIM @a MAXLEN 0
keep    geo     GEOADD @a 15.08 37.5 Catania
keep    geo     GEOADD @a XX CH 15.08 37.5 Palermo
wrong   geo     GEOADD @a 15.08 97.5 nowhere
keep    zset<geo  GEOSEARCHSTORE @a @s FROMLONLAT 15 37 BYRADIUS 200 km ASC
keep    zset<geo  GEOSEARCHSTORE @a @s FROMMEMBER Catania BYBOX 9 9 km STOREDIST
keep    zset<geo  GEOSEARCHSTORE @a @s FROMLONLAT 1 1 BYRADIUS 1 km
keep    zset<geo  GEORADIUS @s 15 37 200 km STORE @a
keep    list<geo  GEORADIUS @s 15 37 200 km COUNT 1 STOREDIST @a
keep    zset<geo  GEORADIUSBYMEMBER @s Catania 200 km STORE @a
keep    zset<geo  GEORADIUSBYMEMBER @s Catania 200 km STORE @z STORE @a
keep    zset<geo  GEORADIUS @z 15 37 200 km STORE @a
keep    list    SORT @s STORE @a
keep    set<list  SORT @s LIMIT 0 1 GET # STORE @a
keep    list<set  SORT @s DESC STORE @a
keep    list    SORT @z STORE @a
keep    string<list  SORT @s BY nosort STORE @a
wrong   list    SORT @s LIMIT 0 STORE @a
"""

KEYS = r"""
move    string  COPY @s @a
move    list<string  COPY @s @a REPLACE
move    hash    COPY @i @n
move    string  COPY @z @a
wrong   string  COPY @s
move    string  RENAME @x @a
move    hash    RENAME @y @n
move    hash<list  RENAME @y @b
move    string  RENAME @a @a
move    string  RENAME @z @a
move    string  RENAMENX @x @a
move    hash    RENAMENX @y @n
move    string  RENAMENX @z @a
zero    string  RESTORE @a 0 @dump
zero    list    RESTORE @a 0 @dump REPLACE
zero    string  RESTORE @a 0 @dump ABSTTL REPLACE FREQ 3
own     string  RESTORE @a @soonms @dump
own     string  RESTORE @a @farms @dump
own     list    RESTORE @a @farms @dump REPLACE
own     string  RESTORE @a @farms @dump idletime 5 replace
at      string  RESTORE @a @atsoonms @dump REPLACE ABSTTL
at      string  RESTORE @a @atfarms @dump ABSTTL
at      hash    RESTORE @a @atfarms @dump ABSTTL REPLACE
at      string  RESTORE @a 1 @dump REPLACE ABSTTL
wrong   string  RESTORE @a -1 @dump
wrong   string  RESTORE @a 0 garbage REPLACE
wrong   string  RESTORE @a 0
wrong   string  RESTORE @a x @dump REPLACE
script  string  EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 @a new
script  list    EVAL "return redis.call('SET', KEYS[2], ARGV[1])" 2 @a @n new
script  string  EVAL "return redis.call('SET', KEYS[1], 'x', 'EX', ARGV[1])" 1 @a @soon
script  string  EVAL "return redis.call('SET', KEYS[1], 'x', 'EX', ARGV[1])" 1 @a @far
script  hash    EVAL "return {1, false, {err='MINE'}, redis.status_reply('S')}" 1 @a
script  string  EVAL "return redis.call('HSET', KEYS[1], 'f', 'v')" 1 @a
script  string  EVAL "error('no')" 1 @a
script  string  EVALSHA @sha 1 @a new
script  list    EVALSHA @sha 1 @a new
script|free  string  EVALSHA 0000000000000000000000000000000000000000 1 @a new
free    string  EVAL "return 5" 0
read|free  string  EVAL_RO "return redis.call('GET', KEYS[1])" 1 @a
wrong   string  EVAL "return 5" x @a
wrong   string  EVAL "return 5" 3 @a
wrong   string  EVAL "syntax error" 1 @a
script  string  FCALL table_set 1 @a new
script  list    FCALL table_set 1 @a new
script|free  string  FCALL nosuch 1 @a new
persist string  PERSIST @a
persist hash    persist @a
own     string  EXPIRE @a @soon
own     hash    EXPIRE @a @far
own     string  EXPIRE @a @soon NX
own     string  EXPIRE @a @far nx
own     string  EXPIRE @a @soon XX
own     string  EXPIRE @a @far XX
own     string  EXPIRE @a @soon GT
own     string  EXPIRE @a @far GT
own     string  EXPIRE @a @soon LT
own     string  EXPIRE @a @far LT
own     string  EXPIRE @a @far XX GT
own     string  EXPIRE @a 0
own     string  EXPIRE @a -5
own     string  EXPIRE @a -5 GT
own     string  PEXPIRE @a @soonms
own     list    pexpire @a @farms
own     string  PEXPIRE @a @farms NX
own     string  PEXPIRE @a @farms LT
own     string  PEXPIRE @a @soonms GT
at      string  EXPIREAT @a @atsoon
at      hash    EXPIREAT @a @atfar
at      string  EXPIREAT @a @atfar NX
at      string  EXPIREAT @a @atfar XX
at      string  EXPIREAT @a @atfar GT
at      string  EXPIREAT @a @atfar LT
at      string  EXPIREAT @a @atsoon LT
at      string  EXPIREAT @a 1
at      string  PEXPIREAT @a @atsoonms
at      string  PEXPIREAT @a @atfarms
at      string  PEXPIREAT @a @atfarms NX
at      string  PEXPIREAT @a @atfarms GT
wrong   string  EXPIRE @a
wrong   string  EXPIRE @a abc
wrong   string  EXPIRE @a 10 NX GT
wrong   string  EXPIRE @a 10 GT LT
wrong   string  EXPIRE @a @far NOSUCH
wrong   string  EXPIRE @a 9223372036854775807
wrong   string  PEXPIRE @a 9223372036854775807
wrong   string  EXPIREAT @a 9223372036854775807
"""

SIZES = r"""
none    string  SET @a @most
none    string  SET @a @big
none    string  SET @a @big XX
own     string  SET @a @big EX @soon
at      string  SET @a @big GET PXAT @atsoonms
keep    string  SET @a @big KEEPTTL
own     string  SETEX @a @soon @big
keep    string  SETNX @a @big
keep    string  GETSET @a @big
keep    string  MSET @a @most @b @most
keep    string  MSET @a @big
keep    string  MSET @b @most @a @big
keep    string  MSET @a @big @b new
keep    string  MSETNX @a @big @n new
keep    string  APPEND @a @big
keep    string  SETRANGE @a 0 @big
keep    hash    HSET @a f @most
keep    hash    HSET @a f @big
keep    hash    HSET @a f v @big v
keep    hash    HSETNX @a f @big
keep    list    LPUSH @a x @big y
keep    string  LPUSH @a @big
own|free  list  LSET @a 0 @big
own|free  list  LPUSHX @a @big
own|free  list  LINSERT @a BEFORE 1 @big
keep    set     SADD @a 1 @big
keep    zset    ZADD @a 1 @big
keep    zset    ZINCRBY @a 1 @big
keep    stream  XADD @a 5-1 f @big
keep    geo     GEOADD @a 15.08 37.5 @big
keep    hll     PFADD @a @big
script  string  EVALSHA @sha 1 @a @most
script  string  EVALSHA @sha 1 @a @big
script  string  EVAL @bigscript 1 @a new
script  string  FCALL table_set 1 @a @big
zero    string  RESTORE @a 0 @bigdump REPLACE
own     string  RESTORE @a @soonms @bigdump
wrong   string  SET @a @big EX 0
free    set     SISMEMBER @a @big
free    zset    ZSCORE @a @big
read    hash    HMGET @a f @big
"""

ROWS = STRINGS + COLLECTIONS + KEYS
