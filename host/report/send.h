/* Messages from the child to the parent.
 *
 * Lines for the user are sent unchanged. A worker's lines are short (base/worker.h), so a message
 * is sent in pieces: each begins with MESSAGE_PART, the last with MESSAGE_END. Its text is a
 * keyword with arguments:
 *
 *     during WORDS        the work that begins now
 *     value KEY JSON      a value of the device's object
 *     item KEY JSON       an item of the object's array KEY
 *     failed LINE         the failure that ended the examination
 *     done CASES FAILED   the last message */
#ifndef DITCL_REPORT_SEND_H
#define DITCL_REPORT_SEND_H

#include "optest/optest.h"
#include "report/report.h"

enum { MESSAGE_PART = 1, MESSAGE_END = 2 };

void send_message(FILE *to, const char *keyword, const char *words);
void send_during(FILE *to, const char *words);
/* Sends JSON as a value or an item of key, and frees it. */
status send_value(FILE *to, const char *key, json_build *b);
status send_item(FILE *to, const char *key, json_build *b);
/* Sends an item of "skipped". why null: the stored failure, which is cleared. */
status send_skipped(FILE *to, const char *what, const char *why);

/* Like json_put_text, for text from outside (base/privacy.h). */
void report_put(json_build *b, json_t *in, const char *key, const char *words);

/* The parts of report_send_device. */
status report_checks(FILE *to, device *d, const report_request *q, optest_tally *all);
/* A wrong network counts as one failed check. */
status report_network(FILE *to, device *d, optest_tally *all);
status report_speed(FILE *to, device *d, const report_request *q);
status report_largest(FILE *to, device *d);

#endif
