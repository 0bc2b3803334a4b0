// The chunked form of the gated linear recurrence on a CPU, forward and backward: recurrence.py has the equations.
//
//     S_t = g_t S_{t-1} + phi(k_t) v_t^T,    y_t = phi(q_t)^T S_t, divided by phi(q_t) . z_t or not
//
// phi is written out for PANEL monomials of one chunk at a time. Decays stand in the factor that monomials start from,
// squared weights in phi(q): products with the state then need nothing more. A normaliser's sums stand apart from S, so
// that values keep whole vectors. Heads that share queries and keys share their products.
//
// A task is some heads of one group and one sequence, over all chunks, or over a segment of them where heads are few:
// then states are first summed from nothing in each segment, and joined. Every result is written by one task alone, in
// one order. Nothing is allocated here. No OpenMP runtime is linked: torch has loaded its own.

#include "engine_chunk.h"

#ifdef _OPENMP
#include <omp.h>
static int thread_number() { return omp_get_thread_num(); }
#else
static int thread_number() { return 0; }
#endif

struct Task { int b, g, part, segment; };

static Task task_of(const Problem& p, int number) {
    int segment = number % p.segments, part = number / p.segments % p.parts, row = number / p.segments / p.parts;
    return {row / (int)p.G, row % (int)p.G, part, segment};
}

static int n_tasks(const Problem& p) { return p.B * p.G * p.parts * p.segments; }

struct Span { int t0, n; };  // positions of a chunk

static Span span_of(const Problem& p, int chunk) {
    int t0 = chunk * p.chunk;
    return {t0, least(p.chunk, p.T - t0)};
}

// weight[j][i] = f(score) decay, and its sums over keys
template <int MAP, bool GATED> static void weigh(const Problem& p, const Scratch& s, int n) {
    int N = padded(n, VL);
    memset(s.den, 0, N * sizeof(real));
    for (int j = 0; j < N; j++)
        for (int i = j / VL * VL; i < N; i += VL) {
            vec w;
            slope_of<MAP>(p, load(s.score + j * s.ld + i), w);
            if (GATED) w *= decay_of(s, j, i);
            if (i <= j) w = choose(lanes() >= (whole)(j - i), w, all(0));
            store(s.weight + j * s.ld + i, w);
            store(s.den + i, load(s.den + i) + w);
        }
}

// From the gradients of weights, which stand in their place: those of scores, added where other heads share them, each
// key's share in the gradients of sums, and the weights.
template <int MAP, bool GATED> static void weigh_back(const Problem& p, const Scratch& s, int n, bool add) {
    int N = padded(n, VL);
    for (int j = 0; j < N; j++) {
        vec own = {};
        for (int i = j / VL * VL; i < N; i += VL) {
            real* at = s.dscore + j * s.ld + i;
            vec w, slope = slope_of<MAP>(p, load(s.score + j * s.ld + i), w);
            if (GATED) {
                vec decay = decay_of(s, j, i);
                w *= decay, slope *= decay;
            }
            if (i <= j) {
                ivec seen = lanes() >= (whole)(j - i);
                w = choose(seen, w, all(0)), slope = choose(seen, slope, all(0));
            }
            vec dsum = load(s.dsum + i), dscore = (load(s.weight + j * s.ld + i) + dsum) * slope;
            store(at, add ? load(at) + dscore : dscore);
            store(s.weight + j * s.ld + i, w);
            own += w * dsum;
        }
        s.own[j] = sum_of(own);
    }
}


static int map_of(const Problem& p) {
    for (int i = 0; i < p.degree; i++)
        if (p.coefficients[i] != 0) return -1;
    return p.degree == 1 || p.degree == 2 ? p.degree : 0;
}

static void weigh(const Problem& p, const Scratch& s, int n) {
    bool gated = p.gate.at;
    switch (map_of(p)) {
        case 1: return gated ? weigh<1, true>(p, s, n) : weigh<1, false>(p, s, n);
        case 2: return gated ? weigh<2, true>(p, s, n) : weigh<2, false>(p, s, n);
        case 0: return gated ? weigh<0, true>(p, s, n) : weigh<0, false>(p, s, n);
        default: return gated ? weigh<-1, true>(p, s, n) : weigh<-1, false>(p, s, n);
    }
}

