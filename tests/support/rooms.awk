# rooms.awk - who may include whom in src/: the table of rooms and their doors, and a check that no
# include goes through a wall.
#
#   awk -f tests/support/rooms.awk src/*.c src/*/*.[ch]
#
# Also: includes are written from src/ ("room/file.h") and exist, a .c includes its own header first,
# and the libraries stay in the rooms that own them. Exit status 1 and a line each when broken.

BEGIN {
    door("base", "")
    door("config", "base")
    door("resp", "base")
    door("net", "base config")
    door("cache", "base config")
    door("command", "base resp")
    door("policy", "base config resp command")
    door("upstream", "base config resp net")
    door("errands", "base config resp net cache command policy upstream")
    door("client", "base config resp net cache command policy upstream errands")
    door("admin", "base config resp net cache command policy upstream errands client")
    door("main.c", "base config resp net cache command policy upstream errands client admin")

    # Headers that only some rooms may see, as the beginning of their names.
    only("openssl/", "net")
    only("event2/http", "admin")
    only("event2/", "net")
    only("ini.h", "config")
    only("hiredis/", "upstream")
    # Judgement does no I/O.
    never("sys/socket.h", "command policy resp")
    never("netinet/", "command policy resp")
    never("unistd.h", "command policy resp")
    never("fcntl.h", "command policy resp")
    never("poll.h", "command policy resp")
}

function door(room, others,    i, n, words) {
    rooms[room] = 1
    may[room, room] = 1
    n = split(others, words, " ")
    for (i = 1; i <= n; i++) may[room, words[i]] = 1
}

function only(head, room) { owners[++owner_count] = head; owner[head] = room }

function never(head, list,    i, n, words) {
    heads[++head_count] = head
    n = split(list, words, " ")
    for (i = 1; i <= n; i++) banned[words[i], head] = 1
}

function complain(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    broken++
}

FNR == 1 {
    files++
    # `in_room`: the folder under src/, or main.c itself.
    in_room = FILENAME
    sub(/^src\//, "", in_room)
    sub(/\/.*/, "", in_room)
    if (!(in_room in rooms)) complain("there is no room '" in_room "'")
    own = FILENAME
    sub(/^src\//, "", own)
    sub(/\.c$/, ".h", own)
    waits_for_own = FILENAME ~ /\.c$/ && exists("src/" own)
}

function exists(path,    line, found) {
    if (path in known) return known[path]
    found = (getline line < path) >= 0
    close(path)
    return known[path] = found
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    name = $0
    sub(/^[^"]*"/, "", name)
    sub(/".*/, "", name)
    if (name !~ /\//) {
        complain("\"" name "\": write includes from src/, as \"room/file.h\"")
        next
    }
    if (!exists("src/" name)) complain("\"" name "\" does not exist")
    if (waits_for_own && name != own) complain("include the own header first: \"" own "\"")
    waits_for_own = 0
    room = name
    sub(/\/.*/, "", room)
    if (!((in_room, room) in may)) complain(in_room " may not include " room ": \"" name "\"")
}

/^[ \t]*#[ \t]*include[ \t]*</ {
    name = $0
    sub(/^[^<]*</, "", name)
    sub(/>.*/, "", name)
    if (waits_for_own) complain("include the own header first: \"" own "\"")
    waits_for_own = 0
    for (i = 1; i <= owner_count; i++)
        if (index(name, owners[i]) == 1) {
            if (owner[owners[i]] != in_room) complain("only " owner[owners[i]] " includes <" name ">")
            break
        }
    for (i = 1; i <= head_count; i++)
        if (index(name, heads[i]) == 1 && (in_room, heads[i]) in banned)
            complain(in_room " does no I/O: <" name ">")
}

END {
    if (broken) exit 1
    printf "rooms: %d files keep to their doors\n", files
}
