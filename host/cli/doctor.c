/* ditcl doctor: why is there no device, and what to do about it. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/environment.h"
#include "device/diagnosis.h"
#include "files/json_build.h"

static const struct {
    const char *group, *title;
} groups[] = {{"driver", "Drivers that the OpenCL loader knows"},
              {"platform", "Platforms"},
              {"gpu", "GPUs of this machine"},
              {"folder", "Folders"}};

static int problems_of(const diagnosis *g)
{
    int n = 0;
    for (int i = 0; i < g->n; i++) n += !g->items[i].good;
    return n;
}

static void print_text(const diagnosis *g)
{
    for (size_t t = 0; t < sizeof groups / sizeof *groups; t++) {
        bool first = true;
        for (int i = 0; i < g->n; i++) {
            const finding *f = &g->items[i];
            if (strcmp(f->group, groups[t].group) != 0) continue;
            if (first) printf("%s:\n", groups[t].title);
            first = false;
            printf("  %-8s %s: %s\n", f->good ? "ok" : "PROBLEM", TEXT_SHOWN(f->subject),
                   TEXT_SHOWN(f->what));
            if (*f->fix) printf("           to mend it: %s\n", TEXT_SHOWN(f->fix));
        }
    }
}

static status print_json(const diagnosis *g, const device_list *list)
{
    json_build b;
    json_t *top = json_build_begin(&b);
    json_put_int(&b, top, "devices", list->n);
    json_put_int(&b, top, "problems", problems_of(g));
    json_t *all = json_put_array(&b, top, "findings");
    for (int i = 0; i < g->n; i++) {
        const finding *f = &g->items[i];
        json_t *row = json_put_object(&b, all, NULL);
        json_put_text(&b, row, "group", f->group);
        json_put_bool(&b, row, "good", f->good);
        json_put_name(&b, row, "subject", f->subject);
        json_put_name(&b, row, "what", f->what);
        if (*f->fix) json_put_name(&b, row, "fix", f->fix);
    }
    status st = json_build_print(&b, stdout, JSON_INDENT(2));
    json_build_free(&b);
    return st;
}

static status run_doctor(bool json)
{
    device_list list = {0};
    diagnosis g = {0};
    status st = OK;
    TRY(environment_check());
    TRY(device_list_init(&list));
    TRY(diagnosis_make(&g, &list));
    if (json)
        TRY(print_json(&g, &list));
    else
        print_text(&g);
    if (list.n == 0) {
        st = fail(ERR_DEVICE, "OpenCL has no device on this machine");
        fail_hint("mend the problems above; a processor alone is enough");
    } else if (!json) {
        printf("%d device%s, %d problem%s. Next: ditcl check --quick\n", list.n,
               list.n > 1 ? "s" : "", problems_of(&g), problems_of(&g) == 1 ? "" : "s");
    }
done:
    diagnosis_free(&g);
    device_list_free(&list);
    return st;
}

status cli_doctor(int argc, char **argv)
{
    bool json = false, helped;
    const option options[] = {OPTION_JSON(&json), {0}};
    const command c = {
        .name = "doctor",
        .arguments = "[--json]",
        .summary = "Says why OpenCL has no device, or not every device, and how to mend it on this "
                   "system: drivers, platforms, GPUs, folders. Changes nothing. The exit code is 1 "
                   "if there is no device.",
        .details = "Example:\n"
                   "  ditcl doctor\n",
        .options = options,
    };
    status st = options_parse(&c, argc, argv, &helped);
    return st == OK && !helped ? run_doctor(json) : st;
}
