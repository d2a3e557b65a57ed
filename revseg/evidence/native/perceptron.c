/* What a perceptron of two hidden layers says of pixels, and how it learns: all layers of a tile of pixels at a time, which stay
 * in a core's nearest cache.
 *
 *     a_1 = (W_1 x + b_1)+,     a_2 = (W_2 a_1 + b_2)+,     z = W_3 a_2 + b_3
 *     odds_c = max(z_c - max_c z, -clip)
 *
 * With p = softmax(z), y the class, and the mean of -log p_y over a batch of B pixels as loss, its gradients are
 *
 *     e_3 = (p - 1_y) / B,      e_2 = [a_2 > 0] W_3^T e_3,      e_1 = [a_1 > 0] W_2^T e_2
 *     dW_l = e_l a_(l-1)^T,     db_l = e_l,      summed over the pixels,      a_0 = x
 *
 * Each sum is made term by term in the same order, however the pixels lie in tiles: the same values have the same bits.
 * Parameters lie one after the other: W_1, b_1, W_2, b_2, W_3, b_3, in rows of an output each.
 */
#include "turn.h"
#include <math.h>
#include <string.h>

#ifdef __AVX512F__
enum { DOWN = 8 }; /* rows of a product whose sums stay in registers, each of ACROSS vectors */
#else
enum { DOWN = 4 };
#endif
enum { ACROSS = 3, PIXELS = ACROSS * LANES }; /* pixels of a tile */

/* A product: c(m, n) = sum_k a(m, k) b(k, n), n without strides. */
struct product {
    const float *a, *b;
    float *c;
    long row, next; /* of a, from one to the next m, and k */
    long b_row, c_row;
    long rows, depth;
    const float *bias; /* where sums begin, for each m; none: with what is in c */
    const float *gate; /* as c lies; where it is not above 0, sums become 0; none: nowhere */
    int positive;      /* sums below 0 become 0 */
};

static inline __attribute__((always_inline)) void block(const struct product *p, long m, long n, int rows, int vectors)
{
    const float *a = p->a + m * p->row, *b = p->b + n;
    float *c = p->c + m * p->c_row + n;
    vec sums[DOWN][ACROSS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            if (p->bias)
                sums[r][v] = p->bias[m + r] - (vec){0};
            else
                memcpy(&sums[r][v], c + r * p->c_row + v * LANES, sizeof(vec));
        }
    for (long k = 0; k < p->depth; k++) {
        vec x[ACROSS];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) memcpy(x + v, b + k * p->b_row + v * LANES, sizeof(vec));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vec weight = a[r * p->row + k * p->next] - (vec){0};
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++) sums[r][v] += weight * x[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            vec sum = sums[r][v], gate;
            if (p->positive) sum = BETWEEN(sum, 0, INFINITY);
            if (p->gate) {
                memcpy(&gate, p->gate + (m + r) * p->c_row + n + v * LANES, sizeof(vec));
                sum = (vec)((vint)sum & (gate > 0));
            }
            memcpy(c + r * p->c_row + v * LANES, &sum, sizeof(vec));
        }
}

#define ROWS(COUNT, VECTORS)                                                                                                   \
    for (; m + COUNT <= p->rows; m += COUNT) block(p, m, n, COUNT, VECTORS);
#define COLUMNS(VECTORS)                                                                                                       \
    for (; n + VECTORS * LANES <= columns; n += VECTORS * LANES) {                                                             \
        long m = 0;                                                                                                            \
        ROWS(DOWN, VECTORS) ROWS(4, VECTORS) ROWS(2, VECTORS) ROWS(1, VECTORS)                                                 \
    }

/* columns: of c, whole vectors. */
static void multiply(const struct product *p, long columns)
{
    long n = 0;
    COLUMNS(3) COLUMNS(2) COLUMNS(1)
}

static void multiply_tile(const struct product *p)
{
    const long columns = PIXELS;
    long n = 0;
    COLUMNS(3)
}

struct sizes {
    long inputs, hidden, classes;
};

