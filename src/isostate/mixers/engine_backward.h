// The engine's backward: chunks last first, with the gradient of the state after them carried along.
//
// d log g_t = sum over i >= t of (y . dy as far as eps lets it count - v . dv from inside the chunk)
//             + sum over j < t of v . dv from beyond it + decay of the chunk <S before, gradient of S after>

#pragma once

#include "engine_chunk.h"

static void read_back_chunk(const Problem& p, const Scratch& s, int b, int h, Span span) {
    int N = padded(span.n, VL);
    memset(s.dr, 0, N * s.vd * sizeof(real));
    memset(s.dsum, 0, N * sizeof(real));
    for (int i = 0; i < span.n; i++) {
        const real* dy = row(p.dy, b, h, span.t0 + i);
        real *dr = s.dr + i * s.vd, factor = 1;
        if (p.normalised) factor = 1 / (p.sums[((long)b * p.H + h) * p.T + span.t0 + i] + EPS);
        for (int c = 0; c < p.V; c++) dr[c] = dy[c] * factor;
        if (p.normalised) s.dsum[i] = -dot(dr, row(p.y, b, h, span.t0 + i), p.V);
    }
    transpose(span.n, p.V, s.dr, s.vd, s.drT, s.ld);
    for (int c = 0; c < p.V; c++)
        for (int i = span.n; i < N; i++) s.drT[c * s.ld + i] = 0;
}

// From the gradients of a panel's monomials, those of variables and of monomials below: dx[first] += low[rest] d,
// dlow[rest] += x[first] d. Monomials that share their first variable follow one another.
static void monomials_back(const Problem& p, const Scratch& s, const real* xT, const real* sums, const real* dsum, int m0,
                           int rows, int n, bool weighted, real* dxT) {
    for (int i = 0; i < n; i += VL)
        for (int m = 0; m < rows;) {
            int variable = p.first[m0 + m];
            vec x = load(xT + variable * s.ld + i), dx = load(dxT + variable * s.ld + i);
            vec extra = dsum ? load(dsum + i) : all(1);
            for (; m < rows && p.first[m0 + m] == variable; m++) {
                long rest = p.rest[m0 + m] * s.ld + i;
                vec d = load(s.panel + m * s.ld + i);
                if (sums) d += extra * sums[m0 + m];
                if (weighted) d *= p.weights[m0 + m] * p.weights[m0 + m];
                dx += load(s.lowq + rest) * d;
                if (p.low > 1) store(s.dlow + rest, load(s.dlow + rest) + x * d);
            }
            store(dxT + variable * s.ld + i, dx);
        }
}

static void below_degree_back(const Problem& p, const Scratch& s, const real* xT, int n, real* dxT) {
    for (int m = (int)p.low - 1; m > 0; m--) {
        long first = p.low_first[m] * s.ld, rest = p.low_rest[m] * s.ld;
        for (int i = 0; i < n; i += VL) {
            vec d = load(s.dlow + m * s.ld + i);
            store(dxT + first + i, load(dxT + first + i) + load(s.lowq + rest + i) * d);
            if (p.low_rest[m]) store(s.dlow + rest + i, load(s.dlow + rest + i) + load(xT + first + i) * d);
        }
    }
}

// Gradients of keys and values from that of the state after the chunk.
static void update_back(const Problem& p, const Scratch& s, int n, const real* carry) {
    const real* sums = p.normalised ? carry + p.P * p.V : nullptr;
    int N = padded(n, VL);
    below_degree(p, s.kT, s.until, n, s.lowq, s.ld);
    memset(s.dlow, 0, p.low * s.ld * sizeof(real));
    memset(s.dv_far, 0, N * s.vd * sizeof(real));
    memset(s.far, 0, N * sizeof(real));
    for (int m0 = 0; m0 < p.P; m0 += PANEL) {
        int rows = least(PANEL, p.P - m0);
        const real* gradient = carry + m0 * p.V;
        write_panel(p, s, s.kT, m0, rows, n, false);
        product(n, padded(p.V, HALF), rows, s.panel, 1, s.ld, gradient, p.V, s.dv_far, s.vd, true);
        if (sums) read_sums(s, sums + m0, rows, n, s.far);
        product(rows, N, p.V, gradient, p.V, 1, s.vT, s.ld, s.panel, s.ld, false);
        monomials_back(p, s, s.kT, sums, nullptr, m0, rows, n, false, s.dkT);
    }
    below_degree_back(p, s, s.kT, n, s.dkT);
}

