/* Events of a command that runs with --json: one JSON object per line on stdout, while it runs.
 * Each has "event", its kind; then what belongs to it.
 *
 *     event e = event_begin("step");
 *     json_put_int(&e.b, e.root, "step", 3);
 *     st = event_end(&e);
 *
 * Without events_start, the calls print nothing. */
#ifndef DITCL_CLI_EVENTS_H
#define DITCL_CLI_EVENTS_H

#include <stdbool.h>

#include "base/status.h"
#include "files/json_build.h"

typedef struct {
    json_build b;
    json_t *root;
} event;

/* From now on events are printed. */
void events_start(void);
bool events_on(void);

event event_begin(const char *kind);
/* ERR_FILE if stdout cannot be written. */
status event_end(event *e);

/* An event with one value. A failure to print is noticed by the next event_end. */
void event_name(const char *kind, const char *key, const char *value);

/* "building": a kernel of this file. */
void event_building(const char *file);

/* The last event: "done" with the seconds since events_start or, if st is no OK, "failed" with the
 * message. Returns st, or the failure to print. */
status events_finish(status st);

#endif
