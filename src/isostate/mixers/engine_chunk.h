// What a chunk of the engine needs in both directions: sizes, scratch, decays, monomials, weights between positions.
//
// Inside a chunk positions come last (`x[variable][position]`, rows `ld` apart), and weights stand transposed: row j is
// a key, its columns are the queries i that see it. Only blocks of VL x VL on and above that diagonal are computed.

#pragma once

#include <initializer_list>

#include "products.h"

struct Rows { real* at; int64_t batch, head, position; };

struct Problem {
    int64_t B, H, G, T, K, V, P, low, chunk, degree, normalised, has_start, parts, segments, threads;
    const int32_t *low_first, *low_rest;  // monomials below the degree: a variable (K: the number 1) times another one
    const int32_t *first, *rest;          // those of the state
    const real *weights, *coefficients;
    Rows q, k, v, gate, y, dy, dq, dk, dv;
    real *sums, *states, *start, *start_sum, *last, *last_sum;              // of positions; between chunks; given; left
    real *dgate, *carry, *dlast, *dlast_sum, *dstart, *dstart_sum;           // carry: a state for each segment
    real *scratch, *totals;                                                 // totals: decays of chunks or segments

    int n_chunks() const { return (T + chunk - 1) / chunk; }
    long state_size() const { return P * (V + normalised); }
    int heads_of_part() const { return H / G / parts; }
    int first_of(int segment) const { return (int)(n_chunks() * segment / segments); }
};

constexpr int PANEL = 64;  // monomials written out at once: with as many positions, half of a first-level cache
constexpr real EPS = 1e-12;  // of recurrence.py

struct Scratch {
    long ld, vd, kd;  // distances between rows: of positions, of values, of keys
    real *qT, *kT, *lowq, *panel, *stage, *score, *weight, *r, *v, *since, *until, *high, *fine, *edge, *within, *den;
    real *drT, *vT, *dr, *q, *dscore, *dqT, *dkT, *dlow, *dv, *dv_far, *dk, *dsum, *own, *far;
    double* L;
    real total;  // the decay over the whole chunk
};

static Scratch divide(const Problem& p, real* at, bool is_backward, long& room) {
    int C = padded(p.chunk, VL), blocks = C / VL;
    Scratch s{};
    s.ld = apart(C), s.vd = apart(p.V), s.kd = apart(p.K);
    real* begin = at;
    auto take = [&](long n) { real* here = at; at += (n + VL - 1) / VL * VL; return here; };
    s.L = (double*)take(C * (sizeof(double) / sizeof(real)));
    s.qT = take((p.K + 1) * s.ld);
    s.kT = take((p.K + 1) * s.ld);
    s.lowq = take(p.low * s.ld);
    s.panel = take(PANEL * s.ld);
    s.stage = take(PANEL * s.vd);
    s.score = take(C * s.ld);
    s.weight = take(C * s.ld);
    s.r = take(C * s.vd);
    s.v = take(C * s.vd);
    for (real** one : {&s.since, &s.until, &s.high, &s.fine, &s.within, &s.den, &s.dsum, &s.own, &s.far}) *one = take(C);
    s.edge = take(blocks * s.ld);
    if (is_backward) {
        s.drT = take(p.V * s.ld);
        s.vT = take(p.V * s.ld);
        s.dr = take(C * s.vd);
        s.q = take(C * s.kd);
        s.dscore = take(C * s.ld);
        s.dqT = take((p.K + 1) * s.ld);
        s.dkT = take((p.K + 1) * s.ld);
        s.dlow = take(p.low * s.ld);
        s.dv = take(C * s.vd);
        s.dv_far = take(C * s.vd);
        s.dk = take(C * s.kd);
    }
    room = at - begin + 64;  // loads reach beyond a last row
    return s;
}

