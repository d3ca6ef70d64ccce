/* Draws pictures of classes, and writes them as OUT-0.ppm, OUT-1.ppm, ...
 *
 *     cc sample.c $(pkg-config --cflags --libs ditcl) -o sample
 *     ./sample emoji pictures cat heart */
#include <ditcl.h>
#include <stdio.h>

static void show(void *context, ditcl_phase phase, int done, int total)
{
    static const char *const names[] = {"loading", "sampling", "decoding"};
    (void)context;
    if (done == total) fprintf(stderr, "%s: done\n", names[phase]);
}

static int write_ppm(const ditcl_pictures *pictures, int i, const char *out)
{
    size_t width = (size_t)ditcl_pictures_width(pictures);
    size_t height = (size_t)ditcl_pictures_height(pictures);
    char path[1000];
    snprintf(path, sizeof path, "%s-%d.ppm", out, i);
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    fprintf(file, "P6 %zu %zu 255\n", width, height);
    int good = fwrite(ditcl_pictures_rgb(pictures, i), 3 * width, height, file) == height;
    return fclose(file) == 0 && good;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL OUT [CLASS...]\n", argv[0]);
        return 2;
    }
    ditcl *c = ditcl_create();
    ditcl_model *model = NULL;
    ditcl_device *device = NULL;
    ditcl_pictures *pictures = NULL;
    if (!c) return 1;

    ditcl_request request;
    ditcl_request_init(&request, sizeof request);
    request.classes = (const char *const *)argv + 3;
    request.n_classes = argc - 3;
    request.steps = "10";
    request.seed = 7;
    request.guidance = 3;
    request.progress = show;

    int failed = ditcl_model_open(c, &model, argv[1], NULL) ||
                 ditcl_device_open(c, &device, NULL) ||
                 ditcl_sample(model, device, &request, &pictures);
    if (failed) fprintf(stderr, "%s\n%s\n", ditcl_error(c), ditcl_error_hint(c));
    for (int i = 0; !failed && i < ditcl_pictures_count(pictures); i++)
        failed = !write_ppm(pictures, i, argv[2]);

    ditcl_pictures_free(pictures);
    ditcl_device_close(device);
    ditcl_model_close(model);
    ditcl_destroy(c);
    return failed ? 1 : 0;
}
