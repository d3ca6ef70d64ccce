/* Emulates AMX tile instructions on x86-64 processors without AMX, so that the kernels for AMX
 * tiles are tested everywhere. A shared object for LD_PRELOAD.
 *
 * On such a processor the instructions raise SIGILL. The signal handler decodes each, executes it
 * on tiles in memory (each thread has its own), and continues behind it. The emulator also grants
 * the permission for tiles that programs request from the kernel. An unknown instruction, or one
 * that a processor with tiles would refuse, ends the process by SIGILL. If the processor has tiles
 * and the system grants them, the emulator does nothing: LDTILECFG would not trap, so the handler's
 * tiles would stay unconfigured. Source: Intel 64 and IA-32 Architectures Software Developer's
 * Manual, volume 1 chapter 18 and the pages of the instructions in volume 2. Needs AVX2 and FMA. */
#include <dlfcn.h>
#include <errno.h>
#include <immintrin.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64, CONFIG_BYTES = 64, COLUMNS_AT = 16, ROWS_AT = 48 };

typedef struct {
    bool configured;
    uint8_t config[CONFIG_BYTES];
    int rows[TILES], bytes[TILES]; /* bytes: of a tile's row */
    uint32_t tile[TILES][ROWS][ROW_BYTES / 4];
} tile_state;

/* initial-exec, because a signal handler may not allocate */
static __attribute__((tls_model("initial-exec"))) _Thread_local tile_state state;

/* ---- decoding ---- */

typedef struct {
    int length, opcode, prefix; /* VEX.pp: 0: none, 1: 66h, 2: F3h, 3: F2h */
    int reg, rm, vvvv;
    bool memory, index_given; /* has an address; its SIB byte names an index */
    bool sib;
    uintptr_t address; /* without the index */
    intptr_t stride;   /* index << scale */
} instruction;

static uintptr_t general(const ucontext_t *u, int n)
{
    static const int at[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                               REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                               REG_R12, REG_R13, REG_R14, REG_R15};
    return (uintptr_t)u->uc_mcontext.gregs[at[n]];
}

static int32_t displacement(const uint8_t *at, int bytes)
{
    int32_t wide = 0;
    if (bytes == 1) return (int8_t)*at;
    if (bytes == 4) memcpy(&wide, at, sizeof wide);
    return wide;
}

/* Decodes the address after ModRM at code[5]. high: bit 3 of base and of index, from VEX. */
static void decode_address(instruction *i, const ucontext_t *u, const uint8_t *code, int high_base,
                           int high_index)
{
    int mod = code[4] >> 6, rm = code[4] & 7, at = 5, bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    bool none = false; /* no base register */
    int base = rm | high_base;
    i->memory = true;
    i->sib = rm == 4;
    if (i->sib) {
        int index = (code[at] >> 3 & 7) | high_index;
        base = (code[at] & 7) | high_base;
        none = mod == 0 && (code[at] & 7) == 5;
        if (index != 4) {
            i->index_given = true;
            i->stride = (intptr_t)(general(u, index) << (code[at] >> 6));
        }
        at++;
    } else if (mod == 0 && rm == 5) { /* relative to the next instruction */
        none = true;
        i->address = (uintptr_t)code + 9;
    }
    if (none)
        bytes = 4;
    else
        i->address = general(u, base);
    i->address += (uintptr_t)(intptr_t)displacement(code + at, bytes);
    i->length = at + bytes;
}

/* True only for VEX.128.0F38.W0 instructions whose tile operands are tmm0 to tmm7. */
static bool decode(instruction *i, const ucontext_t *u, const uint8_t *code)
{
    *i = (instruction){.length = 5};
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x84)) return false;
    int r = code[1] & 0x80 ? 0 : 8, x = code[1] & 0x40 ? 0 : 8, b = code[1] & 0x20 ? 0 : 8;
    i->opcode = code[3];
    i->prefix = code[2] & 3;
    i->vvvv = ~(code[2] >> 3) & 15;
    i->reg = (code[4] >> 3 & 7) | r;
    i->rm = (code[4] & 7) | b;
    if (i->opcode != 0x49 && i->opcode != 0x4b && i->opcode != 0x5c) return false;
    if (code[4] >> 6 != 3) decode_address(i, u, code, b, x);
    return i->reg < TILES && (i->memory || i->rm < TILES);
}

