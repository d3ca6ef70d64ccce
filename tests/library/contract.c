/* What ditcl.h promises, checked by a program that sees only the installed header.
 *
 *     contract loop N MODEL    opens and closes what needs no device, N times
 *     contract runs N MODEL    the same with a device and a short run
 *     contract grow MODEL      such runs do not take more and more memory
 *     contract all MODEL       the promises; prints one line for each that is broken */
#include <ditcl.h>
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int broken;

static void expect(int holds, const char *what)
{
    if (holds) return;
    printf("broken: %s\n", what);
    broken++;
}

static ditcl_request short_request(const char *steps)
{
    static const char *const classes[] = {"0", "1"};
    ditcl_request request;
    ditcl_request_init(&request, sizeof request);
    request.classes = classes;
    request.n_classes = 2;
    request.steps = steps;
    request.seed = 3;
    return request;
}

/* ---- loops, for a checker of memory ---- */

static void open_and_close(const char *name)
{
    ditcl *c = ditcl_create();
    ditcl_model *model = NULL, *none = NULL;
    const ditcl_request request = short_request("5");
    uint64_t bytes = 0;
    expect(ditcl_model_open(c, &none, "no/such/model", NULL) == DITCL_ERROR_FILE && !none,
           "a model that does not exist is ERROR_FILE");
    expect(ditcl_model_open(c, &model, name, NULL) == DITCL_OK, ditcl_error(c));
    if (model) expect(ditcl_memory(model, NULL, &request, &bytes) == DITCL_OK, ditcl_error(c));
    expect(bytes > 0, "a request takes memory");
    ditcl_destroy(c); /* it lives on until the model is closed */
    ditcl_model_close(model);
}

static void run_once(const char *name)
{
    ditcl *c = ditcl_create();
    ditcl_model *model = NULL;
    ditcl_device *device = NULL;
    ditcl_pictures *pictures = NULL;
    const ditcl_request request = short_request("2");
    expect(ditcl_model_open(c, &model, name, NULL) == DITCL_OK &&
               ditcl_device_open(c, &device, NULL) == DITCL_OK &&
               ditcl_sample(model, device, &request, &pictures) == DITCL_OK,
           ditcl_error(c));
    ditcl_pictures_free(pictures);
    ditcl_device_close(device);
    ditcl_model_close(model);
    ditcl_destroy(c);
}

/* Drivers keep some memory for later runs, and free it at times of their own. So the least of some
 * runs is compared with the least of later ones. */
static size_t least_of_runs(const char *name)
{
    enum { RUNS = 4 };
    size_t least = SIZE_MAX;
    for (int i = 0; i < RUNS; i++) {
        run_once(name);
        size_t used = mallinfo2().uordblks;
        if (used < least) least = used;
    }
    return least;
}

static void check_growth(const char *name)
{
    enum { LEAK = 40000 }; /* bytes in 4 runs; without a leak 7000 were measured */
    least_of_runs(name);
    size_t early = least_of_runs(name), late = least_of_runs(name);
    if (late < early + LEAK) return;
    printf("broken: 4 runs took %zu bytes for good\n", late - early);
    broken++;
}

/* ---- structs ---- */

/* What a program of an older version has: the members up to `seed`. */
typedef struct {
    size_t size;
    const char *const *classes;
    int n_classes, per_class;
    uint64_t seed;
} older_request;

/* And a newer one, with a member that this version does not know. */
typedef struct {
    ditcl_request known;
    int unknown;
} newer_request;

static int same_pictures(const ditcl_pictures *a, const ditcl_pictures *b)
{
    if (!a || !b || ditcl_pictures_count(a) != ditcl_pictures_count(b)) return 0;
    size_t size = 3u * (size_t)ditcl_pictures_width(a) * (size_t)ditcl_pictures_height(a);
    for (int i = 0; i < ditcl_pictures_count(a); i++)
        if (memcmp(ditcl_pictures_rgb(a, i), ditcl_pictures_rgb(b, i), size) != 0) return 0;
    return 1;
}

