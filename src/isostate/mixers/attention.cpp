// Causal softmax attention, forward and backward, in tiles of queries by keys; ALiBi, a window, shared key-value heads.
//
//   y_i = sum_j p_ij v_j,   p_ij = exp(scale q_i . k_j - slope (i - j) - lse_i),   first_i <= j <= i,  i - j < window
//
// The T queries are the last of S positions. A task is one sequence and key-value head, so that no two write the same
// gradient: results do not depend on how many threads there are.
//
// Products run over registers: MR rows by up to NV vectors of C. Nothing is allocated here. `real` is float, or double
// where DOUBLE is defined. Vectors are those of GCC and Clang. No OpenMP runtime is linked: torch has loaded its own.

#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef DOUBLE
typedef double real;
typedef int64_t whole;
#else
typedef float real;
typedef int32_t whole;
#endif

constexpr int VECTOR_BYTES = 32;
constexpr int VL = VECTOR_BYTES / sizeof(real);
// Rows of C in registers: with three vectors a row, 24 of 32 registers, or 12 of 16.
#if defined(__AVX512VL__) || defined(__aarch64__)
constexpr int MR = 8;
#else
constexpr int MR = 4;
#endif
constexpr int NV = 3;

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef whole ivec __attribute__((vector_size(VECTOR_BYTES)));

static inline vec load(const real* p) { return *(const loose*)p; }
static inline void store(real* p, vec x) { *(loose*)p = x; }
static inline vec all(real x) { return x - vec{}; }
static inline vec choose(ivec mask, vec yes, vec no) { return mask ? yes : no; }

static inline int padded(int n) { return (n + VL - 1) / VL * VL; }

// exp(x) for x <= 0 and not below the smallest normal number's logarithm, under which it is 0; about one unit in the last
// place. 2^n is made in the exponent's bits, the rest is a Taylor polynomial on |r| <= ln(2) / 2.
static inline vec exp_negative(vec x) {
#ifdef DOUBLE
    const real SHIFT = 6755399441055744.0, HIGH = 0.693145751953125, LOW = 1.42860682030941723212e-6, LEAST = -708.0;
    const int MANTISSA = 52, TERMS = 13;
#else
    const real SHIFT = 12582912.0f, HIGH = 0.693359375f, LOW = -2.12194440e-4f, LEAST = -87.0f;
    const int MANTISSA = 23, TERMS = 7;
#endif
    const real LOG2E = 1.44269504088896340736;
    static const real INVERSE_FACTORIAL[] = {1., 1., 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
                                             1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800};
    ivec kept = x >= all(LEAST);
    vec clamped = choose(kept, x, all(0));
    vec shifted = clamped * LOG2E + SHIFT;
    vec n = shifted - SHIFT;
    vec r = clamped - n * HIGH - n * LOW;
    vec sum = all(INVERSE_FACTORIAL[TERMS]);
    for (int i = TERMS - 1; i >= 0; i--) sum = sum * r + INVERSE_FACTORIAL[i];
    ivec power = ((ivec)shifted << MANTISSA) + (ivec)sum;
    return choose(kept, (vec)power, all(0));
}

// C[m x n vectors] (+)= A[m x k] B[k x n vectors]; A by row and column strides, B and C by row strides.
template <int ROWS, int COLUMNS>
static inline void product_tile(int k, const real* A, long ars, long acs, const real* B, long brs, real* C, long crs,
                                bool add) {
    vec sum[ROWS][COLUMNS];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) sum[i][j] = add ? load(C + i * crs + j * VL) : vec{};
    for (int l = 0; l < k; l++) {
        vec b[COLUMNS];
        for (int j = 0; j < COLUMNS; j++) b[j] = load(B + l * brs + j * VL);
        for (int i = 0; i < ROWS; i++) {
            vec a = all(A[i * ars + l * acs]);
            for (int j = 0; j < COLUMNS; j++) sum[i][j] += a * b[j];
        }
    }
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) store(C + i * crs + j * VL, sum[i][j]);
}

template <int COLUMNS>
static inline void product_columns(int m, int k, const real* A, long ars, long acs, const real* B, long brs, real* C,
                                   long crs, bool add) {
    int i = 0;
    for (; i + MR <= m; i += MR) product_tile<MR, COLUMNS>(k, A + i * ars, ars, acs, B, brs, C + i * crs, crs, add);
    for (; i < m; i++) product_tile<1, COLUMNS>(k, A + i * ars, ars, acs, B, brs, C + i * crs, crs, add);
}

