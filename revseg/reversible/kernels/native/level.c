/* A change of level: the orthonormal Haar transform of frames. The equations stand in revseg/reversible/haar.py. */
#include "convert.h"

#define SHEAR 0.41421356237309503f    /* tan(pi/8) */
#define ROTATION 0.70710678118654757f /* sin(pi/4) */
#define TILE 256                      /* coarse elements of each phase at a time: all phases stay in a core's nearest cache */

/* ------------------------------------------------------------------ 45 degree rotations of pairs of phases */

#define ROTATE(a, b)                                                                                                           \
    do {                                                                                                                       \
        if (exact) {                                                                                                           \
            a += NEAREST(b * SHEAR);                                                                                             \
            b -= NEAREST(a * ROTATION);                                                                                          \
            a += NEAREST(b * SHEAR);                                                                                             \
        } else {                                                                                                               \
            vec sum = (a + b) * ROTATION;                                                                                    \
            b = (b - a) * ROTATION;                                                                                            \
            a = sum;                                                                                                           \
        }                                                                                                                      \
    } while (0)
#define ROTATE_BACK(a, b)                                                                                                      \
    do {                                                                                                                       \
        if (exact) {                                                                                                           \
            a -= NEAREST(b * SHEAR);                                                                                             \
            b += NEAREST(a * ROTATION);                                                                                          \
            a -= NEAREST(b * SHEAR);                                                                                             \
        } else {                                                                                                               \
            vec difference = (a - b) * ROTATION;                                                                             \
            b = (a + b) * ROTATION;                                                                                            \
            a = difference;                                                                                                    \
        }                                                                                                                      \
    } while (0)

/* All phases of some elements; along T, H, W, or back along W, H, T. phases: 2, 4 or 8, of as many axes. */
static inline __attribute__((always_inline)) void rotate(vec *x, int phases, int exact, int back)
{
    if (!back) {
#pragma GCC unroll 3
        for (int step = phases / 2; step; step /= 2)
#pragma GCC unroll 8
            for (int p = 0; p < phases; p++)
                if (!(p & step)) ROTATE(x[p], x[p + step]);
    } else {
#pragma GCC unroll 3
        for (int step = 1; step < phases; step *= 2)
#pragma GCC unroll 8
            for (int p = 0; p < phases; p++)
                if (!(p & step)) ROTATE_BACK(x[p], x[p + step]);
    }
}

static inline __attribute__((always_inline)) void rotate_rows(float (*restrict v)[TILE], long n, int phases, int exact, int back)
{
    for (long i = 0; i < n; i += LANES) { /* a few too many, perhaps: there is room, and nobody reads them */
        vec x[8];
#pragma GCC unroll 8
        for (int p = 0; p < phases; p++) memcpy(x + p, v[p] + i, sizeof(vec));
        rotate(x, phases, exact, back);
#pragma GCC unroll 8
        for (int p = 0; p < phases; p++) memcpy(v[p] + i, x + p, sizeof(vec));
    }
}

#define ROTATED(PHASES)                                                                                                        \
    case PHASES:                                                                                                               \
        if (exact)                                                                                                             \
            back ? rotate_rows(v, n, PHASES, 1, 1) : rotate_rows(v, n, PHASES, 1, 0);                                          \
        else                                                                                                                   \
            back ? rotate_rows(v, n, PHASES, 0, 1) : rotate_rows(v, n, PHASES, 0, 0);                                          \
        break;

static void rotate_all(float (*restrict v)[TILE], long n, int phases, int exact, int back)
{
    switch (phases) {
        ROTATED(2)
        ROTATED(4)
        ROTATED(8)
    }
}

/* ------------------------------------------------------------------ elements of a row, of one phase, one after the other */