static void check_structs(ditcl *c, ditcl_model *model, ditcl_device *device)
{
    ditcl_pictures *now = NULL, *then = NULL, *later = NULL, *none = NULL;
    ditcl_request request = short_request(NULL);
    struct {
        older_request is;
        unsigned char after[64]; /* another variable of the program */
    } older;
    newer_request newer;
    memset(&older, 0xee, sizeof older);
    ditcl_request_init((ditcl_request *)(void *)&older.is, sizeof older.is);
    expect(older.after[0] == 0xee && older.is.per_class == 1, "init writes only the older struct");
    older.is.classes = request.classes;
    older.is.n_classes = request.n_classes;
    older.is.seed = request.seed;
    expect(!ditcl_sample(model, device, &request, &now), ditcl_error(c));
    expect(!ditcl_sample(model, device, (ditcl_request *)(void *)&older.is, &then), ditcl_error(c));
    expect(same_pictures(now, then), "an older request draws the same pictures");

    ditcl_request_init(&newer.known, sizeof newer);
    newer.known.classes = request.classes;
    newer.known.n_classes = request.n_classes;
    newer.known.seed = request.seed;
    expect(!ditcl_sample(model, device, &newer.known, &later), ditcl_error(c));
    expect(same_pictures(now, later), "a newer request draws the same pictures");
    newer.unknown = 1;
    expect(ditcl_sample(model, device, &newer.known, &none) == DITCL_ERROR_USAGE && !none,
           "a member that the library does not know is ERROR_USAGE");
    memset(&request, 0, sizeof request);
    expect(ditcl_sample(model, device, &request, &none) == DITCL_ERROR_USAGE &&
               strstr(ditcl_error_hint(c), "ditcl_request_init"),
           "a struct that was not initialised is ERROR_USAGE");
    ditcl_pictures_free(now);
    ditcl_pictures_free(then);
    ditcl_pictures_free(later);
}

/* ---- cancelling ---- */

typedef struct {
    ditcl *c;
    sem_t reached, cancelled;
    pthread_t caller;
    int last, elsewhere; /* the last step; calls on another thread */
} watched;

static void *cancel_when_reached(void *context)
{
    watched *w = context;
    sem_wait(&w->reached);
    ditcl_cancel(w->c, 1);
    sem_post(&w->cancelled);
    return NULL;
}

static void stop_at_3(void *context, ditcl_phase phase, int done, int total)
{
    watched *w = context;
    (void)total;
    w->elsewhere += !pthread_equal(w->caller, pthread_self());
    if (phase != DITCL_SAMPLING) return;
    w->last = done;
    if (done != 3) return;
    sem_post(&w->reached);
    sem_wait(&w->cancelled);
}

static void check_cancel(ditcl *c, ditcl_model *model, ditcl_device *device)
{
    watched w = {.c = c, .caller = pthread_self()};
    pthread_t other;
    ditcl_pictures *pictures = NULL;
    ditcl_request request = short_request("50");
    request.progress = stop_at_3;
    request.context = &w;
    sem_init(&w.reached, 0, 0);
    sem_init(&w.cancelled, 0, 0);
    pthread_create(&other, NULL, cancel_when_reached, &w);
    expect(ditcl_sample(model, device, &request, &pictures) == DITCL_CANCELLED && !pictures,
           "another thread cancels a run");
    pthread_join(other, NULL);
    expect(w.last == 3, "a cancelled run ends before its next step");
    expect(!w.elsewhere, "callbacks run on the caller's thread");
    request = short_request("2");
    expect(!ditcl_sample(model, device, &request, &pictures), "the next run is not cancelled");
    ditcl_pictures_free(pictures);
    ditcl_cancel(c, 1);
    expect(ditcl_sample(model, device, &request, &pictures) == DITCL_CANCELLED,
           "a call before the run cancels it");
    ditcl_cancel(c, 1);
    ditcl_cancel(c, 0);
    expect(!ditcl_sample(model, device, &request, &pictures), "cancelling can be taken back");
    ditcl_pictures_free(pictures);
}

/* ---- pictures ---- */

static void count_preview(void *context, int step, int picture, const unsigned char *rgb, int width,
                          int height)
{
    (void)step, (void)picture;
    *(int *)context += rgb && width > 0 && height > 0;
}

static void check_pictures(ditcl *c, ditcl_model *model, ditcl_device *device)
{
    ditcl_pictures *plain = NULL, *watched = NULL, *decoded = NULL;
    ditcl_model_info info;
    int previews = 0;
    ditcl_request request = short_request("10");
    expect(!ditcl_sample(model, device, &request, &plain), ditcl_error(c));
    request.preview = count_preview;
    request.preview_every = 4;
    request.context = &previews;
    expect(!ditcl_sample(model, device, &request, &watched), ditcl_error(c));
    expect(previews == 6, "2 pictures have previews after steps 4, 8 and 10");
    expect(same_pictures(plain, watched), "previews change no picture");

    ditcl_model_info_init(&info, sizeof info);
    expect(!ditcl_model_describe(model, &info), ditcl_error(c));
    int side = info.width / info.latent_scale;
    expect(!ditcl_decode(model, device, ditcl_pictures_latents(plain, 0), 2, side, side, &decoded),
           ditcl_error(c));
    expect(same_pictures(plain, decoded), "decoded latents are the pictures");
    size_t values = (size_t)info.latent_channels * (size_t)side * (size_t)side;
    float *latents = calloc(values, sizeof *latents), sum = 0;
    ditcl_code code =
        ditcl_encode(model, device, ditcl_pictures_rgb(plain, 0), info.width, info.height, latents);
    for (size_t i = 0; i < values; i++) sum += latents[i] * latents[i];
    expect(code == DITCL_ERROR_FORMAT || (code == DITCL_OK && sum > 0),
           "a picture is encoded, if the VAE has an encoder");
    expect(ditcl_encode(model, device, ditcl_pictures_rgb(plain, 0), 3, 3, latents) ==
               DITCL_ERROR_USAGE,
           "a picture of 3 x 3 is refused");
    free(latents);
    ditcl_pictures_free(plain);
    ditcl_pictures_free(watched);
    ditcl_pictures_free(decoded);
}