// n is padded to whole vectors: B and C have room for them.
static inline void product(int m, int n, int k, const real* A, long ars, long acs, const real* B, long brs, real* C,
                           long crs, bool add) {
    int left = padded(n) / VL, j = 0;
    for (; left >= NV && left != 4; left -= NV, j += NV * VL) product_columns<NV>(m, k, A, ars, acs, B + j, brs, C + j, crs, add);
    for (; left >= 2; left -= 2, j += 2 * VL) product_columns<2>(m, k, A, ars, acs, B + j, brs, C + j, crs, add);
    if (left == 1) product_columns<1>(m, k, A, ars, acs, B + j, brs, C + j, crs, add);
}

constexpr int QUERIES = 32, KEYS = 256;  // of a tile
constexpr int ROW = KEYS + 16;           // apart: not a power of two, which would leave rows few lines of the cache
constexpr int LARGEST = 256;             // elements of a head

struct Strides { long batch, head, position; };

struct Problem {
    int B, H, G, T, S, K, window, threads;
    double scale;
    const real* slopes;    // of H heads, or null
    const int32_t* first;  // (B, T): the first key of each query's document, never less than the one before; or null
    Strides q, k, v, y, dy, dq, dk, dv;
};

// What stands in `scratch`, a thread: keys and values of one head packed, transposed or not, and one tile.
struct Scratch {
    real *kt, *vt, *k, *v, *dk, *dv, *q, *y, *weight, *slope;
};

// Rows of a packed transpose, apart: an odd number of lines of the cache.
static long width(long n) {
    const long LINE = 64 / sizeof(real);
    return (n + VL + LINE - 1) / LINE / 2 * 2 * LINE + LINE;
}

static long room_of(const Problem& p, bool is_backward) {
    long S = width(p.S), K = padded(p.K);
    long packed = p.K * S * (is_backward ? 2 : 1) + S * K * (is_backward ? 3 : 1);
    return packed + QUERIES * (2 * K + 2L * ROW) + 64;
}

static Scratch divide(real* at, const Problem& p, bool is_backward) {
    long S = width(p.S), K = padded(p.K);
    Scratch s{};
    auto take = [&](long n) { real* here = at; at += n; return here; };
    s.kt = take(p.K * S);
    if (is_backward) {
        s.vt = take(p.K * S);
        s.k = take(S * K);
        s.dk = take(S * K);
        s.dv = take(S * K);
    } else {
        s.v = take(S * K);
    }
    s.q = take(QUERIES * K);
    s.y = take(QUERIES * K);
    s.weight = take(QUERIES * (long)ROW);
    s.slope = take(QUERIES * (long)ROW);
    return s;
}

static void pack_rows(const real* x, long stride, int n, int K, real* out) {
    long width = padded(K);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < width; c++) out[i * width + c] = c < K ? x[i * stride + c] : 0;
}

static void pack_columns(const real* x, long stride, int n, int K, long width, real* out) {
    for (int i = 0; i < n; i++)
        for (int c = 0; c < K; c++) out[c * width + i] = x[i * stride + c];
    for (int c = 0; c < K; c++)
        for (long i = n; i < width; i++) out[c * width + i] = 0;
}

struct Range { int first, last; };  // keys [first, last)

static Range seen(const Problem& p, int query0, int query1, int begin) {  // queries [query0, query1), positions of S
    long first = (long)query0 - p.window + 1;
    first = first > begin ? first : begin;
    return {first > 0 ? (int)(first / VL * VL) : 0, query1};
}

static ivec steps() {
    ivec x;
    for (int i = 0; i < VL; i++) x[i] = i;
    return x;
}

// scores of one query against keys [j0, j0 + n) become scale score - slope distance, -inf where unseen
static inline vec biased(const Problem& p, vec score, int i, int j, int begin, real slope, bool edge) {
    ivec distance = ((whole)(i - j)) - steps();
    vec x = score * (real)p.scale - __builtin_convertvector(distance, vec) * slope;
    if (!edge) return x;
    ivec unseen = (distance < 0) | (distance >= (whole)p.window) | (distance > (whole)(i - begin));
    return choose(unseen, all(-INFINITY), x);
}

static inline bool on_edge(const Problem& p, int i0, int i1, int j0, int j1, int begin) {
    return j1 - 1 > i0 || (long)(i1 - 1) - j0 >= p.window || j0 < begin;
}

