/* Requests to a benchmark worker and its replies. See worker_link.h. */
#include "tune/worker_link.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

status worker_link_start(worker_link *c, const char *const *args)
{
    if (c->child.pid) return OK;
    *c = (worker_link){0};
    return worker_start(&c->child, args);
}

void worker_link_stop(worker_link *c)
{
    worker_stop(&c->child);
    *c = (worker_link){0};
}

bool worker_link_has_baseline(const worker_link *c, const choice *other)
{
    return c->baseline.t && c->baseline.t == other->t &&
           !memcmp(c->baseline.values, other->values, sizeof other->values);
}

/* Writes a line such as "build cpu 16 3 8". */
static bool request(worker_link *c, const char *verb, const choice *what)
{
    char words[WORKER_LINE];
    int used = snprintf(words, sizeof words, "%s %s", verb, what->t->name);
    for (int i = 0; i < what->t->n; i++)
        used += snprintf(words + used, sizeof words - (size_t)used, " %d", what->values[i]);
    return worker_say(&c->child, "%s", words);
}

void worker_link_build(worker_link *c, const char *op, const int *shape, const choice *baseline,
                       const choice *what)
{
    char sizes[SHAPE_TEXT];
    c->asked_at = clock_seconds();
    if (!c->op || strcmp(c->op, op) != 0 || memcmp(c->shape, shape, sizeof c->shape) != 0) {
        shape_text(sizes, shape);
        c->op = op;
        memcpy(c->shape, shape, sizeof c->shape);
        c->awaits_shape = true;
        c->baseline = (choice){0};
        worker_say(&c->child, "shape %s %s", op, sizes);
    }
    c->awaits_baseline = baseline->t && !worker_link_has_baseline(c, baseline);
    c->asked = *baseline;
    if (c->awaits_baseline) request(c, "baseline", baseline);
    request(c, "build", what); /* worker_link_built finds out if the worker has ended */
}

/* The next line, at most `limit` seconds after the request. false: the worker was stopped. */
static bool hear(worker_link *c, char line[WORKER_LINE], double limit)
{
    double left = c->asked_at + limit - clock_seconds();
    if (worker_hear(&c->child, line, left > 0.05 ? left : 0.05) == WORKER_SAID) return true;
    worker_link_stop(c);
    return false;
}

static worker_reply parse_reply(const char *line)
{
    if (!strncmp(line, "wrong", 5)) return REPLY_WRONG;
    if (!strncmp(line, "failed", 6) || !strncmp(line, "cannot", 6)) return REPLY_FAILED;
    if (!strncmp(line, "lost", 4)) return REPLY_DIED;
    if (!strcmp(line, "retry")) return REPLY_RETRY;
    return REPLY_RIGHT;
}

static worker_reply hear_baseline(worker_link *c, double limit)
{
    char line[WORKER_LINE];
    choice asked = c->asked;
    c->awaits_baseline = false;
    c->baseline = (choice){0};
    if (!hear(c, line, limit)) return REPLY_NO_BASELINE;
    c->asked_at = clock_seconds();
    if (parse_reply(line) == REPLY_RIGHT) c->baseline = asked;
    return parse_reply(line) == REPLY_RIGHT ? REPLY_RIGHT : REPLY_NO_BASELINE;
}

worker_reply worker_link_built(worker_link *c, double limit)
{
    char line[WORKER_LINE];
    c->lacking = false;
    if (c->awaits_shape) {
        bool heard = hear(c, line, 3 * limit);
        c->awaits_shape = false;
        c->lacking = !heard || parse_reply(line) != REPLY_RIGHT;
        if (!heard) {
            c->lacking = true;
            return REPLY_DIED;
        }
        c->asked_at = clock_seconds();
        if (c->lacking) c->op = NULL; /* building fails too */
    }
    if (c->awaits_baseline && hear_baseline(c, 3 * limit) != REPLY_RIGHT) {
        worker_link_stop(c);
        return REPLY_NO_BASELINE;
    }
    if (!hear(c, line, limit)) return REPLY_DIED;
    worker_reply reply = parse_reply(line);
    c->lacking |= !strncmp(line, "cannot", 6);
    if (reply == REPLY_DIED) worker_link_stop(c);
    text_copy(c->bits, sizeof c->bits, line + (strncmp(line, "right ", 6) ? 0 : 6));
    if (reply == REPLY_RETRY) worker_link_stop(c);
    return reply;
}

void worker_link_verify(worker_link *c)
{
    c->asked_at = clock_seconds();
    worker_say(&c->child, "verify");
}

worker_reply worker_link_verified(worker_link *c, double limit)
{
    char line[WORKER_LINE];
    return hear(c, line, limit) ? parse_reply(line) : REPLY_DIED;
}

worker_reply worker_link_time(worker_link *c, candidate_time *time, double most, double limit)
{
    char line[WORKER_LINE];
    c->asked_at = clock_seconds();
    worker_say(&c->child, "time %.3f", most);
    if (!hear(c, line, limit)) return REPLY_DIED;
    if (!candidate_time_parse(time, line)) {
        worker_reply reply = parse_reply(line);
        if (reply == REPLY_DIED) worker_link_stop(c);
        return reply == REPLY_RIGHT ? REPLY_FAILED : reply;
    }
    if (time->baseline <= 0.0) c->baseline = (choice){0};
    return REPLY_RIGHT;
}

bool worker_link_keep(worker_link *c, const choice *what, double limit)
{
    c->asked_at = clock_seconds();
    c->asked = *what;
    worker_say(&c->child, "keep");
    return hear_baseline(c, limit) == REPLY_RIGHT;
}

bool worker_link_set_baseline(worker_link *c, const choice *other, double limit)
{
    c->asked_at = clock_seconds();
    c->asked = *other;
    request(c, "baseline", other);
    return hear_baseline(c, limit) == REPLY_RIGHT;
}