struct layers {
    const float *first, *first_bias, *second, *second_bias, *last, *last_bias;
};

static struct layers layers_of(const float *parameters, const struct sizes *s)
{
    struct layers found;
    found.first = parameters;
    found.first_bias = found.first + s->hidden * s->inputs;
    found.second = found.first_bias + s->hidden;
    found.second_bias = found.second + s->hidden * s->hidden;
    found.last = found.second_bias + s->hidden;
    found.last_bias = found.last + s->classes * s->hidden;
    return found;
}

/* What the layers say of a tile, rows of PIXELS numbers each. */
struct tile {
    float *seen, *first, *second, *said;
};

static float *aligned(float *scratch) { return (float *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63); }

static struct tile tile_of(float *scratch, const struct sizes *s)
{
    struct tile found;
    found.seen = aligned(scratch);
    found.first = found.seen + s->inputs * PIXELS;
    found.second = found.first + s->hidden * PIXELS;
    found.said = found.second + s->hidden * PIXELS;
    return found;
}

static void say(const struct layers *w, const struct tile *t, const struct sizes *s)
{
    const struct product first = {w->first, t->seen, t->first, s->inputs, 1, PIXELS, PIXELS, s->hidden, s->inputs,
                                  w->first_bias, NULL, 1};
    const struct product second = {w->second, t->first, t->second, s->hidden, 1, PIXELS, PIXELS, s->hidden, s->hidden,
                                   w->second_bias, NULL, 1};
    const struct product last = {w->last, t->second, t->said, s->hidden, 1, PIXELS, PIXELS, s->classes, s->hidden,
                                 w->last_bias, NULL, 0};
    multiply_tile(&first);
    multiply_tile(&second);
    multiply_tile(&last);
}

/* The largest of each pixel's numbers. */
static inline void largest(const float *said, long classes, float *restrict found)
{
    for (long i = 0; i < PIXELS; i++) found[i] = said[i];
    for (long c = 1; c < classes; c++)
        for (long i = 0; i < PIXELS; i++) found[i] = said[c * PIXELS + i] > found[i] ? said[c * PIXELS + i] : found[i];
}

/* values: (n, inputs), rows `stride` apart; odds: (classes, n), of which this is a share; add: to what is there.
 * scratch: (inputs + 2 hidden + classes) PIXELS numbers and 16. */
void perceptron_odds(
    const float *values, long stride, long n, const float *parameters, long inputs, long hidden, long classes, float *odds,
    float clip, float share, long add, float *scratch)
{
    const struct sizes s = {inputs, hidden, classes};
    const struct layers w = layers_of(parameters, &s);
    const struct tile t = tile_of(scratch, &s);
    memset(t.seen, 0, inputs * PIXELS * sizeof(float)); /* of the last tile's pixels that there are none of */
    for (long from = 0; from < n; from += PIXELS) {
        const long count = n - from < PIXELS ? n - from : PIXELS;
        float most[PIXELS], found[PIXELS];
        turn(values + from * stride, stride, t.seen, PIXELS, count, inputs);
        say(&w, &t, &s);
        largest(t.said, classes, most);
        for (long c = 0; c < classes; c++) {
            float *out = odds + c * n + from;
            for (long i = 0; i < PIXELS; i++) {
                const float less = t.said[c * PIXELS + i] - most[i];
                found[i] = share * (less > -clip ? less : -clip);
            }
            if (add)
                for (long i = 0; i < count; i++) out[i] += found[i];
            else
                memcpy(out, found, count * sizeof(float));
        }
    }
}

/* ------------------------------------------------------------------ learning */

static inline long whole(long numbers) { return (numbers + LANES - 1) / LANES * LANES; }

/* Adds sums over a tile's pixels, e of each of some rows, and e times a of each of some columns. */
static void add_products(
    const float *e, const float *a, long rows, long columns, float *restrict products, float *restrict sums)
{
    const struct product p = {e, a, products, PIXELS, 1, whole(columns), whole(columns), rows, PIXELS, NULL, NULL, 0};
    multiply(&p, whole(columns));
    for (long r = 0; r < rows; r++)
        for (long i = 0; i < PIXELS; i++) sums[r] += e[r * PIXELS + i];
}