static void weigh_back(const Problem& p, const Scratch& s, int n, bool add) {
    bool gated = p.gate.at;
    switch (map_of(p)) {
        case 1: return gated ? weigh_back<1, true>(p, s, n, add) : weigh_back<1, false>(p, s, n, add);
        case 2: return gated ? weigh_back<2, true>(p, s, n, add) : weigh_back<2, false>(p, s, n, add);
        case 0: return gated ? weigh_back<0, true>(p, s, n, add) : weigh_back<0, false>(p, s, n, add);
        default: return gated ? weigh_back<-1, true>(p, s, n, add) : weigh_back<-1, false>(p, s, n, add);
    }
}

// The state after a chunk: the one before, decayed (null: empty), and the chunk's own. The last one leaves with weights.
static void update(const Problem& p, const Scratch& s, int b, int h, int chunk, int n, const real* before) {
    bool is_last = chunk == p.n_chunks() - 1;
    long row = (long)b * p.H + h;
    real* after = is_last ? p.last + row * p.P * p.V : state_before(p, b, h, chunk + 1);
    real* after_sum = !p.normalised ? nullptr : is_last ? p.last_sum + row * p.P : after + p.P * p.V;
    below_degree(p, s.kT, s.until, n, s.lowq, s.ld);
    for (int m0 = 0; m0 < p.P; m0 += PANEL) {
        int rows = least(PANEL, p.P - m0);
        write_panel(p, s, s.kT, m0, rows, n, false);
        product(rows, padded(p.V, HALF), n, s.panel, s.ld, 1, s.v, s.vd, s.stage, s.vd, false);
        for (int m = 0; m < rows; m++) {
            real weight = is_last ? p.weights[m0 + m] : 1, *to = after + (m0 + m) * p.V;
            const real* own = s.stage + m * s.vd;
            if (before)
                decay_and_add(to, own, before + (m0 + m) * p.V, s.total, weight, p.V);
            else
                for (int c = 0; c < p.V; c++) to[c] = weight * own[c];
            if (after_sum) {
                real sum = panel_sum(s, m, n, nullptr);
                if (before) sum += s.total * before[p.P * p.V + m0 + m];
                after_sum[m0 + m] = weight * sum;
            }
        }
    }
}

// Adds what a chunk reads from the state before it.
static void read(const Problem& p, const Scratch& s, int n, const real* before) {
    if (!before) return;
    below_degree(p, s.qT, s.since, n, s.lowq, s.ld);
    for (int m0 = 0; m0 < p.P; m0 += PANEL) {
        int rows = least(PANEL, p.P - m0);
        write_panel(p, s, s.qT, m0, rows, n, true);
        product(n, padded(p.V, HALF), rows, s.panel, 1, s.ld, before + m0 * p.V, p.V, s.r, s.vd, true);
        if (p.normalised) read_sums(s, before + p.P * p.V + m0, rows, n, s.den);
    }
}

// r = weights v, inside the chunk
static void attend(const Problem& p, const Scratch& s, int n) {
    for (int i = 0; i < n; i += VL)
        product(VL, padded(p.V, HALF), least(i + VL, n), s.weight + i, 1, s.ld, s.v, s.vd, s.r + i * s.vd, s.vd, false);
}

static void write_reading(const Problem& p, const Scratch& s, int b, int h, int t0, int n) {
    for (int i = 0; i < n; i++) {
        real *y = row(p.y, b, h, t0 + i), factor = 1;
        if (p.normalised) {
            factor = 1 / (s.den[i] + EPS);
            p.sums[((long)b * p.H + h) * p.T + t0 + i] = s.den[i];
        }
        for (int c = 0; c < p.V; c++) y[c] = s.r[i * s.vd + c] * factor;
    }
}

static void pack_keys(const Problem& p, const Rows& x, int b, int g, Span span, real* xT, long ld) {
    int N = padded(span.n, VL);
    pack_columns(row(x, b, g, span.t0), x.position, span.n, p.K, N, xT, ld);
    for (int i = 0; i < N; i++) xT[p.K * ld + i] = 1;
}

static void pack_values(const Problem& p, const Scratch& s, int b, int h, Span span) {
    pack(row(p.v, b, h, span.t0), p.v.position, span.n, p.V, padded(span.n, VL), s.vd, s.v, s.vd);
}

enum Pass { ALL, STATES, READINGS };