// n rows of m elements, zeros after each up to `width` and in rows up to `rows`.
static void pack(const real* x, long stride, int n, int m, int rows, int width, real* out, long ors) {
    for (int i = 0; i < n; i++) {
        memcpy(out + i * ors, x + i * stride, m * sizeof(real));
        for (int c = m; c < width; c++) out[i * ors + c] = 0;
    }
    for (int i = n; i < rows; i++) memset(out + i * ors, 0, width * sizeof(real));
}

// Positions last, zeros beyond n.
static void pack_columns(const real* x, long stride, int n, int m, int columns, real* out, long ld) {
    transpose(n, m, x, stride, out, ld);
    for (int c = 0; c < m; c++)
        for (int i = n; i < columns; i++) out[c * ld + i] = 0;
}

static inline real* row(const Rows& x, long b, long h, long t) { return x.at + b * x.batch + h * x.head + t * x.position; }

// Asks for rows that are needed a chunk later, into the second cache level: the first one is full.
static inline void prefetch(const Rows& x, long b, long h, int t0, int n, int m) {
    constexpr int LINE = 64 / sizeof(real);
    if (x.at && t0 >= 0)
        for (int i = 0; i < n; i++)
            for (int c = 0; c < m; c += LINE) __builtin_prefetch(row(x, b, h, t0 + i) + c, 0, 2);
}

// Decays of a chunk: since its start, until its end, and what weights take. Without gates all are 1.
// L is summed in float64 and then stands as two numbers, so that differences keep their digits: exp(L_i - L_j) exactly
// inside a block of VL positions, else exp(L_i - L_e) exp(L_e - L_j) with e the first position of i's block.
static void decays(const Problem& p, Scratch& s, int b, int h, int t0, int n) {
    int N = padded(n, VL);
    if (!p.gate.at) {
        for (int i = 0; i < N; i++) s.since[i] = s.until[i] = i < n;
        s.total = 1;
        return;
    }
    const double LOWEST = -800;  // forgets all, as -inf does, of which no difference could be taken
    double L = 0;
    for (int i = 0; i < n; i++) {
        double gate = *row(p.gate, b, h, t0 + i);
        s.L[i] = L += gate < LOWEST ? LOWEST : gate;
    }
    for (int i = n; i < N; i++) s.L[i] = L;
    for (int i = 0; i < N; i++) {
        s.high[i] = (real)s.L[i], s.fine[i] = (real)(s.L[i] - (double)s.high[i]);
        s.since[i] = i < n ? (real)s.L[i] : -INFINITY;
        s.until[i] = i < n ? (real)(L - s.L[i]) : -INFINITY;
    }
    for (int i = 0; i < N; i += VL) {
        store(s.since + i, exp_of(load(s.since + i)));
        store(s.until + i, exp_of(load(s.until + i)));
        store(s.within + i, exp_of((load(s.high + i) - s.high[i]) + (load(s.fine + i) - s.fine[i])));
        for (int j = 0; j < i; j += VL)
            store(s.edge + i / VL * s.ld + j, exp_of((s.high[i] - load(s.high + j)) + (s.fine[i] - load(s.fine + j))));
    }
    s.total = s.since[n - 1];
}

// exp(L_i - L_j) of key j and the queries of block i0, which are not all before it.
static inline vec decay_of(const Scratch& s, int j, int i0) {
    if (i0 <= j) return exp_of((load(s.high + i0) - s.high[j]) + (load(s.fine + i0) - s.fine[j]));
    return load(s.within + i0) * s.edge[i0 / VL * s.ld + j];
}

// f and f' of scores: MAP is the degree of a lone monomial of degree 1 or 2; 0 a lone one of another degree; -1 a sum.
template <int MAP> static inline vec slope_of(const Problem& p, vec x, vec& value) {
    const real* c = p.coefficients;
    if (MAP == 1) return value = x * c[1], all(c[1]);
    if (MAP == 2) return value = x * x * c[2], x * (2 * c[2]);
    if (MAP == 0) {
        vec lower = all(c[p.degree]);
        for (int i = 1; i < p.degree; i++) lower *= x;
        return value = lower * x, lower * (real)p.degree;
    }
    value = all(c[p.degree]);
    vec slope = {};
    for (int i = (int)p.degree - 1; i >= 0; i--) {
        slope = slope * x + value;
        value = value * x + c[i];
    }
    return slope;
}