/* e_3 of a tile, in place of what is said. */
static void error_of(float *said, const int64_t *known, long count, long classes, float share)
{
    float most[PIXELS], total[PIXELS] = {0};
    largest(said, classes, most);
    for (long c = 0; c < classes; c++)
        for (long i = 0; i < PIXELS; i++) total[i] += said[c * PIXELS + i] = expf(said[c * PIXELS + i] - most[i]);
    for (long c = 0; c < classes; c++)
        for (long i = 0; i < PIXELS; i++) {
            const float p = said[c * PIXELS + i] / total[i];
            said[c * PIXELS + i] = i < count ? share * (p - (known[i] == c)) : 0;
        }
}

/* Gradients of the mean over some rows of values (n, inputs), whose classes are known, as parameters lie.
 *
 * scratch: (2 inputs + 6 hidden + classes) PIXELS numbers, those of whole rows of gradients, and 16 (perceptron.py). */
void perceptron_gradients(
    const float *values, const int64_t *known, const int64_t *rows, long count, const float *parameters, long inputs,
    long hidden, long classes, float *gradients, float *scratch)
{
    const struct sizes s = {inputs, hidden, classes};
    const struct layers w = layers_of(parameters, &s);
    const struct tile t = tile_of(scratch, &s);
    const long wide = whole(inputs), deep = whole(hidden);
    float *seen = aligned(t.said + classes * PIXELS), *first = seen + PIXELS * wide, *second = first + PIXELS * deep;
    float *first_error = second + PIXELS * deep, *second_error = first_error + hidden * PIXELS;
    float *sums[3] = {second_error + hidden * PIXELS}, *none;
    sums[1] = sums[0] + hidden * (wide + 1);
    sums[2] = sums[1] + hidden * (deep + 1);
    none = sums[2] + classes * (deep + 1);
    memset(seen, 0, (char *)(none + hidden) - (char *)seen);
    memset(t.seen, 0, inputs * PIXELS * sizeof(float));
    for (long from = 0; from < count; from += PIXELS) {
        const long n = count - from < PIXELS ? count - from : PIXELS;
        int64_t own[PIXELS];
        for (long i = 0; i < n; i++) {
            memcpy(seen + i * wide, values + rows[from + i] * inputs, inputs * sizeof(float));
            own[i] = known[rows[from + i]];
        }
        turn(seen, wide, t.seen, PIXELS, n, inputs);
        say(&w, &t, &s);
        error_of(t.said, own, n, classes, 1.0f / count);
        turn(t.first, PIXELS, first, deep, hidden, PIXELS);
        turn(t.second, PIXELS, second, deep, hidden, PIXELS);
        const struct product second_back = {w.last, t.said, second_error, 1, hidden, PIXELS, PIXELS, hidden, classes, none,
                                            t.second, 0};
        const struct product first_back = {w.second, second_error, first_error, 1, hidden, PIXELS, PIXELS, hidden, hidden, none,
                                           t.first, 0};
        multiply_tile(&second_back);
        multiply_tile(&first_back);
        add_products(first_error, seen, hidden, inputs, sums[0], sums[0] + hidden * wide);
        add_products(second_error, first, hidden, hidden, sums[1], sums[1] + hidden * deep);
        add_products(t.said, second, classes, hidden, sums[2], sums[2] + classes * deep);
    }
    for (int layer = 0; layer < 3; layer++) {
        const long outputs = layer < 2 ? hidden : classes, columns = layer ? hidden : inputs, row = whole(columns);
        for (long r = 0; r < outputs; r++, gradients += columns)
            memcpy(gradients, sums[layer] + r * row, columns * sizeof(float));
        memcpy(gradients, sums[layer] + outputs * row, outputs * sizeof(float));
        gradients += outputs;
    }
}
