/* The kick of a leapfrog step, and copies into another type. The equations stand in revseg/reversible/grid.py. */
#include "convert.h"

enum { CHUNK = 2048 };

/* partner <- 2 curr - partner - round(force), of `parts` runs of `count` elements, `stride` apart in both fields. Returns the
 * largest magnitude, nan if there is any. */
double kick_exact(
    int16_t *partner, const int16_t *curr, const char *force, int kind, long parts, long count, long stride, int threads)
{
    const long chunks = (count + CHUNK - 1) / CHUNK, bytes = bytes_of(kind);
    float reached = 0;
    long unknown = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(max : reached) reduction(+ : unknown) \
    if (parts * count > ALONE)
    for (long job = 0; job < parts * chunks; job++) {
        const long part = job / chunks, first = job % chunks * CHUNK;
        const long n = count - first < CHUNK ? count - first : CHUNK;
        int16_t *p = partner + part * stride + first;
        const int16_t *c = curr + part * stride + first;
        float f[CHUNK], most = 0;
        int32_t nans = 0;
        widen(force + bytes * (part * count + first), f, n, kind);
        for (long i = 0; i < n; i++) {
            float x = 2 * (float)c[i] - (float)p[i] - rintf(f[i]), size = fabsf(x);
            p[i] = (int16_t)(int32_t)x;
            most = size > most ? size : most;
            nans += x != x;
        }
        reached = most > reached ? most : reached;
        unknown += nans;
    }
    return unknown ? NAN : reached;
}

/* velocity <- velocity - sign force */
void kick_floating(
    char *velocity, int kind, const char *force, int force_kind, float sign, long parts, long count, long stride, int threads)
{
    const long chunks = (count + CHUNK - 1) / CHUNK, bytes = bytes_of(kind), force_bytes = bytes_of(force_kind);
#pragma omp parallel for num_threads(threads) schedule(static) if (parts * count > ALONE)
    for (long job = 0; job < parts * chunks; job++) {
        const long part = job / chunks, first = job % chunks * CHUNK;
        const long n = count - first < CHUNK ? count - first : CHUNK;
        char *place = velocity + bytes * (part * stride + first);
        float v[CHUNK], f[CHUNK];
        widen(place, v, n, kind);
        widen(force + force_bytes * (part * count + first), f, n, force_kind);
        for (long i = 0; i < n; i++) v[i] -= sign * f[i];
        narrow(v, place, n, kind);
    }
}

/* Copies `parts` runs of `count` elements, so far apart there and here, into another type. */
void convert(
    char *to, int kind, long to_stride, const char *from, int from_kind, long from_stride, long parts, long count, int threads)
{
    const long chunks = (count + CHUNK - 1) / CHUNK, bytes = bytes_of(kind), from_bytes = bytes_of(from_kind);
#pragma omp parallel for num_threads(threads) schedule(static) if (parts * count > ALONE)
    for (long job = 0; job < parts * chunks; job++) {
        const long part = job / chunks, first = job % chunks * CHUNK;
        const long n = count - first < CHUNK ? count - first : CHUNK;
        float v[CHUNK];
        widen(from + from_bytes * (part * from_stride + first), v, n, from_kind);
        narrow(v, to + bytes * (part * to_stride + first), n, kind);
    }
}