// Gradients of queries, and of the state before the chunk: `carry` becomes it. Returns <state before, carry>.
static real read_back(const Problem& p, const Scratch& s, int n, const real* before, real* carry) {
    const real* sums = p.normalised ? before + p.P * p.V : nullptr;
    int N = padded(n, VL);
    real through = 0;
    below_degree(p, s.qT, s.since, n, s.lowq, s.ld);
    memset(s.dlow, 0, p.low * s.ld * sizeof(real));
    for (int m0 = 0; m0 < p.P; m0 += PANEL) {
        int rows = least(PANEL, p.P - m0);
        write_panel(p, s, s.qT, m0, rows, n, true);
        product(rows, padded(p.V, HALF), n, s.panel, s.ld, 1, s.dr, s.vd, s.stage, s.vd, false);
        through += dot(before + m0 * p.V, carry + m0 * p.V, rows * p.V);
        for (int m = 0; m < rows; m++) {
            real* to = carry + (m0 + m) * p.V;
            decay_and_add(to, s.stage + m * s.vd, to, s.total, 1, p.V);
        }
        if (sums) {
            real* dsums = carry + p.P * p.V + m0;
            through += dot(sums + m0, dsums, rows);
            for (int m = 0; m < rows; m++) dsums[m] = panel_sum(s, m, n, s.dsum) + s.total * dsums[m];
        }
        product(rows, N, p.V, before + m0 * p.V, p.V, 1, s.drT, s.ld, s.panel, s.ld, false);
        monomials_back(p, s, s.qT, sums, s.dsum, m0, rows, n, true, s.dqT);
    }
    below_degree_back(p, s, s.qT, n, s.dqT);
    return through;
}

// Inside the chunk: gradients of scores and of values.
static void attend_back(const Problem& p, const Scratch& s, int n, bool add) {
    int N = padded(n, VL);
    for (int j = 0; j < N; j += VL)
        product(VL, N - j, p.V, s.v + j * s.vd, s.vd, 1, s.drT + j, s.ld, s.weight + j * s.ld + j, s.ld, false);
    weigh_back(p, s, n, add);
    for (int j = 0; j < N; j += VL)
        product(VL, padded(p.V, HALF), N - j, s.weight + j * s.ld + j, s.ld, 1, s.dr + j * s.vd, s.vd, s.dv + j * s.vd,
                s.vd, false);
}

// Inside the chunk: gradients of queries and keys from those of scores; then both leave.
static void scores_back(const Problem& p, const Scratch& s, const Task& task, Span span) {
    int N = padded(span.n, VL);
    for (int i = 0; i < N; i += VL)
        product(p.K, VL, i + VL, s.kT, s.ld, 1, s.dscore + i, s.ld, s.dqT + i, s.ld, true);
    for (int j = 0; j < N; j += VL)
        product(VL, padded(p.K, HALF), N - j, s.dscore + j * s.ld + j, s.ld, 1, s.q + j * s.kd, s.kd, s.dk + j * s.kd,
                s.kd, false);
    long b = task.b + task.part * p.B;  // parts of a group leave apart
    real *dq = row(p.dq, b, task.g, span.t0), *dk = row(p.dk, b, task.g, span.t0);
    transpose(p.K, span.n, s.dqT, s.ld, dq, p.dq.position);
    transpose(p.K, span.n, s.dkT, s.ld, dk, p.dk.position);
    for (int i = 0; i < span.n; i++)
        for (int c = 0; c < p.K; c++) dk[i * p.dk.position + c] += s.dk[i * s.kd + c];
}

