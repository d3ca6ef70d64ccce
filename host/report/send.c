/* The child: examines a device and sends the results. See report.h and send.h. */
#include "report/send.h"

#include <string.h>

#include "base/privacy.h"
#include "device/probe.h"
#include "device/properties.h"
#include "tune/tune.h"

/* ---- messages ---- */

void send_message(FILE *to, const char *keyword, const char *words)
{
    enum { PIECE = 400 };
    fprintf(to, "%c%s \n", MESSAGE_PART, keyword);
    for (; strlen(words) > PIECE; words += PIECE)
        fprintf(to, "%c%.*s\n", MESSAGE_PART, PIECE, words);
    fprintf(to, "%c%s\n", MESSAGE_END, words);
    fflush(to);
}

void send_during(FILE *to, const char *words)
{
    send_message(to, "during", words);
}

static status send_built(FILE *to, const char *keyword, const char *key, json_build *b)
{
    text words = {0};
    status st = text_append(&words, "%s ", key);
    if (st == OK) st = json_build_text(b, &words, JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (st == OK) send_message(to, keyword, words.data);
    text_free(&words);
    json_build_free(b);
    return st;
}

status send_value(FILE *to, const char *key, json_build *b)
{
    return send_built(to, "value", key, b);
}

status send_item(FILE *to, const char *key, json_build *b)
{
    return send_built(to, "item", key, b);
}

void report_put(json_build *b, json_t *in, const char *key, const char *words)
{
    text stripped = {0};
    if (privacy_append(&stripped, words) == OK)
        json_put_name(b, in, key, stripped.data);
    else
        json_put_null(b, in, key);
    text_free(&stripped);
}

status send_skipped(FILE *to, const char *what, const char *why)
{
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_text(&b, all, "what", what);
    report_put(&b, all, "why", why ? why : fail_line());
    if (!why) fail_clear();
    return send_item(to, "skipped", &b);
}

void report_send_failure(FILE *to)
{
    text stripped = {0};
    if (privacy_append(&stripped, fail_line()) == OK) send_message(to, "failed", stripped.data);
    text_free(&stripped);
}

/* ---- what is known before the device is open ---- */

static void put_words(json_build *b, json_t *in, const char *key, const char *words)
{
    char word[256];
    json_t *list = json_put_array(b, in, key);
    while (*words) {
        size_t n = strcspn(words, " ");
        if (n) {
            text_copy(word, n < sizeof word ? n + 1 : sizeof word, words);
            report_put(b, list, NULL, word);
        }
        words += n + (words[n] == ' ');
    }
}

static void put_property(json_build *b, json_t *in, const property *p)
{
    if (p->kind == PROPERTY_BOOL)
        json_put_bool(b, in, p->name, p->numbers[0] != 0);
    else if (p->kind == PROPERTY_NUMBER)
        json_put_int(b, in, p->name, (json_int_t)p->numbers[0]);
    else if (p->kind == PROPERTY_TEXT)
        report_put(b, in, p->name, p->text);
    else if (p->kind == PROPERTY_WORDS)
        put_words(b, in, p->name, p->text);
    else {
        json_t *list = json_put_array(b, in, p->name);
        for (size_t i = 0; i < p->n; i++) json_put_int(b, list, NULL, (json_int_t)p->numbers[i]);
    }
}

/* Lists the extensions that are matrix units by their names. */
static void put_matrices(json_build *b, json_t *in, const char *extensions)
{
    char word[256];
    json_t *list = json_put_array(b, in, "cooperative_matrices");
    for (const char *at = extensions; *at;) {
        size_t n = strcspn(at, " ");
        text_copy(word, n < sizeof word ? n + 1 : sizeof word, at);
        if (strstr(word, "matrix")) report_put(b, list, NULL, word);
        at += n + (at[n] == ' ');
    }
}

status report_send_info(FILE *to, const device_info *info)
{
    property_list list = {0};
    json_build b = {0};
    status st = OK;
    send_during(to, "asking the driver");
    TRY(properties_ask(&list, info));
    json_t *all = json_build_begin(&b);
    for (size_t i = 0; i < list.n; i++) {
        put_property(&b, all, &list.items[i]);
        if (!strcmp(list.items[i].name, "extensions")) put_matrices(&b, all, list.items[i].text);
    }
    TRY(send_value(to, "properties", &b));
    send_during(to, "opening the device");
done:
    json_build_free(&b);
    properties_free(&list);
    return st;
}

/* ---- the open device ---- */

/* Probes features one by one, so that the report shows which one crashed. */
static status send_features(FILE *to, device *d)
{
    feature_id used[N_FEATURES];
    char doing[80];
    json_build b;
    int n = probe_list(used, d);
    for (int i = 0; i < n; i++) {
        snprintf(doing, sizeof doing, "probing %s", feature_name(used[i]));
        send_during(to, doing);
        status st = probe_feature(d, used[i]);
        if (st != OK) return st;
    }
    json_t *all = json_build_begin(&b);
    for (int i = 0; i < N_FEATURES; i++) {
        const probe_result *p = &d->probed[i];
        json_t *row = json_put_object(&b, all, feature_name((feature_id)i));
        json_put_bool(&b, row, "claimed", p->claimed);
        json_put_bool(&b, row, "tried", p->tried);
        json_put_bool(&b, row, "compiled", p->built && p->tried);
        json_put_bool(&b, row, "right", p->right);
        if (*p->why) report_put(&b, row, "why", p->why);
    }
    return send_value(to, "features", &b);
}

static status send_settings(FILE *to, const device *d)
{
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_text(&b, all, "kernels", kernel_family_names[d->family]);
    json_put_text(&b, all, "precision", precision_names[d->settings.precision]);
    json_put_int(&b, all, "vector_width", d->vector_width);
    if (d->feature[FEATURE_SUBGROUPS]) json_put_int(&b, all, "sub_group_size", d->subgroups.size);
    json_t *list = json_put_array(&b, all, "quirks");
    for (int i = 0; i < N_QUIRKS; i++)
        if (d->info.quirk.has[i]) json_put_text(&b, list, NULL, quirk_name(i));
    return send_value(to, "settings", &b);
}

status report_send_device(FILE *to, device *d, const report_request *q)
{
    optest_tally all = {0};
    char counts[64];
    status st = OK;
    TRY(send_features(to, d));
    TRY(send_settings(to, d));
    send_during(to, "choosing configurations");
    TRY(tune_fit(d, q->whole && !q->small, NULL));
    TRY(report_checks(to, d, q, &all));
    if (q->whole && q->small) {
        TRY(send_skipped(to, "network, peaks, models, largest buffer",
                         "small shapes only were asked for"));
    } else if (q->whole) {
        TRY(report_network(to, d, &all));
        TRY(report_speed(to, d, q));
        TRY(report_largest(to, d));
    }
    snprintf(counts, sizeof counts, "%d %d", all.cases, all.failed);
    send_message(to, "done", counts);
done:
    return st;
}
