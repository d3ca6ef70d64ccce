/* The search's side of a child. See contestant.h. */
#include "tune/contestant.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

status contestant_start(contestant *c, const char *const *args)
{
    if (c->child.pid) return OK;
    *c = (contestant){0};
    return worker_start(&c->child, args);
}

void contestant_stop(contestant *c)
{
    worker_stop(&c->child);
    *c = (contestant){0};
}

bool contestant_holds(const contestant *c, const choice *other)
{
    return c->held.t && c->held.t == other->t &&
           !memcmp(c->held.values, other->values, sizeof other->values);
}

/* "build cpu 16 3 8" */
static bool say(contestant *c, const char *verb, const choice *what)
{
    char words[WORKER_LINE];
    int used = snprintf(words, sizeof words, "%s %s", verb, what->t->kind);
    for (int i = 0; i < what->t->n; i++)
        used += snprintf(words + used, sizeof words - (size_t)used, " %d", what->values[i]);
    return worker_say(&c->child, "%s", words);
}

void contestant_build(contestant *c, const char *op, const int *shape, const choice *beside,
                      const choice *candidate)
{
    char sizes[TUNING_SHAPE];
    c->told = clock_seconds();
    if (!c->op || strcmp(c->op, op) != 0 || memcmp(c->shape, shape, sizeof c->shape) != 0) {
        tuning_shape_text(sizes, shape);
        c->op = op;
        memcpy(c->shape, shape, sizeof c->shape);
        c->opening = true;
        c->held = (choice){0};
        worker_say(&c->child, "shape %s %s", op, sizes);
    }
    c->holding = beside->t && !contestant_holds(c, beside);
    c->asked = *beside;
    if (c->holding) say(c, "hold", beside);
    say(c, "build", candidate); /* a child that is gone does not answer either */
}

/* Its next line within so many seconds of being told; false: it was stopped. */
static bool hear(contestant *c, char line[WORKER_LINE], double limit)
{
    double left = c->told + limit - clock_seconds();
    if (worker_hear(&c->child, line, left > 0.05 ? left : 0.05) == WORKER_SAID) return true;
    contestant_stop(c);
    return false;
}

/* What answers a line that has one of these for an answer. */
static contestant_answer read_answer(const char *line)
{
    if (!strncmp(line, "wrong", 5)) return CONTESTANT_WRONG;
    if (!strncmp(line, "failed", 6) || !strncmp(line, "cannot", 6)) return CONTESTANT_FAILED;
    if (!strncmp(line, "lost", 4)) return CONTESTANT_DIED;
    if (!strcmp(line, "again")) return CONTESTANT_AGAIN;
    return CONTESTANT_RIGHT;
}

static contestant_answer hear_held(contestant *c, double limit)
{
    char line[WORKER_LINE];
    choice asked = c->asked;
    c->holding = false;
    c->held = (choice){0};
    if (!hear(c, line, limit)) return CONTESTANT_NOT_HELD;
    c->told = clock_seconds();
    if (read_answer(line) == CONTESTANT_RIGHT) c->held = asked;
    return read_answer(line) == CONTESTANT_RIGHT ? CONTESTANT_RIGHT : CONTESTANT_NOT_HELD;
}

contestant_answer contestant_built(contestant *c, double limit)
{
    char line[WORKER_LINE];
    c->lacking = false;
    if (c->opening) {
        bool heard = hear(c, line, 3 * limit);
        c->opening = false;
        c->lacking = !heard || read_answer(line) != CONTESTANT_RIGHT;
        if (!heard) {
            c->lacking = true;
            return CONTESTANT_DIED;
        }
        c->told = clock_seconds();
        if (c->lacking) c->op = NULL; /* nor can it build */
    }
    if (c->holding && hear_held(c, 3 * limit) != CONTESTANT_RIGHT) {
        contestant_stop(c);
        return CONTESTANT_NOT_HELD;
    }
    if (!hear(c, line, limit)) return CONTESTANT_DIED;
    contestant_answer answer = read_answer(line);
    c->lacking |= !strncmp(line, "cannot", 6);
    if (answer == CONTESTANT_DIED) contestant_stop(c);
    text_copy(c->bits, sizeof c->bits, line + (strncmp(line, "right ", 6) ? 0 : 6));
    if (answer == CONTESTANT_AGAIN) contestant_stop(c);
    return answer;
}

void contestant_prove(contestant *c)
{
    c->told = clock_seconds();
    worker_say(&c->child, "prove");
}

contestant_answer contestant_proved(contestant *c, double limit)
{
    char line[WORKER_LINE];
    return hear(c, line, limit) ? read_answer(line) : CONTESTANT_DIED;
}

contestant_answer contestant_time(contestant *c, contest_time *time, double most, double limit)
{
    char line[WORKER_LINE];
    c->told = clock_seconds();
    worker_say(&c->child, "time %.3f", most);
    if (!hear(c, line, limit)) return CONTESTANT_DIED;
    if (!contest_parse(time, line)) {
        contestant_answer answer = read_answer(line);
        if (answer == CONTESTANT_DIED) contestant_stop(c);
        return answer == CONTESTANT_RIGHT ? CONTESTANT_FAILED : answer;
    }
    if (time->held <= 0.0) c->held = (choice){0};
    return CONTESTANT_RIGHT;
}

bool contestant_hold(contestant *c, const choice *candidate, double limit)
{
    c->told = clock_seconds();
    c->asked = *candidate;
    worker_say(&c->child, "hold");
    return hear_held(c, limit) == CONTESTANT_RIGHT;
}

bool contestant_hold_other(contestant *c, const choice *other, double limit)
{
    c->told = clock_seconds();
    c->asked = *other;
    say(c, "hold", other);
    return hear_held(c, limit) == CONTESTANT_RIGHT;
}
