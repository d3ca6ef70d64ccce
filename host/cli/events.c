/* Events. See events.h. */
#include "cli/events.h"

#include <string.h>

#include "base/clock.h"

/* Whether events are printed, since when, and the kernels that were built. */
static struct {
    bool on;
    double started;
    int built;
} state;

void events_start(void)
{
    state.on = true;
    state.started = clock_seconds();
}

bool events_on(void)
{
    return state.on;
}

event event_begin(const char *kind)
{
    event e;
    e.root = json_build_begin(&e.b);
    json_put_text(&e.b, e.root, "event", kind);
    return e;
}

status event_end(event *e)
{
    status st = state.on ? json_build_print(&e->b, stdout, JSON_COMPACT) : OK;
    json_build_free(&e->b);
    if (st == OK && state.on && fflush(stdout))
        st = fail(ERR_FILE, "cannot write to standard output");
    return st;
}

void event_name(const char *kind, const char *key, const char *value)
{
    event e = event_begin(kind);
    json_put_name(&e.b, e.root, key, value);
    if (event_end(&e) != OK) fail_clear();
}

void event_building(const char *file)
{
    event e = event_begin("building");
    json_put_int(&e.b, e.root, "kernel", ++state.built);
    json_put_name(&e.b, e.root, "file", file);
    if (event_end(&e) != OK) fail_clear();
}

status events_finish(status st)
{
    event e;
    if (!state.on) return st;
    if (st == OK) {
        e = event_begin("done");
        json_put_real(&e.b, e.root, "seconds", clock_seconds() - state.started);
        return event_end(&e);
    }
    failure first;
    fail_keep(&first);
    e = event_begin("failed");
    json_put_name(&e.b, e.root, "message", fail_line());
    event_end(&e);
    fail_put_back(&first);
    return st;
}
