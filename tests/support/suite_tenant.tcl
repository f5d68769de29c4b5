# suite_tenant.tcl - put behind the support files of Redis' own suite when its sessions are a tenant's
# (tests/system/conformance).
#
# Every reply that refuses a command to tenants is written to the file TENANT_REFUSED, a line each:
#
#     unit <TAB> number of the test, 0 outside of any <TAB> command
#
# and the command is then said to Redis itself on the operator's behalf, so that a unit goes on (its
# setup says CONFIG SET, FUNCTION FLUSH) and it can be seen what else a test with such a command
# would find. Which test used one is on record: none of them counts as kept. Other commands go the
# tenant's way only.

set ::refused_note 1
set ::operator_client {}

proc refused_by_wall {text} {
    if {![regexp {^NOPERM '([^']+)' is refused to tenants} $text -> name]} { return {} }
    return $name
}

proc refused_note {name} {
    if {!$::refused_note} return
    set f [open $::env(TENANT_REFUSED) a]
    puts $f "$::env(SHIM_UNIT)\t[expr {$::cur_test eq {} ? 0 : $::shim_index}]\t$name"
    close $f
}

rename ::redis::redis_read_reply ::redis::plain_read_reply
proc ::redis::redis_read_reply {id fd} {
    set rc [catch {::redis::plain_read_reply $id $fd} reply]
    if {$rc == 1 && [set name [refused_by_wall $reply]] ne {}} { refused_note $name }
    return -code $rc $reply
}

# The same command as an operator says it: the keys that DEBUG looks at have their full names.
proc operator_words {method words} {
    set names {digest-value listpack quicklist ziplist htstats-key sdslen}
    if {![string equal -nocase $method debug] ||
        [lsearch -exact $names [string tolower [lindex $words 0]]] < 0} { return $words }
    set keys {}
    foreach key [lrange $words 1 end] { lappend keys "$::env(TENANT_PREFIX)$key" }
    return [linsert $keys 0 [lindex $words 0]]
}

proc operator {method words} {
    if {$::operator_client eq {}} {
        set ::operator_client [redis $::env(UPSTREAM_HOST) $::env(UPSTREAM_PORT)]
        $::operator_client select 9
    }
    set rc [catch {$::operator_client $method {*}[operator_words $method $words]} reply]
    if {$rc && [string match "I/O error*" $reply]} { set ::operator_client {} }
    return -code $rc $reply
}

rename ::redis::__dispatch__raw__ ::redis::tenant_dispatch
proc ::redis::__dispatch__raw__ {id method words} {
    # The runner itself says DEBUG LOG at the start of each test.
    set ::refused_note [expr {![string match "### *" [lindex $words 1]]}]
    set rc [catch {::redis::tenant_dispatch $id $method $words} reply]
    if {$rc == 1 && [refused_by_wall $reply] ne {} && $::refused_note && $method ni {read exec monitor}} {
        set rc [catch {operator $method $words} reply]
    }
    set ::refused_note 1
    return -code $rc $reply
}