/* ---- errors, threads ---- */

static void check_errors(ditcl *c, ditcl_model *model, ditcl_device *device)
{
    ditcl_pictures *none = NULL;
    ditcl_device *no_device = NULL;
    ditcl_device_options options;
    ditcl *other = ditcl_create();
    ditcl_request request = short_request("5");
    request.sampler = "dmp";
    expect(ditcl_sample(model, device, &request, &none) == DITCL_ERROR_USAGE &&
               strstr(ditcl_error(c), "dmp") && strstr(ditcl_error(c), "ddim"),
           "the error names the sampler and the samplers");
    expect(!*ditcl_error(other), "errors belong to a context");
    ditcl_device_options_init(&options, sizeof options);
    options.device = "no such device";
    expect(ditcl_device_open(other, &no_device, &options) == DITCL_ERROR_USAGE && !no_device,
           "a device that does not exist is ERROR_USAGE");
    expect(strstr(ditcl_error(other), "no such device") != NULL, "the error names the device");
    ditcl_destroy(other);
}

static void *run_thread(void *name)
{
    run_once(name);
    return NULL;
}

static void check_threads(const char *name)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, run_thread, (void *)name);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

/* ---- manners ---- */

enum { MOST_SIGNALS = 32 };

/* Drivers set handlers and variables of their own. They do so here, before the library's calls. */
static void wake_drivers(void)
{
    enum { MOST = 16 };
    typedef int get_platforms(unsigned, void **, unsigned *);
    typedef int get_devices(void *, uint64_t, unsigned, void **, unsigned *);
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW), *platforms[MOST];
    if (!loader) return;
    get_platforms *ask = NULL;
    get_devices *ask_devices = NULL;
    unsigned n = 0, n_devices;
    *(void **)&ask = dlsym(loader, "clGetPlatformIDs");
    *(void **)&ask_devices = dlsym(loader, "clGetDeviceIDs");
    if (!ask || !ask_devices || ask(MOST, platforms, &n) != 0) return;
    for (unsigned i = 0; i < n && i < MOST; i++)
        ask_devices(platforms[i], 0xffffffff, 0, NULL, &n_devices);
}

static void note_handlers(struct sigaction *handlers)
{
    for (int i = 1; i < MOST_SIGNALS; i++) sigaction(i, NULL, &handlers[i]);
}

static char *note_environment(void)
{
    size_t size = 1;
    for (char **each = environ; *each; each++) size += strlen(*each) + 1;
    char *all = calloc(size, 1);
    for (char **each = environ; *each; each++) strcat(strcat(all, *each), "\n");
    return all;
}

static void check_all(const char *name)
{
    static struct sigaction before[MOST_SIGNALS], after[MOST_SIGNALS];
    wake_drivers();
    char *environment = note_environment();
    ditcl *c = ditcl_create();
    ditcl_model *model = NULL;
    ditcl_device *device = NULL;
    note_handlers(before);
    expect(!ditcl_model_open(c, &model, name, NULL), ditcl_error(c));
    expect(!ditcl_device_open(c, &device, NULL), ditcl_error(c));
    if (model && device) {
        check_structs(c, model, device);
        check_cancel(c, model, device);
        check_pictures(c, model, device);
        check_errors(c, model, device);
        check_threads(name);
    }
    ditcl_device_close(device);
    ditcl_model_close(model);
    ditcl_destroy(c);
    note_handlers(after);
    for (int i = 1; i < MOST_SIGNALS; i++)
        if (before[i].sa_handler != after[i].sa_handler) {
            printf("broken: the handler of signal %d changed\n", i);
            broken++;
        }
    char *now = note_environment();
    expect(!strcmp(environment, now), "the environment stays as it is");
    free(environment);
    free(now);
}

int main(int argc, char **argv)
{
    int n = argc == 4 ? atoi(argv[2]) : 0;
    if (argc == 4 && !strcmp(argv[1], "loop"))
        while (n-- > 0) open_and_close(argv[3]);
    else if (argc == 4 && !strcmp(argv[1], "runs"))
        while (n-- > 0) run_once(argv[3]);
    else if (argc == 3 && !strcmp(argv[1], "grow"))
        check_growth(argv[2]);
    else if (argc == 3 && !strcmp(argv[1], "all"))
        check_all(argv[2]);
    else
        return 2;
    return broken > 0;
}