/* Runs of so many bytes, from every stride-th to every step-th; short ones in an instruction. */
static inline void move(char *restrict to, long step, const char *restrict from, long stride, long count, long run)
{
#define RUNS(BYTES)                                                                                                            \
    case BYTES:                                                                                                                \
        for (long w = 0; w < count; w++) memcpy(to + w * step, from + w * stride, BYTES);                                      \
        break;
    switch (run) {
        RUNS(2) RUNS(4) RUNS(8) RUNS(16) RUNS(32) RUNS(64)
    default:
        for (long w = 0; w < count; w++) memcpy(to + w * step, from + w * stride, run);
    }
}

/* ------------------------------------------------------------------ a row of one channel of 16 bits, all axes halved */

/* Words of 16 bits in the lower halves of integers, as numbers. */
static inline __attribute__((always_inline)) vec opened(vint words, enum kind kind)
{
    vint bits = words << 16;
    if (kind == INT16) return (vec)__builtin_convertvector(bits >> 16, vec);
    if (kind == BFLOAT16) return (vec)bits;
#ifdef __AVX512F__
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)words));
#else
    __m256i low = (__m256i)(words & 0xffff);
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
#endif
}

/* And back, the upper halves 0. */
static inline __attribute__((always_inline)) vint closed(vec x, enum kind kind)
{
    if (kind == FLOAT16) {
#ifdef __AVX512F__
        return (vint)_mm512_cvtepu16_epi32(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#else
        return (vint)_mm256_cvtepu16_epi32(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#endif
    }
    if (kind == INT16) return __builtin_convertvector(BETWEEN(x, -LARGEST, LARGEST), vint) & 0xffff;
    vuint bits = (vuint)x, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    vint unknown = x != x;
    return (unknown & 0x7fc0) | (~unknown & (vint)rounded);
}

/* 4 x 4 words of 32 bits: rows become columns. */
static inline void turn(__m128i rows[4])
{
    __m128i first = _mm_unpacklo_epi32(rows[0], rows[1]), second = _mm_unpacklo_epi32(rows[2], rows[3]);
    __m128i third = _mm_unpackhi_epi32(rows[0], rows[1]), fourth = _mm_unpackhi_epi32(rows[2], rows[3]);
    rows[0] = _mm_unpacklo_epi64(first, second), rows[1] = _mm_unpackhi_epi64(first, second);
    rows[2] = _mm_unpacklo_epi64(third, fourth), rows[3] = _mm_unpackhi_epi64(third, fourth);
}

/* Four rows of pairs and the phases of as many pixels, LANES at a time, the last ones perhaps twice, which changes nothing: one
 * memory is read, another written. Returns whether the row is long enough. */
static inline __attribute__((always_inline)) int single_row(
    char *fine, char *coarse, long height, long width, enum kind kind, int exact, int back)
{
    for (long done = 0; done < width && width >= LANES; done += LANES) {
        const long first = done + LANES > width ? width - LANES : done;
        vec x[8];
        int32_t pairs[4][LANES]; /* phases 2 k and 2 k + 1 of each pixel */
        __m128i *pixels = (__m128i *)(coarse + 16 * first);
        vint two[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            if (!back) memcpy(two + k, fine + 4 * (((k >> 1) * 2 * height + (k & 1)) * width + first), sizeof(vint));
        }
        for (int part = 0; part < LANES && back; part += 4) {
            __m128i words[4];
            for (int k = 0; k < 4; k++) words[k] = _mm_loadu_si128(pixels + part + k);
            turn(words);
            for (int k = 0; k < 4; k++) _mm_storeu_si128((__m128i *)(pairs[k] + part), words[k]);
        }
        if (back) memcpy(two, pairs, sizeof(two));
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            x[2 * k] = opened(two[k], kind);
            x[2 * k + 1] = opened((vint)((two[k] >> 16) & 0xffff), kind);
        }
        rotate(x, 8, exact, back);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) two[k] = closed(x[2 * k], kind) | closed(x[2 * k + 1], kind) << 16;
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            if (back) memcpy(fine + 4 * (((k >> 1) * 2 * height + (k & 1)) * width + first), two + k, sizeof(vint));
        }
        if (!back) memcpy(pairs, two, sizeof(two));
        for (int part = 0; part < LANES && !back; part += 4) {
            __m128i words[4];
            for (int k = 0; k < 4; k++) words[k] = _mm_loadu_si128((__m128i *)(pairs[k] + part));
            turn(words);
            for (int k = 0; k < 4; k++) _mm_storeu_si128(pixels + part + k, words[k]);
        }
    }
    return width >= LANES;
}