/* ---- the instructions; they return false if a processor would refuse ---- */

static void release(void)
{
    memset(&state, 0, sizeof state);
}

static bool load_config(const uint8_t *from)
{
    tile_state *s = &state;
    uint8_t config[CONFIG_BYTES];
    memcpy(config, from, sizeof config);
    release();
    if (config[0] == 0) return true;
    if (config[0] != 1 || config[1] != 0)
        return false; /* a restart within a tile is not emulated */
    for (int i = 2; i < CONFIG_BYTES; i++) {
        bool columns = i >= COLUMNS_AT && i < COLUMNS_AT + 2 * TILES;
        bool rows = i >= ROWS_AT && i < ROWS_AT + TILES;
        if (!columns && !rows && config[i]) return false;
    }
    for (int t = 0; t < TILES; t++) {
        s->bytes[t] = config[COLUMNS_AT + 2 * t] | config[COLUMNS_AT + 2 * t + 1] << 8;
        s->rows[t] = config[ROWS_AT + t];
        if (s->bytes[t] > ROW_BYTES || s->rows[t] > ROWS || !s->bytes[t] != !s->rows[t])
            return false;
    }
    memcpy(s->config, config, sizeof config);
    s->configured = true;
    return true;
}

static bool usable(int tile)
{
    return state.configured && state.rows[tile] > 0;
}

static bool load_tile(int tile, uintptr_t from, intptr_t stride)
{
    tile_state *s = &state;
    if (!usable(tile)) return false;
    memset(s->tile[tile], 0, sizeof s->tile[tile]);
    for (int r = 0; r < s->rows[tile]; r++, from += (uintptr_t)stride)
        memcpy(s->tile[tile][r], (const void *)from, (size_t)s->bytes[tile]);
    return true;
}

static bool store_tile(int tile, uintptr_t to, intptr_t stride)
{
    const tile_state *s = &state;
    if (!usable(tile)) return false;
    for (int r = 0; r < s->rows[tile]; r++, to += (uintptr_t)stride)
        memcpy((void *)to, s->tile[tile][r], (size_t)s->bytes[tile]);
    return true;
}

/* Half a row: c[8] += products of the pairs of a and b. Even and odd products have separate sums.
 */
__attribute__((target("avx2,fma"))) static void
multiply_row(uint32_t *c, const uint32_t *a, uint32_t (*b)[ROW_BYTES / 4], int column, int pairs)
{
    const __m256i high = _mm256_set1_epi32((int)0xffff0000u);
    __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps(), sum;
    for (int k = 0; k < pairs; k++) {
        __m256i x = _mm256_set1_epi32((int)a[k]);
        __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)&b[k][column]);
        even = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
                               _mm256_castsi256_ps(_mm256_slli_epi32(y, 16)), even);
        odd = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(x, high)),
                              _mm256_castsi256_ps(_mm256_and_si256(y, high)), odd);
    }
    sum = _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)(c + column)));
    sum = _mm256_add_ps(sum, _mm256_add_ps(even, odd));
    _mm256_storeu_si256((__m256i *)(void *)(c + column), _mm256_castps_si256(sum));
}

static __attribute__((noinline)) void multiply_rows(int c, int a, int b)
{
    tile_state *s = &state;
    for (int m = 0; m < ROWS; m++) {
        uint32_t row[ROW_BYTES / 4] = {0};
        if (m < s->rows[c]) {
            memcpy(row, s->tile[c][m], (size_t)s->bytes[c]);
            for (int column = 0; column < ROW_BYTES / 4; column += 8)
                multiply_row(row, s->tile[a][m], s->tile[b], column, s->bytes[a] / 4);
            memset((char *)row + s->bytes[c], 0, (size_t)(ROW_BYTES - s->bytes[c]));
        }
        memcpy(s->tile[c][m], row, sizeof row);
    }
}