static inline real largest(vec x) {
    real top = x[0];
    for (int i = 1; i < VL; i++) top = x[i] > top ? x[i] : top;
    return top;
}

static inline real sum_of(vec x) {
    real sum = 0;
    for (int i = 0; i < VL; i++) sum += x[i];
    return sum;
}

// `first`: of this sequence's queries, or null.
static void forward_head(const Problem& p, const Scratch& s, const int32_t* first, const real* q, real* y, real* lse,
                         real slope) {
    long K = padded(p.K), S = width(p.S);
    for (int t0 = 0; t0 < p.T; t0 += QUERIES) {
        int m = p.T - t0 < QUERIES ? p.T - t0 : QUERIES, i0 = p.S - p.T + t0;
        real top[QUERIES], total[QUERIES];
        for (int r = 0; r < m; r++) top[r] = -INFINITY, total[r] = 0;
        memset(s.y, 0, sizeof(real) * m * K);
        Range keys = seen(p, i0, i0 + m, first ? first[t0] : 0);
        int begin = first ? first[t0 + m - 1] : 0;
        for (int j0 = keys.first; j0 < keys.last; j0 += KEYS) {
            int n = keys.last - j0 < KEYS ? keys.last - j0 : KEYS;
            bool edge = on_edge(p, i0, i0 + m, j0, j0 + padded(n), begin);
            product(m, n, p.K, q + t0 * p.q.position, p.q.position, 1, s.kt + j0, S, s.weight, ROW, false);
            for (int r = 0; r < m; r++) {
                real* row = s.weight + r * ROW;
                int own = first ? first[t0 + r] : 0;
                vec high = all(-INFINITY);
                for (int c = 0; c < n; c += VL) {
                    vec x = biased(p, load(row + c), i0 + r, j0 + c, own, slope, edge);
                    store(row + c, x);
                    high = choose(x > high, x, high);
                }
                real now = largest(high);
                if (now > top[r]) {
                    if (total[r] > 0) {
                        real fade = std::exp(top[r] - now);
                        total[r] *= fade;
                        for (int c = 0; c < K; c++) s.y[r * K + c] *= fade;
                    }
                    top[r] = now;
                }
                vec sum = {};
                real reference = top[r] == -INFINITY ? 0 : top[r];
                for (int c = 0; c < n; c += VL) {
                    vec weight = exp_negative(load(row + c) - reference);
                    store(row + c, weight);
                    sum += weight;
                }
                total[r] += sum_of(sum);
            }
            product(m, p.K, n, s.weight, ROW, 1, s.v + j0 * K, K, s.y, K, true);
        }
        for (int r = 0; r < m; r++) {
            real inverse = 1 / total[r];
            for (int c = 0; c < p.K; c++) y[(t0 + r) * p.y.position + c] = s.y[r * K + c] * inverse;
            lse[t0 + r] = top[r] + std::log(total[r]);
        }
    }
}

static void backward_head(const Problem& p, const Scratch& s, const int32_t* first, const real* q, const real* y,
                          const real* lse, const real* dy, real* dq, real slope) {
    long K = padded(p.K), S = width(p.S);
    for (int t0 = 0; t0 < p.T; t0 += QUERIES) {
        int m = p.T - t0 < QUERIES ? p.T - t0 : QUERIES, i0 = p.S - p.T + t0;
        const real *q_tile = q + t0 * p.q.position, *dy_tile = dy + t0 * p.dy.position;
        pack_rows(q_tile, p.q.position, m, p.K, s.q);
        pack_rows(dy_tile, p.dy.position, m, p.K, s.y);
        real delta[QUERIES];
        for (int r = 0; r < m; r++) {
            real sum = 0;
            for (int c = 0; c < p.K; c++) sum += dy_tile[r * p.dy.position + c] * y[(t0 + r) * p.y.position + c];
            delta[r] = sum;
        }
        real dq_tile[QUERIES * LARGEST];
        memset(dq_tile, 0, sizeof(real) * m * K);
        Range keys = seen(p, i0, i0 + m, first ? first[t0] : 0);
        int begin = first ? first[t0 + m - 1] : 0;
        for (int j0 = keys.first; j0 < keys.last; j0 += KEYS) {
            int n = keys.last - j0 < KEYS ? keys.last - j0 : KEYS;
            bool edge = on_edge(p, i0, i0 + m, j0, j0 + padded(n), begin);
            product(m, n, p.K, s.q, K, 1, s.kt + j0, S, s.weight, ROW, false);
            product(m, n, p.K, s.y, K, 1, s.vt + j0, S, s.slope, ROW, false);
            for (int r = 0; r < m; r++) {
                real *weight = s.weight + r * ROW, *change = s.slope + r * ROW;
                int own = first ? first[t0 + r] : 0;
                for (int c = 0; c < n; c += VL) {
                    vec x = biased(p, load(weight + c), i0 + r, j0 + c, own, slope, edge) - lse[t0 + r];
                    vec w = exp_negative(x);
                    store(weight + c, w);
                    store(change + c, w * (load(change + c) - delta[r]) * (real)p.scale);
                }
            }
            product(m, p.K, n, s.slope, ROW, 1, s.k + j0 * K, K, dq_tile, K, true);
            product(n, p.K, m, s.slope, 1, ROW, s.q, K, s.dk + j0 * K, K, true);
            product(n, p.K, m, s.weight, 1, ROW, s.y, K, s.dv + j0 * K, K, true);
        }
        for (int r = 0; r < m; r++)
            for (int c = 0; c < p.K; c++) dq[(t0 + r) * p.dq.position + c] = dq_tile[r * K + c];
    }
}