// q . k of all pairs of blocks where some query sees some key
static void scores(const Problem& p, const Scratch& s, int n) {
    int N = padded(n, VL);
    for (int j = 0; j < N; j += VL)
        product(VL, N - j, p.K, s.kT + j, 1, s.ld, s.qT + j, s.ld, s.score + j * s.ld + j, s.ld, false);
}

// The monomials below the degree, times a factor a position.
static void below_degree(const Problem& p, const real* xT, const real* factor, int n, real* low, long ld) {
    int N = padded(n, VL);
    memcpy(low, factor, N * sizeof(real));
    for (int m = 1; m < p.low; m++) {
        const real *x = xT + p.low_first[m] * ld, *rest = low + p.low_rest[m] * ld;
        for (int i = 0; i < N; i += VL) store(low + m * ld + i, load(x + i) * load(rest + i));
    }
}

// Monomials m0 .. m0 + rows of the state, from those below; times `square` of their weights, or not.
static void write_panel(const Problem& p, const Scratch& s, const real* xT, int m0, int rows, int n, bool weighted) {
    for (int m = m0; m < m0 + rows; m++) {
        const real *x = xT + p.first[m] * s.ld, *rest = s.lowq + p.rest[m] * s.ld;
        real weight = weighted ? p.weights[m] * p.weights[m] : 1;
        real* out = s.panel + (m - m0) * s.ld;
        for (int i = 0; i < n; i += VL) store(out + i, load(x + i) * load(rest + i) * weight);
    }
}

// Sums over a panel's positions, one a monomial.
static inline real panel_sum(const Scratch& s, int m, int n, const real* factor) {
    vec sum = {};
    const real* phi = s.panel + m * s.ld;
    if (factor)
        for (int i = 0; i < n; i += VL) sum += load(phi + i) * load(factor + i);
    else
        for (int i = 0; i < n; i += VL) sum += load(phi + i);
    return sum_of(sum);
}

// out[position] += sum over a panel of its monomials times z
static void read_sums(const Scratch& s, const real* z, int rows, int n, real* out) {
    for (int i = 0; i < n; i += VL) {
        vec sums[2] = {load(out + i), {}};
        int m = 0;
        for (; m + 2 <= rows; m += 2) {
            sums[0] += load(s.panel + m * s.ld + i) * z[m];
            sums[1] += load(s.panel + (m + 1) * s.ld + i) * z[m + 1];
        }
        if (m < rows) sums[0] += load(s.panel + m * s.ld + i) * z[m];
        store(out + i, sums[0] + sums[1]);
    }
}

static inline real dot(const real* a, const real* b, int n) {
    vec sum = {};
    int i = 0;
    for (; i + VL <= n; i += VL) sum += load(a + i) * load(b + i);
    real total = sum_of(sum);
    for (; i < n; i++) total += a[i] * b[i];
    return total;
}

// to = weight (own + decay from), n elements
static inline void decay_and_add(real* to, const real* own, const real* from, real decay, real weight, int n) {
    int i = 0;
    for (; i + VL <= n; i += VL) store(to + i, weight * (load(own + i) + decay * load(from + i)));
    for (; i < n; i++) to[i] = weight * (own[i] + decay * from[i]);
}

// The state before chunk n as the products read it, its sums after it; null where it is empty.
static inline real* state_before(const Problem& p, long b, long h, int n) {
    int stored = p.n_chunks() - 1 + p.has_start, index = n - 1 + p.has_start;
    return index < 0 ? nullptr : p.states + ((b * p.H + h) * stored + index) * p.state_size();
}