/* The same, each kind and direction compiled by itself. */
static int single(char *fine, char *coarse, long height, long width, enum kind kind, int back)
{
#define SINGLE(KIND, EXACT)                                                                                                    \
    case KIND:                                                                                                                 \
        return back ? single_row(fine, coarse, height, width, KIND, EXACT, 1)                                                  \
                    : single_row(fine, coarse, height, width, KIND, EXACT, 0);
    switch (kind) {
        SINGLE(INT16, 1) SINGLE(FLOAT16, 0) SINGLE(BFLOAT16, 0)
    default:
        return 0;
    }
}

/* One row of the coarse field, whose pixels have a phase of C elements for each digit of 2^(number of halved axes). fine: the
 * first element of its pixels; sizes are coarse, C is fine. */
static inline void row(
    char *fine, char *coarse, long height, long width, long channels, int dt, int dh, int dw, enum kind kind, int exact, int back)
{
    const long bytes = bytes_of(kind), phases = dt * dh * dw;
    if (channels == 1 && phases == 8 && exact == (kind == INT16) && single(fine, coarse, height, width, kind, back)) return;
    const long run = channels < TILE ? channels : TILE, most = TILE / run, tiles = (width + most - 1) / most;
    float values[8][TILE];
    uint32_t words[TILE];
    for (long tile = 0; tile < tiles * ((channels + run - 1) / run); tile++) {
        const long first = tile % tiles * most, from = tile / tiles * run;
        const long count = width - first < most ? width - first : most;
        const long length = channels - from < run ? channels - from : run, n = count * length;
        for (int way = 0; way < 2; way++) { /* in, and out again */
            const int coarser = way != back; /* whether it is the coarse field's turn */
            for (int p = 0; p < phases; p++) {
                const int i = p / (dh * dw), j = p / dw % dh, k = p % dw;
                char *there = fine + bytes * ((((i * dh * height + j) * width + first) * dw + k) * channels + from);
                char *here = coarse + bytes * ((first * phases + p) * channels + from);
                char *place = coarser ? here : there;
                const long stride = (coarser ? phases : dw) * channels * bytes;
                if (way == 0) {
                    move((char *)words, length * bytes, place, stride, count, length * bytes);
                    widen(words, values[p], n, kind);
                    for (long i = n; i % LANES; i++) values[p][i] = 0; /* a denormal would take a hundred times as long */
                } else {
                    narrow(values[p], words, n, kind);
                    move(place, stride, (char *)words, length * bytes, count, length * bytes);
                }
            }
            if (way == 0) rotate_all(values, n, phases, exact, back);
        }
    }
}

/* Coarsens frames, or refines them (back), from one memory into another; sizes are coarse, channels fine. */
void haar(
    char *fine, char *coarse, long frames, long height, long width, long channels, int dt, int dh, int dw, int kind, int exact,
    int back, int threads)
{
    const long bytes = bytes_of(kind), line = bytes * width * dw * channels;
#pragma omp parallel for num_threads(threads) schedule(static) if (frames * height * line > ALONE)
    for (long r = 0; r < frames * height; r++) {
        char *from = fine + ((r / height * dt) * (dh * height) + r % height * dh) * line;
        row(from, coarse + r * dt * dh * line, height, width, channels, dt, dh, dw, kind, exact, back);
    }
}