static void write_gates(const Problem& p, const Scratch& s, int b, int h, Span span, double through) {
    const real FORGETS = sizeof(real) == 8 ? -745.2 : -104;  // exp is 0, and so is its slope
    double beyond = 0, inside = 0;
    real* dgate = p.dgate + ((long)b * p.H + h) * p.T + span.t0;
    for (int t = 0; t < span.n; t++) {
        dgate[t] = (real)beyond;
        beyond += s.far[t];
    }
    for (int t = span.n - 1; t >= 0; t--) {
        inside += s.own[t];
        dgate[t] = *row(p.gate, b, h, span.t0 + t) < FORGETS ? 0 : (real)(dgate[t] + inside + through);
    }
}

static void backward_head(const Problem& p, Scratch& s, const Task& task, int h, int chunk, Span span, bool add) {
    int b = task.b, N = padded(span.n, VL);
    long state = p.state_size();
    real* carry = p.carry + (((long)task.segment * p.B + b) * p.H + h) * state;
    const real* before = state_before(p, b, h, chunk);
    decays(p, s, b, h, span.t0, span.n);
    pack_values(p, s, b, h, span);
    transpose(span.n, p.V, s.v, s.vd, s.vT, s.ld);
    for (int c = 0; c < p.V; c++)
        for (int i = span.n; i < N; i++) s.vT[c * s.ld + i] = 0;
    read_back_chunk(p, s, b, h, span);
    for (const Rows* next : {&p.v, &p.y, &p.dy}) prefetch(*next, b, h, span.t0 - p.chunk, p.chunk, p.V);
    attend_back(p, s, span.n, add);
    bool is_read = p.dlast || chunk < p.n_chunks() - 1;
    real through = 0;
    if (is_read)
        update_back(p, s, span.n, carry);
    else
        memset(s.far, 0, N * sizeof(real));
    if (before)
        through = read_back(p, s, span.n, before, carry);
    for (int i = 0; i < span.n; i++) {
        const real *own = s.dv + i * s.vd, *far = s.dv_far + i * s.vd, *v = s.v + i * s.vd;
        real* dv = row(p.dv, b, h, span.t0 + i);
        for (int c = 0; c < p.V; c++) dv[c] = is_read ? own[c] + far[c] : own[c];
        if (!p.dgate) continue;
        real kept = p.normalised ? EPS / (p.sums[((long)b * p.H + h) * p.T + span.t0 + i] + EPS) : 1;
        s.own[i] = kept * dot(row(p.y, b, h, span.t0 + i), row(p.dy, b, h, span.t0 + i), p.V) - dot(v, own, p.V) - s.own[i];
        if (is_read) s.far[i] += dot(v, far, p.V);
    }
    if (p.dgate) write_gates(p, s, b, h, span, (double)s.total * through);
}

static void backward_chunk(const Problem& p, Scratch& s, const Task& task, int chunk) {
    Span span = span_of(p, chunk);
    pack_keys(p, p.q, task.b, task.g, span, s.qT, s.ld);
    pack_keys(p, p.k, task.b, task.g, span, s.kT, s.ld);
    pack(row(p.q, task.b, task.g, span.t0), p.q.position, span.n, p.K, padded(span.n, VL), s.kd, s.q, s.kd);
    for (const Rows* next : {&p.q, &p.k}) prefetch(*next, task.b, task.g, span.t0 - p.chunk, p.chunk, p.K);
    scores(p, s, span.n);
    memset(s.dqT, 0, (p.K + 1) * s.ld * sizeof(real));
    memset(s.dkT, 0, (p.K + 1) * s.ld * sizeof(real));
    int heads = p.heads_of_part(), h0 = task.g * (p.H / p.G) + task.part * heads;
    for (int h = h0; h < h0 + heads; h++) backward_head(p, s, task, h, chunk, span, h > h0);
    scores_back(p, s, task, span);
}

