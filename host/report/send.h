/* What the child's parts share: messages to the parent.
 *
 * Lines for the user are sent as they are. A message begins with MESSAGE_PART, for all its pieces
 * but the last, or MESSAGE_END, since a worker's lines are short (base/worker.h). Its text is a
 * keyword and what belongs to it:
 *
 *     during WORDS        what is done from here on
 *     value KEY JSON      a value of the device's object
 *     item KEY JSON       one more item of the array that it has under KEY
 *     failed LINE         the failure that ended it
 *     done CASES FAILED   the last message of a child that comes to its end */
#ifndef DITCL_REPORT_SEND_H
#define DITCL_REPORT_SEND_H

#include "optest/optest.h"
#include "report/report.h"

enum { MESSAGE_PART = 1, MESSAGE_END = 2 };

void send_message(FILE *to, const char *keyword, const char *words);
void send_during(FILE *to, const char *words);
/* What was built, as a value or an item under key; frees it. */
status send_value(FILE *to, const char *key, json_build *b);
status send_item(FILE *to, const char *key, json_build *b);
/* An item of "skipped"; why null: the stored failure, which is cleared. */
status send_skipped(FILE *to, const char *what, const char *why);

/* As json_put_text, for text from outside: see base/privacy.h. */
void report_put(json_build *b, json_t *in, const char *key, const char *words);

/* The parts of report_send_device. */
status report_checks(FILE *to, device *d, const report_request *q, optest_tally *all);
/* A network that is wrong is one failed check more. */
status report_network(FILE *to, device *d, optest_tally *all);
status report_speed(FILE *to, device *d, const report_request *q);
status report_largest(FILE *to, device *d);

#endif
