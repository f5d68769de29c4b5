/* inline.c - the words of an inline request, see inline.h.
 *
 * Does what Redis' sdssplitargs() does, to the letter: a word ends at a blank; "double quotes" know
 * \n \r \t \b \a, \xHH and \ before any other byte; 'single quotes' know \' only; a quote may open
 * within a word, but behind the closing one must come a blank or the end. As there, the blanks
 * between words are isspace()'s six, but only four of them end a word.
 *
 * A word is never longer than what it was written as, so the whole line's length is reserved once
 * and the words do not move while they are written. */
#include "resp/inline.h"

#define TEXT_KEEP_BYTES 4096u /* of the scratch text, between lines */

struct splitter {
    const char *at, *end;
    char *out;
};

/* The byte i places on; 0, which the line does not hold, past its end. */
static char peek(const struct splitter *s, size_t i)
{
    return (size_t)(s->end - s->at) > i ? s->at[i] : '\0';
}

static void put(struct splitter *s, char c)
{
    *s->out++ = c;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* A `\` in double quotes with something behind it. */
static void split_escape(struct splitter *s)
{
    int high = hex_digit(peek(s, 2)), low = hex_digit(peek(s, 3));

    if (peek(s, 1) == 'x' && high >= 0 && low >= 0) {
        put(s, (char)(high * 16 + low));
        s->at += 4;
    } else {
        put(s, escaped(peek(s, 1)));
        s->at += 2;
    }
}

/* From behind the opening quote to behind the closing one. */
static bool split_quoted(struct splitter *s, char quote)
{
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\\' && quote == '"' && peek(s, 1) != '\0') {
            split_escape(s);
        } else if (*s->at == '\\' && quote == '\'' && peek(s, 1) == '\'') {
            put(s, '\'');
            s->at += 2;
        } else {
            put(s, *s->at++);
        }
    }
    if (s->at == s->end)
        return false;
    s->at++;
    return s->at == s->end || is_blank(*s->at);
}

static bool split_word(struct splitter *s)
{
    for (; s->at < s->end; s->at++) {
        switch (*s->at) {
        case ' ':
        case '\n':
        case '\r':
        case '\t':
            return true;
        case '"':
        case '\'':
            s->at++;
            return split_quoted(s, s->at[-1]);
        default:
            put(s, *s->at);
        }
    }
    return true;
}

bool inline_split(struct slice line, struct args *args, struct buffer *text)
{
    struct splitter s = {.at = line.p, .end = line.p + line.n};
    char *start;

    buffer_take_keep(text, buffer_len(text), TEXT_KEEP_BYTES);
    start = s.out = buffer_room(text, line.n + 1);
    for (;;) {
        char *word = s.out;

        while (s.at < s.end && is_blank(*s.at))
            s.at++;
        if (s.at == s.end)
            break;
        if (!split_word(&s))
            return false;
        args_add(args, slice_of(word, (size_t)(s.out - word)));
    }
    buffer_fill(text, (size_t)(s.out - start));
    return true;
}
