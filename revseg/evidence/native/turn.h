/* Rows become columns. */
#pragma once
#include "vector.h"

/* to[c][r] = from[r][c]. Four by four at a time, the last ones perhaps twice, which changes nothing. */
static inline void turn(const float *from, long from_row, float *restrict to, long to_row, long rows, long columns)
{
    if (rows < 4 || columns < 4) {
        for (long r = 0; r < rows; r++)
            for (long c = 0; c < columns; c++) to[c * to_row + r] = from[r * from_row + c];
        return;
    }
    for (long row = 0; row < rows; row += 4) {
        const long r = row + 4 > rows ? rows - 4 : row;
        for (long column = 0; column < columns; column += 4) {
            const long c = column + 4 > columns ? columns - 4 : column;
            __m128 x[4];
            for (int i = 0; i < 4; i++) x[i] = _mm_loadu_ps(from + (r + i) * from_row + c);
            _MM_TRANSPOSE4_PS(x[0], x[1], x[2], x[3]);
            for (int i = 0; i < 4; i++) _mm_storeu_ps(to + (c + i) * to_row + r, x[i]);
        }
    }
}
