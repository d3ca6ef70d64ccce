/* Replaces clEnqueueFillBuffer, which writes wrong values in one driver and is missing in another.
 * Bound by memory. */

/* out [count] = bits. One work-item = one value. Range: [count]. */

kernel void fill(global int *out, int bits, int count)
{
    int i = (int)get_global_id(0);
    if (i < count) out[i] = bits;
}
