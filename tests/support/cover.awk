# cover.awk - sums what `gcov -n` prints to a line of coverage per room of src/.
#
#   gcov -n *.gcno | awk -v least=95 -v rooms='resp command' -f tests/support/cover.awk
#
# Only .c files count: what is inline in a header is counted wherever it is used. Exit status 1 when
# one of `rooms` is below `least` percent.

/^File '/ {
    file = $0
    sub(/^File '/, "", file)
    sub(/'$/, "", file)
}

/^Lines executed:/ && file ~ /^src\/.*\.c$/ {
    text = $0
    sub(/^Lines executed:/, "", text)
    split(text, part, /% of /)
    room = file
    sub(/^src\//, "", room)
    sub(/\/.*/, "", room)
    hit[room] += part[1] * part[2] / 100
    lines[room] += part[2]
    printf "  %6.2f %% of %4d  %s\n", part[1], part[2], file | "sort -k4"
    file = ""
}

END {
    close("sort -k4")
    n = split(rooms, wanted, " ")
    for (room in lines) printf "%-10s %6.2f %%\n", room, 100 * hit[room] / lines[room] | "sort"
    close("sort")
    for (i = 1; i <= n; i++) {
        room = wanted[i]
        if (!lines[room] || 100 * hit[room] / lines[room] < least) {
            printf "%s is below %s %%\n", room, least
            low++
        }
    }
    exit low > 0
}
