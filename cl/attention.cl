/* softmax(Q K^T / sqrt(d)) V where items share a work-group, with the scores of QR queries and BK
 * keys at a time in local memory: the T x T scores never reach global memory (online softmax,
 * Milakov & Gimelshein 2018).
 *
 * Floor: 4 T^2 d FLOP a head. D: head size. VEC, WG: see the prelude. QR: queries of a work-group.
 * KV: vectors of keys an item scores at once. DB: vectors of a value row an item sums at once. */

#ifdef PACK
/* One item = one key of one head. K transposed to kt [N*H][D][TP], behind it V padded to
 * [N*H][TP][DP], zeros in the padding. q, k and v lie at 0, H*D and 2*H*D in rows of
 * 3*H*D floats. */
kernel void attention_pack(global float *kt, global const float *qkv, int tokens, int tokens_padded)
{
    int key = (int)get_global_id(0), h = (int)get_global_id(1), n = (int)get_global_id(2);
    int heads = (int)get_global_size(1);
    if (key >= tokens_padded) return;
    size_t head = (size_t)n * heads + h;
    global const float *row = qkv + ((size_t)n * tokens + key) * 3 * heads * D + h * D;
    global float *kt_column = kt + head * D * tokens_padded + key;
    global float *v = kt + get_global_size(2) * heads * D * tokens_padded;
    global float *v_row = v + (head * tokens_padded + key) * DP;
    bool real = key < tokens;
    for (int c = 0; c < D; c++)
        kt_column[(size_t)c * tokens_padded] = real ? row[heads * D + c] : 0.0f;
    for (int c = 0; c < DP; c++) v_row[c] = real && c < D ? row[2 * heads * D + c] : 0.0f;
}
#else

#define BK (WG * KV * VEC)   /* keys of a block */
#define DV (DP / VEC)        /* vectors of a value row */
#define DI ((DV / DB + WG - 1) / WG) /* blocks of DB vectors that one item owns */

/* Scores of QR queries against this item's keys, into s. */
inline void score(local float *s, global const float *q, const int *query_at,
                  global const float *kt, int tokens_padded, int key, int tokens, float scale)
{
    V sum[QR][KV];
    #pragma unroll
    for (int i = 0; i < QR; i++)
        #pragma unroll
        for (int j = 0; j < KV; j++) sum[i][j] = 0.0f;
    for (int c = 0; c < D; c++) {
        V k[KV];
        #pragma unroll
        for (int j = 0; j < KV; j++)
            k[j] = VLOAD(kt + (size_t)c * tokens_padded + key + j * WG * VEC);
        #pragma unroll
        for (int i = 0; i < QR; i++) {
            V x = q[query_at[i] + c];
            #pragma unroll
            for (int j = 0; j < KV; j++) sum[i][j] = mad(x, k[j], sum[i][j]);
        }
    }
    #pragma unroll
    for (int j = 0; j < KV; j++) {
        int at = key + j * WG * VEC;
        VI beyond = (at + V_IOTA) >= tokens;
        #pragma unroll
        for (int i = 0; i < QR; i++)
            VSTORE(select(sum[i][j] * scale, (V)(-1e30f), beyond),
                   s + i * BK + (int)get_local_id(0) * VEC + j * WG * VEC);
    }
}

/* One work-group = QR queries of one head. out [N*T][H*D]; qkv as in attention_pack. */
kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void attention(global float *out, global const float *qkv, global const float *kt, int tokens,
               int tokens_padded, float scale)
{
    local float s[QR * BK];
    local float row_max[QR], row_sum[QR], row_scale[QR];
    int me = (int)get_local_id(0), h = (int)get_group_id(1), n = (int)get_group_id(2);
    int heads = (int)get_num_groups(1), first = (int)get_group_id(0) * QR;
    size_t head = (size_t)n * heads + h;
    global const float *v = kt + get_num_groups(2) * heads * D * tokens_padded;
    kt += head * D * tokens_padded;
    v += head * tokens_padded * DP;
    global const float *q = qkv + (size_t)n * tokens * 3 * heads * D + h * D;
    int query_at[QR];
    #pragma unroll
    for (int i = 0; i < QR; i++) query_at[i] = min(first + i, tokens - 1) * 3 * heads * D;

    V sum[DI][QR][DB];
    for (int j = 0; j < DI; j++)
        #pragma unroll
        for (int i = 0; i < QR; i++)
            #pragma unroll
            for (int b = 0; b < DB; b++) sum[j][i][b] = 0.0f;
    for (int i = me; i < QR; i += WG) {
        row_max[i] = -1e30f;
        row_sum[i] = 0.0f;
    }
    for (int block = 0; block < tokens; block += BK) {
        score(s, q, query_at, kt, tokens_padded, block + me * VEC, tokens, scale);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = me; i < QR; i += WG) {
            local float *row = s + i * BK;
            V top = VLOAD(row);
            for (int k = VEC; k < BK; k += VEC) top = fmax(top, VLOAD(row + k));
            float new_max = row_max[i], lane[VEC];
            VSTORE(top, lane);
            #pragma unroll
            for (int k = 0; k < VEC; k++) new_max = fmax(new_max, lane[k]);
            V total = 0.0f;
            for (int k = 0; k < BK; k += VEC) {
                V e = exp(VLOAD(row + k) - new_max);
                total += e;
                VSTORE(e, row + k);
            }
            VSTORE(total, lane);
            float row_total = 0.0f;
            #pragma unroll
            for (int k = 0; k < VEC; k++) row_total += lane[k];
            row_scale[i] = exp(row_max[i] - new_max);
            row_sum[i] = row_sum[i] * row_scale[i] + row_total;
            row_max[i] = new_max;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        int keys = min(BK, tokens - block);
        for (int j = 0; j < DI; j++) {
            int column = (j * WG + me) * DB * VEC;
            if (column < DP) {
                V part[QR][DB];
                #pragma unroll
                for (int i = 0; i < QR; i++)
                    #pragma unroll
                    for (int b = 0; b < DB; b++) part[i][b] = sum[j][i][b] * row_scale[i];
                for (int k = 0; k < keys; k++) {
                    V value[DB];
                    #pragma unroll
                    for (int b = 0; b < DB; b++)
                        value[b] = VLOAD(v + (size_t)(block + k) * DP + column + b * VEC);
                    #pragma unroll
                    for (int i = 0; i < QR; i++) {
                        V weight = s[i * BK + k];
                        #pragma unroll
                        for (int b = 0; b < DB; b++) part[i][b] = mad(weight, value[b], part[i][b]);
                    }
                }
                #pragma unroll
                for (int i = 0; i < QR; i++)
                    #pragma unroll
                    for (int b = 0; b < DB; b++) sum[j][i][b] = part[i][b];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int j = 0; j < DI; j++) {
        int column = (j * WG + me) * DB * VEC;
        for (int i = 0; i < QR; i++) {
            if (first + i >= tokens) continue;
            global float *to = out + ((size_t)n * tokens + first + i) * heads * D + h * D;
            float inverse = 1.0f / row_sum[i];
            for (int b = 0; b < DB; b++) {
                float lane[VEC];
                VSTORE(sum[j][i][b] * inverse, lane);
                for (int k = 0; k < VEC; k++) {
                    int c = column + b * VEC + k;
                    if (c < D) to[c] = lane[k];
                }
            }
        }
    }
}
#endif
