# suite_tenant.tcl - put behind the support files of Redis' own suite when its sessions are a tenant's
# (tests/system/conformance).
#
# Every reply that refuses a command to tenants is written to the file TENANT_REFUSED, a line each:
#
#     unit <TAB> number of the test, 0 outside of any <TAB> command
#
# and the command is then said to Redis itself on the operator's behalf, so that a unit goes on (its
# setup says CONFIG SET, FUNCTION FLUSH) and it can be seen what else a test with such a command
# would find. Likewise a field of INFO that tenants are not told: `info FIELD` stands in place of the
# command. Which test had such help is on record: none of them counts as kept. All else goes the
# tenant's way only.

set ::refused_note 1
set ::operator_client {}

proc refused_by_wall {text} {
    if {![regexp {^-?NOPERM '([^']+)' is refused to tenants} $text -> name]} { return {} }
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
    set name [expr {$rc == 1 || $::redis::readraw($id) ? [refused_by_wall $reply] : {}}]
    if {$name ne {}} { refused_note $name }
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

rename getInfoProperty suite_property
proc getInfoProperty {text property} {
    set value [suite_property $text $property]
    if {$value ne {} || ![string match "# Server*" $text]} { return $value }
    refused_note "info $property"
    return [suite_property [operator info everything] $property]
}

# Tests to be left out, by number: see suite_tenant.py.
set ::leave_out {}
if {[info exists ::env(TENANT_LEAVE)]} {
    set f [open $::env(TENANT_LEAVE)]
    foreach line [split [read $f] "\n"] {
        lassign [split $line "\t"] unit number
        if {$unit eq $::env(SHIM_UNIT)} { lappend ::leave_out $number }
    }
    close $f
}

# A test that fails between CONFIG SET and the way back must not spoil those behind it.
rename test suite_test
proc test {name code args} {
    if {$::shim_index in $::leave_out} {
        send_data_packet $::test_server_fd skip $name
        return
    }
    set failed $::num_failed
    array unset ::operator_config
    set rc [catch {uplevel 1 [list suite_test $name $code {*}$args]} result]
    if {$::num_failed != $failed} {
        foreach {setting value} [array get ::operator_config] {
            catch {operator config [list set $setting $value]}
        }
    }
    return -code $rc $result
}

proc operator_remember {method words} {
    if {![string equal -nocase $method config] || ![string equal -nocase [lindex $words 0] set]} return
    foreach {setting value} [lrange $words 1 end] {
        if {[info exists ::operator_config($setting)]} continue
        catch {
            set ::operator_config($setting) [lindex [$::operator_client config get $setting] 1]
        }
    }
}

# Nothing that takes a connection over, nor what a server may not outlive: DEBUG LOADAOF before the
# file is written, which a test would see in INFO.
proc operator_may {method words} {
    set some {acl config debug function latency memory pubsub script slowlog swapdb}
    return [expr {[string tolower $method] in $some &&
                  [string tolower [lindex $words 0]] ne {loadaof}}]
}

proc operator {method words} {
    if {$::operator_client eq {}} {
        set ::operator_client [redis $::env(UPSTREAM_HOST) $::env(UPSTREAM_PORT)]
        $::operator_client select 9
    }
    operator_remember $method $words
    set rc [catch {$::operator_client $method {*}[operator_words $method $words]} reply]
    if {$rc && [string match "I/O error*" $reply]} { set ::operator_client {} }
    return -code $rc $reply
}

rename ::redis::__dispatch__raw__ ::redis::tenant_dispatch
proc ::redis::__dispatch__raw__ {id method words} {
    # The runner itself says DEBUG LOG at the start of each test.
    set ::refused_note [expr {![string match "### *" [lindex $words 1]]}]
    set rc [catch {::redis::tenant_dispatch $id $method $words} reply]
    if {$rc == 1 && $::refused_note && [refused_by_wall $reply] ne {} &&
        [operator_may $method $words]} {
        set rc [catch {operator $method $words} reply]
    }
    set ::refused_note 1
    return -code $rc $reply
}
