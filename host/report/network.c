/* Runs a small network on the device. Reports its distance from stored numbers, and whether two
 * runs give the same bits. */
#include <math.h>

#include "base/hash.h"
#include "check/tiny.h"
#include "report/send.h"

typedef struct {
    double error; /* relative L2 from the stored numbers, the larger of two runs */
    char wrong[TINY_WRONG];
    bool same_bits;
} network_result;

static status run_network(device *d, network_result *r)
{
    double first, second;
    hash128 bits, bits_again;
    char ignored[TINY_WRONG];
    status st = OK;
    TRY(tiny_check(d, &first, r->wrong, &bits));
    TRY(tiny_check(d, &second, *r->wrong ? ignored : r->wrong, &bits_again));
    r->error = fmax(first, second);
    r->same_bits = hash_equal(bits, bits_again);
done:
    return st;
}

status report_network(FILE *to, device *d, optest_tally *checks)
{
    network_result result = {.error = 0};
    send_during(to, "running a small network");
    status st = run_network(d, &result);
    if (st == ERR_MEMORY) return st;
    if (st != OK) return send_skipped(to, "network", NULL);
    bool right = !*result.wrong && result.same_bits;
    checks->cases++;
    checks->failed += !right;
    fprintf(to, "tiny network: %s\n",
            *result.wrong      ? result.wrong
            : result.same_bits ? "ok"
                               : "two runs gave other bits");
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_text(&b, all, "name", "tiny");
    json_put_bool(&b, all, "right", !*result.wrong);
    json_put_text(&b, all, "wrong", result.wrong);
    json_put_real(&b, all, "error", result.error);
    json_put_bool(&b, all, "two_runs_same_bits", result.same_bits);
    return send_value(to, "network", &b);
}
