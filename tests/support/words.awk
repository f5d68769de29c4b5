# words.awk - what clang-tidy has no check for: words that must not be used, mutable statics, #if
# inside functions, files that are too long or do not begin with their story.
#
#   awk -f tests/support/words.awk src/*.c src/*/*.[ch]
#
# A line that has a reason to be an exception says so in a comment: `words: reason` on that line.

BEGIN {
    n = split("strcpy strcat sprintf vsprintf gets strtok atoi atol atoll atof strtol strtoul strtoll " \
              "strtoull strtod alloca setjmp longjmp system popen gethostbyname localtime gmtime rand " \
              "select signal", list, " ")
    for (i = 1; i <= n; i++) forbidden[list[i]] = 1
    longest_file = 500
}

function complain(line, what) {
    printf "%s:%d: %s\n", FILENAME, line, what
    broken++
}

# The text without comments and strings; `in_comment` goes on from line to line.
function code_of(text,    out, c, two, i, n) {
    out = ""
    n = length(text)
    for (i = 1; i <= n; i++) {
        c = substr(text, i, 1)
        two = substr(text, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++ }
        } else if (two == "/*") {
            in_comment = 1
            i++
        } else if (two == "//") {
            break
        } else if (c == "\"" || c == "'") {
            for (i++; i <= n && substr(text, i, 1) != c; i++)
                if (substr(text, i, 1) == "\\") i++
            out = out c c
        } else {
            out = out c
        }
    }
    return out
}

function check_length() {
    if (lines > longest_file && !generated)
        printf "%s:%d: %d lines, more than %d: one room, or two?\n", last, lines, lines, longest_file
    if (lines > longest_file && !generated) broken++
}

FNR == 1 {
    if (last != "") check_length()
    last = FILENAME
    in_comment = in_function = generated = 0
    name = FILENAME
    sub(/.*\//, "", name)
    if (index($0, "/* " name " - ") != 1)
        complain(1, "a file begins with its story: /* " name " - ...")
}

FNR <= 5 && /([Gg]enerated|[Ww]ritten) (by|with|from) / { generated = 1 }

{
    lines = FNR
    excused = index($0, "words: ") > 0
    code = code_of($0)
}

code ~ /^[{]/ { in_function = 1 }
code ~ /^[}]/ { in_function = 0 }

excused { next }

in_function && /^[ \t]*#[ \t]*(if|ifdef|ifndef|else|elif)/ && FILENAME ~ /\.c$/ {
    complain(FNR, "#if inside a function: let it choose whole files")
}

code ~ /^[ \t]+static / && code !~ /const|inline|_Thread_local/ && in_function {
    complain(FNR, "a mutable static: everything hangs off one object built in main.c")
}

{
    rest = code
    while (match(rest, /[A-Za-z_][A-Za-z_0-9]*/)) {
        word = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        if (word in forbidden && rest ~ /^[ \t]*[(]/) complain(FNR, word "() is not used here")
    }
}

END {
    if (last != "") check_length()
    if (broken) exit 1
}