static long at(const Strides& s, long b, long h) { return b * s.batch + h * s.head; }

static const int32_t* first_of(const Problem& p, long b) { return p.first ? p.first + b * p.T : nullptr; }

// Elements of scratch that one thread needs.
extern "C" long scratch_elements(const Problem* p, int is_backward) { return room_of(*p, is_backward); }

extern "C" void forward(const Problem* p, const real* q, const real* k, const real* v, real* y, real* lse,
                                  real* scratch) {
    long room = room_of(*p, false);
#pragma omp parallel num_threads(p->threads)
    {
#ifdef _OPENMP
        Scratch s = divide(scratch + omp_get_thread_num() * room, *p, false);
#else
        Scratch s = divide(scratch, *p, false);
#endif
#pragma omp for schedule(static)
        for (int task = 0; task < p->B * p->G; task++) {
            int b = task / p->G, g = task % p->G, group = p->H / p->G;
            pack_columns(k + at(p->k, b, g), p->k.position, p->S, p->K, width(p->S), s.kt);
            pack_rows(v + at(p->v, b, g), p->v.position, p->S, p->K, s.v);
            for (int h = g * group; h < (g + 1) * group; h++)
                forward_head(*p, s, first_of(*p, b), q + at(p->q, b, h), y + at(p->y, b, h), lse + ((long)b * p->H + h) * p->T,
                             p->slopes ? p->slopes[h] : 0);
        }
    }
}

extern "C" void backward(const Problem* p, const real* q, const real* k, const real* v, const real* y,
                                   const real* lse, const real* dy, real* dq, real* dk, real* dv, real* scratch) {
    long room = room_of(*p, true), K = padded(p->K), S = width(p->S);
#pragma omp parallel num_threads(p->threads)
    {
#ifdef _OPENMP
        Scratch s = divide(scratch + omp_get_thread_num() * room, *p, true);
#else
        Scratch s = divide(scratch, *p, true);
#endif
#pragma omp for schedule(static)
        for (int task = 0; task < p->B * p->G; task++) {
            int b = task / p->G, g = task % p->G, group = p->H / p->G;
            pack_columns(k + at(p->k, b, g), p->k.position, p->S, p->K, S, s.kt);
            pack_columns(v + at(p->v, b, g), p->v.position, p->S, p->K, S, s.vt);
            pack_rows(k + at(p->k, b, g), p->k.position, p->S, p->K, s.k);
            memset(s.dk, 0, sizeof(real) * p->S * K);
            memset(s.dv, 0, sizeof(real) * p->S * K);
            for (int h = g * group; h < (g + 1) * group; h++)
                backward_head(*p, s, first_of(*p, b), q + at(p->q, b, h), y + at(p->y, b, h), lse + ((long)b * p->H + h) * p->T,
                              dy + at(p->dy, b, h), dq + at(p->dq, b, h), p->slopes ? p->slopes[h] : 0);
            for (int i = 0; i < p->S; i++)
                for (int c = 0; c < p->K; c++) {
                    dk[at(p->dk, b, g) + i * p->dk.position + c] = s.dk[i * K + c];
                    dv[at(p->dv, b, g) + i * p->dv.position + c] = s.dv[i * K + c];
                }
        }
    }
}