// In a segment's carry, the gradient of the state before the next segment as far as that one's own readings give it.
static void carry_of_segment(const Problem& p, Scratch& s, const Task& task) {
    int heads = p.heads_of_part(), h0 = task.g * (p.H / p.G) + task.part * heads;
    for (int chunk = p.first_of(task.segment + 1) - 1; chunk >= p.first_of(task.segment); chunk--) {
        Span span = span_of(p, chunk);
        pack_keys(p, p.q, task.b, task.g, span, s.qT, s.ld);
        for (int h = h0; h < h0 + heads; h++) {
            long at = ((long)(task.segment - 1) * p.B + task.b) * p.H + h;
            real *carry = p.carry + at * p.state_size(), *dsums = carry + p.P * p.V;
            decays(p, s, task.b, h, span.t0, span.n);
            read_back_chunk(p, s, task.b, h, span);
            below_degree(p, s.qT, s.since, span.n, s.lowq, s.ld);
            for (int m0 = 0; m0 < p.P; m0 += PANEL) {
                int rows = least(PANEL, p.P - m0);
                write_panel(p, s, s.qT, m0, rows, span.n, true);
                product(rows, padded(p.V, HALF), span.n, s.panel, s.ld, 1, s.dr, s.vd, s.stage, s.vd, false);
                for (int m = 0; m < rows; m++) {
                    real* to = carry + (m0 + m) * p.V;
                    decay_and_add(to, s.stage + m * s.vd, to, s.total, 1, p.V);
                    if (p.normalised) dsums[m0 + m] = panel_sum(s, m, span.n, s.dsum) + s.total * dsums[m0 + m];
                }
            }
            p.totals[at] *= s.total;
        }
    }
}

static void take_last(const Problem& p, int b, int h) {
    long row = (long)b * p.H + h;
    real* carry = p.carry + ((p.segments - 1) * p.B * p.H + row) * p.state_size();
    for (int m = 0; m < p.P; m++) {
        for (int c = 0; c < p.V; c++) carry[m * p.V + c] = p.dlast[(row * p.P + m) * p.V + c] * p.weights[m];
        if (p.normalised) carry[p.P * p.V + m] = p.dlast_sum ? p.dlast_sum[row * p.P + m] * p.weights[m] : 0;
    }
}

static void give_start(const Problem& p, int b, int h) {
    long row = (long)b * p.H + h;
    const real* carry = p.carry + row * p.state_size();
    for (int m = 0; m < p.P; m++) {
        real factor = 1 / p.weights[m];
        for (int c = 0; c < p.V; c++) p.dstart[(row * p.P + m) * p.V + c] = carry[m * p.V + c] * factor;
        if (p.normalised) p.dstart_sum[row * p.P + m] = carry[p.P * p.V + m] * factor;
    }
}

static void join_carries(const Problem& p, int b, int h) {
    long row = (long)b * p.H + h, rows = p.B * p.H, size = p.state_size();
    for (int segment = p.segments - 2; segment >= 0; segment--) {
        real *carry = p.carry + (segment * rows + row) * size, decay = p.totals[segment * rows + row];
        const real* later = carry + rows * size;
        for (long i = 0; i < size; i++) carry[i] += decay * later[i];
    }
}

// carry is given as zeros, totals as ones
extern "C" void backward(const Problem* problem) {
    const Problem& p = *problem;
    long room;
    divide(p, nullptr, true, room);
#pragma omp parallel num_threads(p.threads)
    {
        Scratch s = divide(p, p.scratch + thread_number() * room, true, room);
        if (p.dlast) {
#pragma omp for schedule(static)
            for (int i = 0; i < p.B * p.H; i++) take_last(p, i / (int)p.H, i % (int)p.H);
        }
        if (p.segments > 1) {
#pragma omp for schedule(dynamic)
            for (int i = 0; i < n_tasks(p); i++)
                if (task_of(p, i).segment > 0) carry_of_segment(p, s, task_of(p, i));
#pragma omp for schedule(static)
            for (int i = 0; i < p.B * p.H; i++) join_carries(p, i / (int)p.H, i % (int)p.H);
        }
#pragma omp for schedule(dynamic)
        for (int i = 0; i < n_tasks(p); i++) {
            Task task = task_of(p, i);
            for (int chunk = p.first_of(task.segment + 1) - 1; chunk >= p.first_of(task.segment); chunk--)
                backward_chunk(p, s, task, chunk);
        }
        if (p.dstart) {
#pragma omp for schedule(static)
            for (int i = 0; i < p.B * p.H; i++) give_start(p, i / (int)p.H, i % (int)p.H);
        }
    }
}