static void forward_chunk(const Problem& p, Scratch& s, const Task& task, int chunk, Pass pass, bool from_nothing) {
    Span span = span_of(p, chunk);
    if (pass != READINGS) pack_keys(p, p.k, task.b, task.g, span, s.kT, s.ld);
    if (pass != STATES) {
        if (pass == READINGS) pack_keys(p, p.k, task.b, task.g, span, s.kT, s.ld);
        pack_keys(p, p.q, task.b, task.g, span, s.qT, s.ld);
        scores(p, s, span.n);
    }
    int next = span.t0 + p.chunk, n_next = least(p.chunk, p.T - next);
    for (const Rows* x : {&p.q, &p.k}) prefetch(*x, task.b, task.g, next, n_next, p.K);
    int heads = p.heads_of_part(), h0 = task.g * (p.H / p.G) + task.part * heads;
    for (int h = h0; h < h0 + heads; h++) {
        const real* before = state_before(p, task.b, h, chunk);
        decays(p, s, task.b, h, span.t0, span.n);
        pack_values(p, s, task.b, h, span);
        prefetch(p.v, task.b, h, next, n_next, p.V);
        if (pass != READINGS) {
            update(p, s, task.b, h, chunk, span.n, from_nothing ? nullptr : before);
            p.totals[((long)task.b * p.H + h) * p.n_chunks() + chunk] = s.total;
        }
        if (pass != STATES) {
            weigh(p, s, span.n);
            attend(p, s, span.n);
            read(p, s, span.n, before);
            write_reading(p, s, task.b, h, span.t0, span.n);
        }
    }
}

// Adds to the states of a segment, which were summed from nothing, what came before it.
static void join(const Problem& p, int b, int h, int segment) {
    int first = p.first_of(segment), end = p.first_of(segment + 1);
    const real* before = state_before(p, b, h, first);
    real decay = 1;
    long row = (long)b * p.H + h, size = p.P * p.V;
    for (int chunk = first; chunk < end; chunk++) {
        decay *= p.totals[row * p.n_chunks() + chunk];
        if (chunk < p.n_chunks() - 1) {
            real* after = state_before(p, b, h, chunk + 1);
            for (long i = 0; i < p.state_size(); i++) after[i] += decay * before[i];
            continue;
        }
        for (long i = 0; i < size; i++) p.last[row * size + i] += p.weights[i / p.V] * decay * before[i];
        if (p.normalised)
            for (int m = 0; m < p.P; m++) p.last_sum[row * p.P + m] += p.weights[m] * decay * before[size + m];
    }
}

// The given state, its weights taken off, as the first chunk reads it.
static void take_start(const Problem& p, int b, int h) {
    real* to = state_before(p, b, h, 0);
    long row = (long)b * p.H + h;
    for (int m = 0; m < p.P; m++) {
        real factor = 1 / p.weights[m];
        for (int c = 0; c < p.V; c++) to[m * p.V + c] = p.start[(row * p.P + m) * p.V + c] * factor;
        if (p.normalised) to[p.P * p.V + m] = p.start_sum[row * p.P + m] * factor;
    }
}

extern "C" void forward(const Problem* problem) {
    const Problem& p = *problem;
    long room;
    divide(p, nullptr, false, room);
#pragma omp parallel num_threads(p.threads)
    {
        Scratch s = divide(p, p.scratch + thread_number() * room, false, room);
        if (p.has_start) {
#pragma omp for schedule(static)
            for (int i = 0; i < p.B * p.H; i++) take_start(p, i / (int)p.H, i % (int)p.H);
        }
#pragma omp for schedule(dynamic)
        for (int i = 0; i < n_tasks(p); i++) {
            Task task = task_of(p, i);
            int first = p.first_of(task.segment), end = p.first_of(task.segment + 1);
            for (int chunk = first; chunk < end; chunk++)
                forward_chunk(p, s, task, chunk, p.segments > 1 ? STATES : ALL, task.segment > 0 && chunk == first);
        }
        if (p.segments > 1) {
#pragma omp for schedule(static)
            for (int i = 0; i < p.B * p.H; i++)
                for (int segment = 1; segment < p.segments; segment++) join(p, i / (int)p.H, i % (int)p.H, segment);
#pragma omp for schedule(dynamic)
            for (int i = 0; i < n_tasks(p); i++) {
                Task task = task_of(p, i);
                for (int chunk = p.first_of(task.segment); chunk < p.first_of(task.segment + 1); chunk++)
                    forward_chunk(p, s, task, chunk, READINGS, false);
            }
        }
    }
}

#include "engine_backward.h"

// Elements of scratch that one thread needs.
extern "C" long scratch_elements(const Problem* p, int is_backward) {
    long room;
    divide(*p, nullptr, is_backward, room);
    return room;
}