static bool multiply(int c, int a, int b)
{
    const tile_state *s = &state;
    if (c == a || a == b || c == b || !usable(c) || !usable(a) || !usable(b)) return false;
    if (s->rows[c] != s->rows[a] || s->bytes[c] != s->bytes[b] || s->bytes[a] / 4 != s->rows[b] ||
        s->bytes[a] % 4 || s->bytes[c] % 4)
        return false;
    /* TDPBF16PS ignores MXCSR: denormals are zeros, and it rounds to nearest even */
    unsigned before = _mm_getcsr();
    _mm_setcsr(0x1f80 | 0x8040);
    multiply_rows(c, a, b);
    _mm_setcsr(before);
    return true;
}

/* Opcode 49: LDTILECFG, STTILECFG, TILERELEASE and TILEZERO. */
static bool manage(const instruction *i)
{
    if (i->vvvv) return false;
    if (i->memory && i->reg == 0 && i->prefix == 0) return load_config((const void *)i->address);
    if (i->memory && i->reg == 0 && i->prefix == 1) {
        memcpy((void *)i->address, state.config, CONFIG_BYTES);
        return true;
    }
    if (!i->memory && i->reg == 0 && i->rm == 0 && i->prefix == 0) {
        release();
        return true;
    }
    if (i->memory || i->rm != 0 || i->prefix != 3 || !usable(i->reg)) return false;
    memset(state.tile[i->reg], 0, sizeof state.tile[i->reg]);
    return true;
}

static bool execute(const instruction *i)
{
    if (i->opcode == 0x49) return manage(i);
    if (i->opcode == 0x5c)
        return !i->memory && i->prefix == 2 && i->vvvv < TILES && multiply(i->reg, i->rm, i->vvvv);
    if (!i->memory || !i->sib || i->vvvv || i->prefix == 0) return false;
    return i->prefix == 2 ? store_tile(i->reg, i->address, i->stride)
                          : load_tile(i->reg, i->address, i->stride);
}

/* ---- the signal handler ---- */

#define EXPORT __attribute__((visibility("default")))

typedef int sigaction_function(int, const struct sigaction *, struct sigaction *);

static sigaction_function
    *real_sigaction; /* set by the first call, which may come before install() */
static bool emulating;

static sigaction_function *next_sigaction(void)
{
    void *found;
    if (!real_sigaction) {
        found = dlsym(RTLD_NEXT, "sigaction");
        memcpy(&real_sigaction, &found, sizeof found);
    }
    return real_sigaction;
}

static void on_illegal(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    const uint8_t *code = (const uint8_t *)u->uc_mcontext.gregs[REG_RIP];
    instruction i;
    const struct sigaction fatal = {.sa_handler = SIG_DFL};
    (void)info;
    if (decode(&i, u, code) && execute(&i)) {
        u->uc_mcontext.gregs[REG_RIP] += i.length;
        return;
    }
    real_sigaction(signal_number, &fatal,
                   NULL); /* the instruction raises SIGILL again, which now ends the process */
}

/* Replaces libc's sigaction: libraries of compilers would install crash handlers over this one. */
EXPORT int sigaction(int number, const struct sigaction *new_action, struct sigaction *old_action)
{
    if (number != SIGILL || !new_action || !emulating)
        return next_sigaction()(number, new_action, old_action);
    if (old_action) *old_action = (struct sigaction){.sa_handler = SIG_DFL};
    return 0;
}

static long call_kernel(long number, const long a[6])
{
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

/* Replaces libc's syscall: arch_prctl(ARCH_REQ_XCOMP_PERM, tile data) succeeds. */
EXPORT long syscall(long number, ...)
{
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
    va_end(args);
    if (emulating && number == SYS_arch_prctl && a[0] == REQUEST_PERMISSION && a[1] == TILE_DATA)
        return 0;
    return call_kernel(number, a);
}

__attribute__((constructor)) static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};
    const long permission[6] = {REQUEST_PERMISSION, TILE_DATA};
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    if (__builtin_cpu_supports("amx-bf16") && call_kernel(SYS_arch_prctl, permission) == 0) return;
    emulating = true;
    sigemptyset(&action.sa_mask);
    next_sigaction()(SIGILL, &action, NULL);
}
